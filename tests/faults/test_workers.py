"""Real workers that die, hang, run out of memory or cannot start: the front in the end is that of a run nobody disturbed."""

import json
import os
import random
import time
from pathlib import Path
from typing import Any

import pytest

import moonas
from moonas.errors import TaskError
from moonas.outer.loop import Loop
from moonas.store.states import AttemptState, StudyState, TrialState
from tests.faults.small import EPOCHS, STUDY, Watching, front, kill_worker, run

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="looks processes up in /proc")


@pytest.fixture
def faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets the workers of this test go wrong."""

    def set_up(*faults: dict[str, Any]) -> None:
        (tmp_path / "faults").mkdir()
        monkeypatch.setenv("FAULTS", json.dumps(faults))
        monkeypatch.setenv("FAULT_FOLDER", str(tmp_path / "faults"))
        monkeypatch.setattr("moonas.worker.local.WORKER", "tests.faults.faulty_process")

    return set_up


def attempts_of(study: Any) -> list[Any]:
    return study.store.attempts(study.record.id)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_workers_that_hang_are_killed_with_their_children(undisturbed: Any, faults: Any, tmp_path: Path) -> None:
    faults({"kind": "holds the interpreter"})
    patient = {**STUDY["workers"], "task_timeout": 10, "max_attempts": 20}  # reading data on a busy machine may look like a hang
    study = run(tmp_path, workers=patient)
    assert front(study) == undisturbed
    hung = [attempt for attempt in attempts_of(study) if attempt.state is AttemptState.FAIL]
    assert {attempt.reason for attempt in hung} == {"no report for 10 s (task_timeout): the worker hung and was killed"}
    assert any("in go_wrong" in attempt.error for attempt in hung)  # where it hung, by its log
    assert not is_alive(int((tmp_path / "faults" / "child").read_text()))
    assert not any(is_alive(int(attempt.worker.rpartition("/")[2])) for attempt in hung)


def test_a_segmentation_fault_is_told_with_the_line_it_happened_in(undisturbed: Any, faults: Any, tmp_path: Path) -> None:
    faults({"kind": "segmentation fault", "epoch": 3})
    watcher = Watching()
    study = run(tmp_path, watcher)
    assert front(study) == undisturbed
    first, second, _ = attempts_of(study)
    assert (first.state, second.state) == (AttemptState.FAIL, AttemptState.COMPLETE)
    assert first.reason == "the worker process was killed by SIGSEGV"
    assert "in go_wrong" in first.error
    steps = [step.attempt_id for step in study.store.progress(first.task_id)]
    assert steps == [first.id] * 3 + [second.id] * (EPOCHS - 3)  # from its last checkpoint
    assert any("starting the task again from its last checkpoint" in line for line in watcher.lines)


def test_memory_that_runs_out_halves_the_batch_and_the_results_say_so(faults: Any, tmp_path: Path) -> None:
    faults(
        {"kind": "out of memory", "fits": 16, "epoch": 2, "times": 9},
        {"kind": "out of memory", "fits": 40, "task": "evaluate", "epoch": 0, "times": 9},
    )
    study = run(tmp_path)
    search_lost, search, training_lost, training = attempts_of(study)
    assert search_lost.reason.endswith("; once more with half the batch, 16 images")
    assert "can't allocate memory: you tried to allocate 1000000000000000 bytes" in search_lost.reason
    assert "in go_wrong" in search_lost.error
    assert training_lost.reason.endswith("once more with half the batch, 32 images")
    assert (search.state, training.state) == (AttemptState.COMPLETE, AttemptState.COMPLETE)
    assert [step.attempt_id for step in study.store.progress(search.task_id)] == [search_lost.id] * 2 + [search.id] * (EPOCHS - 2)
    (found,) = study.store.tasks(study.record.id, kind="search")
    assert found.result["device"]["halved_batch"] == 16
    assert found.spec["method"]["batch"] == 32
    (evaluation,) = study.store.evaluations(study.record.id)
    assert evaluation.device["halved_batch"] == 32
    (member,) = study.front()
    assert member.metrics["accuracy"].halved == 1
    assert study.halved() == {0: "half the batch after memory ran out: search 16, evaluation 32 images"}


def test_a_broken_installation_stops_the_study_with_the_last_words_of_a_worker(faults: Any, tmp_path: Path) -> None:
    faults({"kind": "broken installation"})
    with pytest.raises(TaskError, match=r"no worker can start here(.|\n)*libcudart\.so\.13(.|\n)*moonas resume tiny"):
        run(tmp_path)
    study = moonas.load_study("tiny", f"sqlite:///{tmp_path}/study.db")
    assert study.state is StudyState.PAUSED
    assert study.store.state_note(study.record.id) == (
        "no worker can start here: the worker process ended with exit code 1 before it could take a task"
    )
    assert [attempt.state for attempt in attempts_of(study)] == [AttemptState.FAIL] * 3
    assert [trial.state for trial in study.trials()] == [TrialState.RUNNING]


def test_a_gpu_that_torch_cannot_use_pauses_the_study(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-00000000-0000-0000-0000-000000000000")
    with pytest.raises(TaskError, match=r"can use no GPU here \(CUDA_VISIBLE_DEVICES=GPU-0(.|\n)*devices: cpu"):
        run(tmp_path, workers={})


def killing(rng: random.Random, times: int) -> tuple[Watching, list[float]]:
    """Kills the worker at random moments, every other time also while it starts; the time of each kill."""
    killed: list[float] = []
    due = [time.monotonic() + 1]

    def tick(loop: Loop) -> None:
        running = loop.slots.running.get(0)
        may_kill = running is not None and (running.begun or len(killed) % 2 == 0)
        if may_kill and len(killed) < times and time.monotonic() > due[0]:
            killed.append(time.monotonic())
            due[0] = killed[-1] + rng.uniform(0.2, 6.0)
            kill_worker(loop)

    return Watching(tick), killed


@pytest.mark.parametrize("times", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_workers_killed_at_random_moments_change_nothing(undisturbed: Any, tmp_path: Path, times: int) -> None:
    watcher, killed = killing(random.Random(times), times)
    longer = {**STUDY["workers"], "max_attempts": 99}
    study = run(tmp_path, watcher, workers=longer)
    assert killed
    assert front(study) == undisturbed
    lost = [attempt for attempt in attempts_of(study) if attempt.state is AttemptState.FAIL]
    assert 1 <= len(lost) <= len(killed)
    assert {"killed by SIGKILL" in attempt.reason for attempt in lost} == {True}
    assert moonas.api.check_database(f"sqlite:///{tmp_path}/study.db") == []
    assert [trial.state for trial in study.trials()] == [TrialState.COMPLETE]


def test_a_stopped_worker_does_not_outlive_its_loop(tmp_path: Path) -> None:
    """It cannot read that its input has ended; the system kills it with its parent."""
    import signal
    import subprocess
    import sys

    program = (
        "from moonas.worker.local import LocalPool\nimport time\nprint(LocalPool(['cpu']).ready(0), flush=True)\ntime.sleep(600)"
    )
    loop = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert loop.stdout is not None
    worker = int(loop.stdout.readline().strip().rpartition("/")[2])
    while "moonas.worker.process" not in Path(f"/proc/{worker}/cmdline").read_text() or not _dies_with_its_parent(worker):
        time.sleep(0.02)
    os.kill(worker, signal.SIGSTOP)
    loop.kill()
    loop.wait()
    deadline = time.monotonic() + 10
    while is_alive(worker) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_alive(worker)


def _dies_with_its_parent(pid: int) -> bool:
    """Whether it has come so far as to ask for it: torch is being imported."""
    return "torch" in Path(f"/proc/{pid}/maps").read_text()
