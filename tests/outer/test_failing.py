"""Attempts that fail in other ways than by an exception: hangs, memory, workers that do not start, devices that others use."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from moonas.errors import TaskError
from moonas.outer import failing
from moonas.outer.failing import Failures, Patience
from moonas.outer.work import OpenTask, Running
from moonas.results.study import Study
from moonas.store.records import TaskRecord
from moonas.store.states import AttemptState, StudyState, TaskState, TrialState
from moonas.store.store import Store
from tests.outer.fakes import Crash, FakePool, Notes, drive, small_study

ONE = small_study(replicates=1, methods=["darts"], budgets={"params": ["none"]})  # one search, one evaluation


@pytest.fixture
def store(tmp_path: Path) -> Store:
    with Store.open(f"sqlite:///{tmp_path}/study.db", create=True) as opened:
        yield opened


def with_workers(**workers: Any) -> dict[str, Any]:
    return {**ONE, "workers": workers}


class Spoiling(FakePool):
    """The first `times` searches do not come to a result: `spoilt` says what happens instead, or that nothing does."""

    def __init__(self, times: int, spoilt: tuple[str, Mapping[str, Any]] | None, slots: int = 1, **options: Any) -> None:
        super().__init__(slots, **options)
        self.left, self.spoilt = times, spoilt

    def start(self, slot: int, task: Mapping[str, Any]) -> None:
        if task["spec"]["kind"] != "search" or not self.left:
            super().start(slot, task)
            return
        self.started.append(dict(task))
        self.left -= 1
        self._tell(slot, *(self.spoilt or ("begun", {})))


def test_a_task_that_does_not_report_is_killed_and_started_again(store: Store) -> None:
    pool, notes = Spoiling(1, None), Notes()
    assert drive(store, with_workers(task_timeout=0.05), pool, notes) is StudyState.COMPLETE
    reason = "no report for 0.05 s (task_timeout): the worker hung and was killed"
    assert pool.killed == [(0, reason)]
    attempts = store.attempts(store.study("small").id)
    assert [(a.kind, a.state, a.reason) for a in attempts] == [
        ("search", AttemptState.FAIL, reason),
        ("search", AttemptState.COMPLETE, None),
        ("evaluate", AttemptState.COMPLETE, None),
    ]
    assert any(reason in line and "again from its last checkpoint" in line for line in notes.lines)


def test_a_task_that_hangs_every_time_is_given_up_after_max_attempts(store: Store) -> None:
    pool = Spoiling(99, None)
    drive(store, with_workers(task_timeout=0.02, max_attempts=2), pool)
    assert len(pool.killed) == 2
    trial = Study(store, "small").trials()[0]
    assert trial.state is TrialState.FAIL
    assert "task_timeout" in (trial.reason or "")


def test_time_in_which_the_loop_did_not_listen_is_not_held_against_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = {"now": 100.0}
    monkeypatch.setattr(failing.time, "monotonic", lambda: clock["now"])
    patience, running = Patience(10.0), Running(None, 1, "w", began=100.0, heard=100.0, begun=True)  # type: ignore[arg-type]
    for now, hangs in ((100.9, False), (161.0, False), (161.5, False), (162.4, False), (163.0, False)):
        clock["now"] = now  # at 161 it comes back from a minute's wait for the database
        assert bool(patience.lost({0: running})) is hangs, now
    for _ in range(9):
        clock["now"] += 0.95
        told = patience.lost({0: running})
    assert told == {0: "no report for 10 s (task_timeout): the worker hung and was killed"}
    clock["now"] += 0.5
    assert patience.lost({0: running}) == {}


def test_a_worker_has_some_minutes_to_start_before_it_counts_as_hanging(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = {"now": 0.0}
    monkeypatch.setattr(failing.time, "monotonic", lambda: clock["now"])
    patience, starting = Patience(10.0), Running(None, 1, "w", began=0.0, heard=0.0)  # type: ignore[arg-type]
    told = {}
    while not told:
        told = patience.lost({3: starting})
        clock["now"] += 0.5
    assert clock["now"] == pytest.approx(301)
    assert told == {3: "no report for 300 s (task_timeout): the worker hung and was killed"}


def out_of_memory(spec: Mapping[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
    return "out of memory", {"reason": "OutOfMemoryError: CUDA out of memory", "traceback": "Traceback: in conv2d"}


def test_memory_that_ran_out_is_tried_once_more_with_half_the_batch(store: Store) -> None:
    pool = Spoiling(1, out_of_memory())
    assert drive(store, {**ONE, "workers": {"max_attempts": 1}}, pool) is StudyState.COMPLETE
    searches = [task for task in pool.started if task["spec"]["kind"] == "search"]
    assert [task.get("batch") for task in searches] == [None, 32]  # the default of DARTS is 64
    assert searches[0]["spec"] == searches[1]["spec"]
    assert "batch" not in pool.started[-1]
    study = store.study("small").id
    first = store.attempts(study)[0]
    assert first.reason == "OutOfMemoryError: CUDA out of memory; once more with half the batch, 32 images"
    assert first.error == "Traceback: in conv2d"
    (event,) = [event for event in store.events(study) if event.kind == "out of memory"]
    assert event.data == {"task": first.task_id, "batch": 32}


def test_memory_that_runs_out_with_half_the_batch_too_ends_the_trial(store: Store) -> None:
    pool = Spoiling(99, out_of_memory())
    drive(store, ONE, pool)
    assert len(pool.started) == 2
    (trial,) = Study(store, "small").trials()
    assert trial.state is TrialState.FAIL
    assert trial.reason == "its search failed: OutOfMemoryError: CUDA out of memory, with half the batch too"


def test_a_loop_that_dies_remembers_the_half_batch(store: Store) -> None:
    with pytest.raises(Crash):
        drive(store, ONE, Spoiling(1, out_of_memory(), crash_after=2))
    pool = FakePool()
    assert drive(store, ONE, pool) is StudyState.COMPLETE
    assert pool.started[0]["batch"] == 32


def test_a_task_without_a_batch_is_not_tried_again(store: Store) -> None:
    named = small_study(replicates=1, methods=["random"], budgets={"params": ["none"]})
    pool = Spoiling(99, out_of_memory())
    drive(store, named, pool)
    assert len(pool.started) == 1
    assert Study(store, "small").trials()[0].reason == "its search failed: OutOfMemoryError: CUDA out of memory"


def test_workers_that_cannot_start_stop_the_study_soon_and_blame_no_trial(store: Store) -> None:
    broken = ("died", {"reason": "the worker process ended with exit code 1", "log": "ImportError: libcudart", "started": False})
    pool = Spoiling(99, broken, slots=2)
    with pytest.raises(TaskError, match=r"no worker can start here(.|\n)*ImportError: libcudart(.|\n)*moonas resume small"):
        drive(store, small_study(methods=["darts"]), pool)
    assert len(pool.started) <= 4
    study = Study(store, "small")
    assert study.state is StudyState.PAUSED
    assert {trial.state for trial in study.trials()} <= {TrialState.RUNNING, TrialState.WAITING}
    assert drive(store, small_study(methods=["darts"]), FakePool()) is StudyState.COMPLETE


def test_workers_that_start_now_and_then_do_not_stop_a_study() -> None:
    failures, task = Failures(max_attempts=3), open_task()
    unstarted = {"reason": "killed by SIGKILL", "log": "", "started": False}
    for _ in range(4):
        assert not failures.judge(task, "cpu", "died", unstarted).unable
        assert not failures.judge(task, "cpu", "died", unstarted).unable
        failures.worked()
    assert task.died_on == []


def open_task() -> OpenTask:
    record = TaskRecord(1, "search", "k", {}, TaskState.WAITING, None, 0.0, None, None, (), ())
    return OpenTask(record, TaskState.WAITING, None)


class OnGpus(FakePool):
    """Two GPUs. used: by others, as of each look."""

    def __init__(self, used: Mapping[str, int], dies_on: tuple[str, ...] = ()) -> None:
        super().__init__(2)
        self.devices, self.used, self.dies_on = ["cuda:0", "cuda:1"], dict(used), dies_on

    def busy(self, slot: int) -> str:
        looks = self.used.get(self.devices[slot], 0)
        self.used[self.devices[slot]] = looks - 1
        return "process 7" if looks > 0 else ""

    def start(self, slot: int, task: Mapping[str, Any]) -> None:
        if self.devices[slot] in self.dies_on and task["spec"]["kind"] == "search":
            self._tell(slot, "died", {"reason": "killed by SIGSEGV", "log": ""})
        else:
            super().start(slot, task)


def test_a_loop_waits_for_a_device_that_others_use_and_says_so_once(store: Store) -> None:
    notes = Notes()
    assert drive(store, ONE, OnGpus({"cuda:0": 6, "cuda:1": 6}), notes) is StudyState.COMPLETE
    told = [line for line in notes.lines if "idle" in line]
    assert told == ["waiting for an idle device: cuda:1 is used by others (process 7)"]


def test_what_others_use_is_left_alone_while_the_rest_works(store: Store) -> None:
    notes = Notes()
    assert drive(store, small_study(), OnGpus({"cuda:1": 10**6}), notes) is StudyState.COMPLETE
    assert {attempt.device for attempt in store.attempts(store.study("small").id)} == {"cuda:0"}
    assert not any("idle" in line for line in notes.lines)


def test_each_time_that_nothing_is_idle_is_told(store: Store) -> None:
    class Later(OnGpus):
        looks = 0

        def busy(self, slot: int) -> str:
            self.looks += 1
            return "process 7" if slot == 1 or self.looks in (*range(9, 14), *range(30, 34)) else ""

    notes = Notes()
    assert drive(store, small_study(), Later({}), notes) is StudyState.COMPLETE
    assert sum("waiting for an idle device" in line for line in notes.lines) == 2


@pytest.mark.parametrize("broken", ["cuda:0", "cuda:1"])
def test_a_task_whose_worker_died_is_started_on_another_device(store: Store, broken: str) -> None:
    assert drive(store, small_study(replicates=4), OnGpus({}, dies_on=(broken,))) is StudyState.COMPLETE
    attempts = store.attempts(store.study("small").id)
    died = [attempt.task_id for attempt in attempts if attempt.state is AttemptState.FAIL]
    assert died
    assert len(died) == len(set(died))  # each died once, and was then done on the other


def test_a_task_whose_worker_died_everywhere_is_not_kept_waiting(store: Store) -> None:
    drive(store, {**ONE, "workers": {"max_attempts": 4}}, OnGpus({}, dies_on=("cuda:0", "cuda:1")))
    attempts = store.attempts(store.study("small").id)
    assert [attempt.state for attempt in attempts] == [AttemptState.FAIL] * 4
    assert {attempt.device for attempt in attempts[:2]} == {"cuda:0", "cuda:1"}
