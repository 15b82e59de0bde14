"""Slots on a real GPU."""

from pathlib import Path
from typing import Any

import pytest

from moonas.store.states import AttemptState, TrialState
from tests.faults.small import STUDY, Watching, front, kill_worker, run

pytestmark = pytest.mark.gpu

ON_GPU: dict[str, Any] = {"workers": {"devices": [0], "tasks_per_device": 4, "max_attempts": 9}, "replicates": 4}


def test_four_slots_on_one_gpu_find_what_one_does_though_a_worker_is_killed(tmp_path: Path) -> None:
    for name in ("one", "four"):
        (tmp_path / name).mkdir()
    one = run(tmp_path / "one", **{**ON_GPU, "workers": {"devices": [0]}})
    killed: list[int] = []

    def tick(loop: Any) -> None:
        if not killed and 0 in loop.slots.running and loop.slots.running[0].task.progress:
            killed.append(1)
            kill_worker(loop)

    four = run(tmp_path / "four", Watching(tick), **ON_GPU)
    assert front(four) == front(one)
    attempts = four.store.attempts(four.record.id)
    assert [attempt.reason for attempt in attempts if attempt.state is AttemptState.FAIL] == [
        "the worker process was killed by SIGKILL; the machine may have run out of memory"
    ]
    assert {attempt.device for attempt in attempts} == {"cuda:0"}
    assert {evaluation.device["type"] for evaluation in four.store.evaluations(four.record.id)} == {"cuda"}


def test_memory_of_the_gpu_that_runs_out_halves_the_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "faults").mkdir()
    monkeypatch.setenv("FAULTS", '[{"kind": "out of memory", "fits": 16, "times": 9}]')
    monkeypatch.setenv("FAULT_FOLDER", str(tmp_path / "faults"))
    monkeypatch.setattr("moonas.worker.local.WORKER", "tests.faults.faulty_process")
    study = run(tmp_path, **{**ON_GPU, "replicates": 1})
    lost = study.store.attempts(study.record.id)[0]
    assert lost.reason.startswith("OutOfMemoryError: CUDA out of memory")
    assert study.halved() == {0: "half the batch after memory ran out: search 16 images"}
    assert {trial.state for trial in study.trials()} == {TrialState.COMPLETE}


def test_nvml_knows_the_gpu(tmp_path: Path) -> None:
    pytest.importorskip("pynvml")
    study = run(tmp_path, workers={**STUDY["workers"], "devices": [0], "only_idle": True})
    assert {trial.state for trial in study.trials()} == {TrialState.COMPLETE}
