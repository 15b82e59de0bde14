"""Workers on a Ray cluster of one machine: the same results as here, and nothing lost with an actor."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray", reason="Ray is not installed: pip install 'moonas[ray]'")

import moonas
from moonas.errors import ClusterError, MoonasError
from moonas.outer.loop import Loop
from moonas.outer.plan import Design, Plan
from moonas.store.states import AttemptState
from moonas.store.store import Store
from moonas.study.loading import study_from
from moonas.study.sections import Workers
from moonas.worker.cluster import Connection
from moonas.worker.local import Event
from moonas.worker.ray import RayPool
from tests.outer.fakes import Notes

ONE = {"backend": "ray", "max_tasks": 1}
STUDY: dict[str, Any] = {
    "name": "tiny",
    "seed": 0,
    "data": {"name": "digits", "images": 300},
    "space": {"name": "darts-cnn", "nodes": 1, "operations": ["none", "max_pool_3x3", "skip_connect", "sep_conv_3x3"]},
    "search": {"channels": 2, "cells": 3},
    "final": {"channels": 2, "cells": 3},
    "objectives": ["accuracy", "params"],
    "methods": ["random", {"name": "darts", "epochs": 6, "batch": 32}],
    "budgets": {"params": ["20%", "80%"]},
    "protocol": {"name": "short", "epochs": 6},
}


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[Connection]:
    """A Ray of two cores on this machine, for all tests here."""
    os.environ["MOONAS_STORAGE"] = "postgresql://somebody:secret@nowhere/studies"
    try:
        connection = Connection("local", cores=2)
    finally:
        del os.environ["MOONAS_STORAGE"]
    yield connection
    connection.leave()


@pytest.fixture(scope="module")
def pool(cluster: Connection) -> Iterator[RayPool]:
    opened = RayPool(Workers(**ONE), print)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The front of the study as local workers find it."""
    return front_of({**STUDY, "workers": {"tasks_per_device": 1}}, tmp_path_factory.mktemp("whole"))


def storage_in(folder: Path) -> str:
    return f"sqlite:///{folder}/study.db"


def front_of(study: dict[str, Any], folder: Path, watcher: Any = None) -> str:
    found = moonas.run(study, storage_in(folder), watcher=watcher)
    return json.dumps([member.to_json() for member in found.front()], sort_keys=True)


def endless_task(folder: Path) -> dict[str, Any]:
    """A search that would go on for hours."""
    plan = Plan(study_from({**STUDY, "methods": [{"name": "darts", "epochs": 10**6, "batch": 32}]}))
    budget, (channels, cells) = plan.pairs[0]
    spec = plan.search_spec(Design("darts", budget, channels, cells, {}), 0)
    return {"spec": spec.to_json(), "artifacts": folder.as_uri(), "checkpoint": None}


def wait_for(pool: RayPool, kind: str) -> Event:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        event = pool.next_event(0.5)
        if event is not None and event.kind == kind:
            return event
    raise AssertionError(f"no {kind} within a minute")


def process_of(worker: str) -> int:
    return int(worker.rpartition("/")[2])


def test_a_study_gives_the_same_front_on_ray_as_here(whole: str, tmp_path: Path) -> None:
    assert front_of({**STUDY, "workers": {"backend": "ray", "max_tasks": 2}}, tmp_path) == whole
    assert json.loads(whole)


def test_progress_comes_at_once_and_a_command_reaches_the_running_task(pool: RayPool, tmp_path: Path) -> None:
    worker = pool.ready(0)
    pool.start(0, endless_task(tmp_path))
    first = wait_for(pool, "progress")
    assert (first.slot, first.worker, first.message["step"]) == (0, worker, 1)
    assert Path(first.message["checkpoint"]["url"].removeprefix("file://")).stat().st_size == first.message["checkpoint"]["bytes"]
    pool.command(0, "prune")
    assert wait_for(pool, "interrupted").message == {"action": "prune"}


def test_a_killed_task_leaves_its_slot_to_the_next_and_a_killed_actor_to_another_actor(pool: RayPool, tmp_path: Path) -> None:
    pool.start(0, endless_task(tmp_path))
    wait_for(pool, "progress")
    pool.kill(0)
    assert "SIGKILL" in wait_for(pool, "died").message["reason"]
    worker = pool.ready(0)
    pool.start(0, endless_task(tmp_path))
    assert wait_for(pool, "progress").worker == worker
    os.kill(process_of(worker), signal.SIGKILL)
    died = wait_for(pool, "died")
    assert (died.worker, f"the worker {worker} is lost" in died.message["reason"]) == (worker, True)
    assert pool.devices == [""]
    deadline = time.monotonic() + 60
    while not pool.devices[0] and time.monotonic() < deadline:
        pool.next_event(0.5)
    assert pool.devices == ["cpu"]
    assert pool.ready(0) != worker


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_an_actor_is_not_told_where_the_studies_are_stored(pool: RayPool) -> None:
    assert "secret" not in Path(f"/proc/{process_of(pool.ready(0))}/environ").read_text()


