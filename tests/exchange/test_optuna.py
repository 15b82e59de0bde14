"""Studies in Optuna's storages: what Optuna reads there, that it draws it, and that they come back whole."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest

from moonas import api
from moonas.architecture import Architecture
from moonas.errors import StudyConflictError, UsageError
from moonas.results.study import Study
from moonas.store.store import Store
from moonas.worker.local import Event
from tests.outer.fakes import Crash, FakePool, drive, small_study

OPEN = small_study(
    methods=["random", {"name": "darts", "alpha_lr": {"log": [1e-4, 1e-2]}, "batch": {"int": [8, 12]}}],
    budgets={"params": ["20%", "none"]},
    final={"channels": [4, 8], "cells": 5},
    constraints=["accuracy>=0.85"],
    sampler="random",
    trials=10,
    replicates=1,
)


def lost(spec: Mapping[str, Any]) -> Event | None:
    """One search of the study fails."""
    gone = spec["kind"] == "search" and spec["method"]["name"] == "random" and spec["final"]["channels"] == 8
    return Event(0, "error", {"reason": "NonFiniteLossError: NaN", "traceback": ""}) if gone else None


@pytest.fixture
def storage(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/study.db"


@pytest.fixture
def study(storage: str) -> Study:
    with Store.open(storage, create=True) as store:
        drive(store, OPEN, FakePool(1, spoil=lost))
    return api.load_study("small", storage)


@pytest.mark.parametrize("form", ["sqlite:///{}/optuna.db", "{}/optuna.log"])
def test_optuna_reads_every_trial_under_its_number(study: Study, storage: str, tmp_path: Path, form: str) -> None:
    address = form.format(tmp_path)
    assert api.export_optuna("small", address, storage) == 10
    where = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(address)) if ":" not in address else address
    found = optuna.load_study(study_name="small", storage=where)
    assert [direction.name for direction in found.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert found.metric_names == ["accuracy", "params"]
    assert {trial.state.value for trial in study.trials()} == {"COMPLETE", "FAIL"}
    primary = {candidate.trial: candidate for candidate in study.store.candidates(study.record.id)}
    for ours, theirs in zip(study.trials(), found.trials, strict=True):
        assert (theirs.number, theirs.state.name) == (ours.number, ours.state.value)
        assert theirs.datetime_complete is not None
        assert theirs.datetime_complete.timestamp() == pytest.approx(ours.finished)
        assert theirs.params.pop("method") == ours.params["method"]
        assert theirs.params.pop("budget") == ours.params["budget"]
        assert theirs.params.pop("channels") == ours.params["channels"]
        settings = {name.removeprefix("setting."): value for name, value in ours.params.items() if name.startswith("setting.")}
        assert theirs.params == {f"darts.{name}": value for name, value in settings.items()}
        if ours.values is None:
            assert (theirs.values, theirs.user_attrs["reason"]) == (None, ours.reason)
            continue
        assert theirs.values == [ours.values["accuracy"], ours.values["params"]]
        assert theirs.constraints["accuracy>=0.85"] == pytest.approx(max(0.0, 0.85 - ours.values["accuracy"]))
        assert theirs.user_attrs["test_accuracy"] == ours.values["test_accuracy"]
        assert theirs.user_attrs["architecture"] == primary[ours.number].architecture
        genotype = Architecture.from_genotype(theirs.user_attrs["genotype"])
        assert genotype.key == primary[ours.number].architecture
    lr = next(trial.distributions["darts.alpha_lr"] for trial in found.trials if "darts.alpha_lr" in trial.params)
    assert (lr.low, lr.high, lr.log) == (1e-4, 1e-2, True)


def test_optuna_draws_it(study: Study, storage: str, tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/optuna.db"
    api.export_optuna("small", address, storage)
    found = optuna.load_study(study_name="small", storage=address)
    complete = [trial.values for trial in study.trials() if trial.values]
    drawn = optuna.visualization.plot_pareto_front(found)
    points = {(x, y) for trace in drawn.data for x, y in zip(trace.x or (), trace.y or (), strict=True)}
    assert points == {(values["accuracy"], values["params"]) for values in complete}
    bars = optuna.visualization.plot_param_importances(
        found, target=lambda trial: trial.values[1], target_name="params", params=["budget", "channels"]
    )
    assert set(bars.data[0].y) == {"budget", "channels"}


def test_exporting_again_updates_and_spares_what_is_not_ours(storage: str, tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/optuna.db"
    with Store.open(storage, create=True) as store:
        drive(store, OPEN | {"trials": 3}, FakePool(1))
        assert api.export_optuna("small", address, storage) == 3
        drive(store, OPEN, FakePool(1))
    assert api.export_optuna("small", address, storage) == 10
    found = optuna.load_study(study_name="small", storage=address)
    assert [trial.number for trial in found.trials] == list(range(10))
    found.enqueue_trial({"channels": 4})
    with pytest.raises(StudyConflictError, match="trials that moonas did not write; --replace"):
        api.export_optuna("small", address, storage)
    optuna.create_study(study_name="other", storage=address)
    with Store.open(storage) as store:
        drive(store, OPEN | {"name": "other", "trials": 1}, FakePool(1))
    with pytest.raises(StudyConflictError, match="another study 'other'"):
        api.export_optuna("other", address, storage)
    assert api.export_optuna("other", address, storage, replace=True) == 1
    assert len(optuna.load_study(study_name="other", storage=address).trials) == 1


@pytest.mark.parametrize("objectives", [["accuracy", "params"], ["accuracy", {"metric": "latency_ms", "reference": 20}]])
def test_a_study_comes_back_with_its_trials_and_its_front(storage: str, tmp_path: Path, objectives: list[Any]) -> None:
    with Store.open(storage, create=True) as store:
        drive(store, small_study(objectives=objectives, decode={"extra": 1}), FakePool(1))
    address, other = f"sqlite:///{tmp_path}/optuna.db", f"sqlite:///{tmp_path}/other.db"
    api.export_optuna("small", address, storage)
    there, back = api.load_study("small", storage), api.import_optuna(address, "small", other, new_name="back")
    assert (back.state.value, back.name) == ("COMPLETE", "back")
    assert [network.to_json() for network in back.front()] == [network.to_json() for network in there.front()]
    assert [network.to_json() for network in back.archive()] == [network.to_json() for network in there.archive()]
    for ours, theirs in zip(there.trials(), back.trials(), strict=True):
        assert (theirs.number, theirs.state, theirs.params, theirs.values) == (ours.number, ours.state, ours.params, ours.values)
    assert back.front_history()[-1].hypervolume == there.front_history()[-1].hypervolume
    assert api.check_database(other) == []
    with pytest.raises(StudyConflictError, match="give the imported one another --name"):
        api.import_optuna(address, "small", other, new_name="back")


def test_a_study_that_is_not_finished_is_exported_as_it_is_and_comes_back_with_failures(storage: str, tmp_path: Path) -> None:
    address, other = f"sqlite:///{tmp_path}/optuna.db", f"sqlite:///{tmp_path}/other.db"
    alone = small_study(objectives=["accuracy"], budgets={"params": ["none"]})
    with Store.open(storage, create=True) as store, pytest.raises(Crash):
        drive(store, alone, FakePool(1, crash_after=10))
    api.export_optuna("small", address, storage)
    first, second = optuna.load_study(study_name="small", storage=address).trials
    assert (first.state.name, first.intermediate_values) == ("COMPLETE", {1: 0.5, 2: 0.5, 3: 0.5})
    assert (second.state.name, second.values) == ("RUNNING", None)
    done, failed = api.import_optuna(address, "small", other).trials()
    assert (done.state.value, done.values) == ("COMPLETE", api.load_study("small", storage).trials()[0].values)
    assert (failed.state.value, failed.reason) == ("FAIL", "was not finished when it was exported")


def test_what_is_not_there_is_refused_and_nothing_is_made(tmp_path: Path) -> None:
    address, storage = f"sqlite:///{tmp_path}/optuna.db", f"sqlite:///{tmp_path}/study.db"
    with pytest.raises(UsageError, match="there is no Optuna storage"):
        api.import_optuna(address, "quadratic", storage)
    quadratic = optuna.create_study(study_name="quadratic", storage=address)
    quadratic.optimize(lambda trial: trial.suggest_float("x", -1, 1) ** 2, n_trials=1)
    with pytest.raises(UsageError, match="'quadratc'; did you mean 'quadratic'"):
        api.import_optuna(address, "quadratc", storage)
    assert [path.name for path in tmp_path.iterdir()] == ["optuna.db"]


def test_a_study_that_moonas_wrote_in_part_only_is_refused(study: Study, storage: str, tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/optuna.db"
    api.export_optuna("small", address, storage)
    optuna.load_study(study_name="small", storage=address).enqueue_trial({"channels": 4})
    with pytest.raises(UsageError, match="moonas did not write trial 10 of the Optuna study 'small'"):
        api.import_optuna(address, "small", storage, new_name="back")
