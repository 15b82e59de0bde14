"""Readers beside a loop: many at once, on either kind of database, and one that may write nothing at all."""

import heapq
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from moonas.store.states import StudyState, TrialState
from moonas.store.store import Store
from tests.outer.fakes import FakePool, Notes, drive, small_study

READERS, SLOTS, SECONDS_PER_TASK = 5, 8, 0.5

READER = """
import sys, time
from moonas.store.store import Store

url, reads = sys.argv[1], 0
with Store.open(url, read_only=True) as store:
    study = store.study("small").id
    while store.study("small").state != "STOPPED":
        for member in store.front(study):
            assert member.params > 0
        numbers = [step.number for step in store.front_history(study)]
        assert numbers == list(range(1, len(numbers) + 1))
        trials = store.trials(study, limit=50)
        assert [trial.number for trial in trials] == list(range(len(trials)))
        store.studies()
        reads += 1
print(reads)
"""


class Timed(FakePool):
    """Tasks that take half a second each, side by side."""

    def __init__(self) -> None:
        super().__init__(slots=SLOTS)
        self.late: list[tuple[float, int, Any]] = []
        self.order = 0

    def start(self, slot: int, task: Any) -> None:
        began, told = time.monotonic(), len(self.queue)
        super().start(slot, task)
        events = [self.queue.pop() for _ in range(len(self.queue) - told)][::-1]
        for number, event in enumerate(events, start=1):
            self.order += 1
            heapq.heappush(self.late, (began + SECONDS_PER_TASK * number / len(events), self.order, event))

    def next_event(self, timeout: float) -> Any:
        if not self.late:
            return None
        time.sleep(max(0.0, self.late[0][0] - time.monotonic()))
        return heapq.heappop(self.late)[2]


def hammer(url: str, seconds: float) -> None:
    """A study on eight slots for so long, and five processes that read its fronts as fast as they can."""
    many = int(seconds * SLOTS / SECONDS_PER_TASK)
    limits = {"hours": seconds / 3600}
    raw = small_study(methods=["random"], budgets={"params": ["none"]}, replicates=many, limits=limits)
    with Store.open(url, create=True) as store:
        readers: list[subprocess.Popen[str]] = []

        class Watching(Notes):
            def tick(self, loop: Any) -> None:
                if not readers:  # the study is there now
                    command = [sys.executable, "-c", READER, url]
                    readers.extend(subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(READERS))

        notes = Watching()
        assert drive(store, raw, Timed(), notes) is StudyState.STOPPED
        read = [int(reader.communicate(timeout=60)[0]) for reader in readers]
        assert [reader.returncode for reader in readers] == [0] * READERS
        trials = store.trials(store.study("small").id)
        assert {trial.state for trial in trials} == {TrialState.COMPLETE}
        assert len(trials) > seconds
    assert not [line for line in notes.lines if "database" in line], notes.lines
    assert min(read) > seconds, "every reader got its turn, more than once a second"


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_loop_of_eight_slots_and_five_readers_never_lock_each_other_out(kind: str, tmp_path: Path, request: Any) -> None:
    hammer(f"sqlite:///{tmp_path}/study.db" if kind == "sqlite" else request.getfixturevalue("postgres").new(), 10)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_nor_do_they_in_two_minutes(kind: str, tmp_path: Path, request: Any) -> None:
    hammer(f"sqlite:///{tmp_path}/study.db" if kind == "sqlite" else request.getfixturevalue("postgres").new(), 120)


LOOK = """
import os, sys
from moonas import api

url, elsewhere = sys.argv[1:]
api.load_study("small", elsewhere).front()  # loads all modules, which may lie where only root reads
if os.geteuid() == 0:  # root may write everywhere
    os.setgid(65534)
    os.setuid(65534)
study = api.load_study("small", url)
print(len(study.front()), [summary.name for summary in api.list_studies(url)])
sys.stdin.readline()
print(len(study.trials()))
"""


def test_a_folder_that_a_reader_may_not_write_to_can_be_read_with_and_without_a_loop_at_work(tmp_path: Path) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to other users
        folder = Path(name)
        url = f"sqlite:///{folder}/study.db"
        with Store.open(url, create=True) as store:
            drive(store, small_study(), FakePool())
            members, trials = len(store.front(store.study("small").id)), len(store.trials(store.study("small").id))
            folder.chmod(0o555)
            elsewhere = f"sqlite:///{tmp_path}/study.db"
            with Store.open(elsewhere, create=True) as other:
                drive(other, small_study(), FakePool())
            at_work = look(url, elsewhere)
            assert at_work.stdout.readline() == f"{members} ['small']\n", at_work.communicate()[1]
            assert at_work.communicate("\n", timeout=60)[0] == f"{trials}\n"
        assert [path.name for path in folder.iterdir()] == ["study.db"]
        alone = look(url, elsewhere)
        assert alone.stdout.readline() == f"{members} ['small']\n", alone.communicate()[1]
        folder.chmod(0o755)
        with Store.open(url) as store, store.ledger(store.study("small").id) as ledger:  # a loop goes on beside the reader
            ledger.add_trial(trials, {"method": "random"}, 0)
            folder.chmod(0o555)
            assert alone.communicate("\n", timeout=60)[0] == f"{trials + 1}\n"
        folder.chmod(0o755)


def look(*urls: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", LOOK, *urls],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