def test_an_actor_killed_while_a_study_runs_is_a_failed_attempt_and_changes_no_result(whole: str, tmp_path: Path) -> None:
    class Killer(Notes):
        killed = ""

        def tick(self, loop: Loop) -> None:
            for running in loop.slots.running.values():
                if not self.killed and running.task.progress.get("step", 0) >= 2:
                    self.killed = running.worker
                    os.kill(process_of(running.worker), signal.SIGKILL)

    killer = Killer()
    assert front_of({**STUDY, "workers": ONE}, tmp_path, killer) == whole
    with Store.open(storage_in(tmp_path), read_only=True) as store:
        attempts = store.attempts(store.study("tiny").id)
    failed = [attempt for attempt in attempts if attempt.state is AttemptState.FAIL]
    assert [attempt.worker for attempt in failed] == [killer.killed]
    assert any("starting the task again from its last checkpoint" in note for note in killer.lines)


@pytest.mark.slow
def test_the_actors_of_a_killed_loop_end_and_another_loop_goes_on(cluster: Connection, whole: str, tmp_path: Path) -> None:
    study = {**STUDY, "workers": {**ONE, "address": cluster.head}}
    (tmp_path / "tiny.json").write_text(json.dumps(study))
    code = "import json, moonas; moonas.run(json.load(open('tiny.json')), 'sqlite:///study.db')"
    loop = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path)
    try:
        workers = wait_for_workers(tmp_path, loop)
    finally:
        loop.kill()
        loop.wait()
    deadline = time.monotonic() + 60
    while any(is_running(process_of(worker)) for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [worker for worker in workers if is_running(process_of(worker))] == []
    assert front_of(study, tmp_path) == whole


def wait_for_workers(folder: Path, loop: subprocess.Popen) -> set[str]:
    """The actors at work once an epoch is stored."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and loop.poll() is None:
        time.sleep(0.1)
        try:
            with Store.open(storage_in(folder), read_only=True) as store:
                attempts = store.attempts(store.study("tiny").id)
        except MoonasError:  # nothing is there yet
            continue
        if any(attempt.seconds for attempt in attempts):
            return {attempt.worker for attempt in attempts}
    raise AssertionError("the loop did not begin")


def is_running(process: int) -> bool:
    """Whether there is such a process; one that has ended and waits to be looked after does not count."""
    listed = subprocess.run(["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True, check=False).stdout
    return bool(listed) and not listed.startswith("Z")


def test_a_machine_with_another_moonas_is_named_with_both_versions(cluster: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    here = moonas.__version__
    monkeypatch.setattr(moonas, "__version__", "99.0")
    with pytest.raises(ClusterError, match=rf"has moonas {re.escape(here)}, but the loop is of 99\.0"):
        RayPool(Workers(**ONE), print)


def test_a_cluster_without_room_is_waited_for_and_the_wait_is_told(cluster: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moonas.worker.ray.FIRST", 1.0)
    told: list[str] = []
    waiting = RayPool(Workers(backend="ray", max_tasks=2, cpus_per_task=64), told.append)
    try:
        assert waiting.devices == ["", ""]
        assert told == ["waiting for the cluster: no machine has room for a task, which takes 64 CPU"]
        assert waiting.next_event(0.1) is None
    finally:
        waiting.close()


def test_what_stands_in_the_way_of_joining_a_cluster_is_told_soon() -> None:
    """In a process of its own, since this one is in a cluster."""
    code = (
        "import importlib.util, sys, time\n"
        "from moonas.errors import ClusterError\n"
        "from moonas.study.sections import Workers\n"
        "from moonas.worker.ray import RayPool\n"
        "def told(**workers):\n"
        "    began = time.monotonic()\n"
        "    try:\n"
        "        RayPool(Workers(backend='ray', **workers), print)\n"
        "    except ClusterError as error:\n"
        "        print(time.monotonic() - began < 30, error)\n"
        "told(address='127.0.0.1:1')\n"
        "told(address='ray://127.0.0.1:1')\n"
        "sys.argv.append('--storage=postgresql://me:secret@db/x')\n"
        "told(address='auto')\n"
        "importlib.util.find_spec = lambda name: None\n"
        "told()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    direct, client, password, missing = done.stdout.splitlines()
    assert direct.startswith("True no Ray cluster answers at 127.0.0.1:1: ")
    assert client.startswith("True no Ray cluster answers at ray://127.0.0.1:1: ")
    assert "MOONAS_STORAGE" in password
    assert "secret" not in done.stdout
    assert missing.endswith("pip install 'moonas[ray]'")
