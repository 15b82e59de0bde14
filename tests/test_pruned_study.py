"""A real study with pruning beside the same one without: what both finish is equal to the last bit."""

from pathlib import Path

import pytest

import moonas
from moonas.results.study import Study
from moonas.store.states import AttemptState, TaskState, TrialState

STUDY = {
    "name": "tiny",
    "data": {"name": "digits", "images": 200},
    "space": {"name": "darts-cnn", "nodes": 1},
    "search": {"channels": 2, "cells": 3},
    "final": {"channels": [2, 6], "cells": 3},
    "objectives": ["accuracy", "params"],
    "methods": ["direct"],
    "sampler": "random",
    "trials": 22,
    "protocol": {"name": "short", "epochs": 5, "batch": 32},
    "workers": {"devices": "cpu", "tasks_per_device": 1},
}
PRUNING = {"quantile": 0.5, "spared": 0.0}


def run(folder: Path, **changes: object) -> Study:
    return moonas.run({**STUDY, **changes, "artifacts": str(folder / "artifacts")}, storage=f"sqlite:///{folder}/study.db")


@pytest.mark.slow
def test_trainings_that_run_to_their_end_are_what_they_are_without_pruning(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    whole, pruned = run(tmp_path / "whole"), run(tmp_path, pruning=PRUNING)
    trials = list(zip(whole.trials(), pruned.trials(), strict=True))
    assert [one.params for one, _ in trials] == [other.params for _, other in trials]
    complete = [(one.values, other.values) for one, other in trials if other.state is TrialState.COMPLETE]
    assert len(complete) >= 11
    assert all(one == other for one, other in complete)
    given_up = pruned.store.tasks(pruned.record.id, state=TaskState.PRUNED)
    assert given_up
    attempts = {a.task_id: a for a in pruned.store.attempts(pruned.record.id)}
    curves = dict(whole.store.curves(whole.record.id))
    for task in given_up:
        why = task.result or {}
        assert attempts[task.id].state is AttemptState.PRUNED
        assert curves[task.key][why["epoch"] - 1] == why["accuracy"]
    finished = dict(pruned.store.curves(pruned.record.id))
    assert finished == {key: curve for key, curve in curves.items() if key in finished}
    kept = {evaluation.metrics["accuracy"] for evaluation in whole.store.evaluations(whole.record.id)}
    assert kept == {curve[-1] for curve in curves.values()}, "the last epoch's accuracy is the result's"
    left = [path.name for path in (tmp_path / "artifacts").rglob("*") if path.is_file()]
    assert all(name.endswith("-weights.safetensors") for name in left), "no checkpoint is left behind"
    assert len(left) == len(pruned.front())
