"""Optuna studies that moonas did not write: what becomes of them, read with moonas's own tools."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest

from moonas import api
from moonas.errors import StudyFileError, UsageError
from moonas.report.collect import report_data
from moonas.report.html import render
from moonas.store.records import TrialRecord
from moonas.study.functions import FUNCTIONS
from moonas.study.metrics import METRICS

optuna.logging.set_verbosity(optuna.logging.ERROR)
FLOAT, INT, CHOICE = (
    optuna.distributions.FloatDistribution,
    optuna.distributions.IntDistribution,
    optuna.distributions.CategoricalDistribution,
)


@pytest.fixture(autouse=True)
def registries(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test's studies make known is known to that test alone."""
    for registry in (METRICS, FUNCTIONS):
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))


@pytest.fixture
def address(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/optuna.db"


@pytest.fixture
def storage(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/study.db"


def made(address: str, *trials: dict[str, Any], **settings: Any) -> Any:
    """An Optuna study with these trials, in a storage."""
    study = optuna.create_study(storage=address, study_name="foreign", **settings)
    for trial in trials:
        study.add_trial(optuna.trial.create_trial(**{"state": optuna.trial.TrialState.COMPLETE, **trial}))
    return study


def trial(x: float, values: list[float], **more: Any) -> dict[str, Any]:
    return {"params": {"x": x}, "distributions": {"x": FLOAT(-2, 2)}, "values": values, **more}


def setting(record: TrialRecord) -> dict[str, Any]:
    return {name.removeprefix("setting."): value for name, value in record.params.items() if name.startswith("setting.")}


TWO = [trial(-1, [1, 9]), trial(0, [0, 4]), trial(1, [1, 1]), trial(2, [4, 0]), trial(-2, [4, 16])]


@pytest.mark.parametrize("form", ["sqlite:///{}/optuna.db", "{}/optuna.log"])
def test_a_study_that_optuna_ran_keeps_its_trials_and_its_front(tmp_path: Path, storage: str, form: str) -> None:
    """Schaffer's problem: x^2 against (x - 2)^2."""
    address = form.format(tmp_path)
    where = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(address)) if ":" not in address else address
    theirs = optuna.create_study(
        storage=where, study_name="schaffer", directions=["minimize", "minimize"], sampler=optuna.samplers.RandomSampler(seed=0)
    )
    theirs.optimize(lambda t: ((x := t.suggest_float("x", -4, 4)) ** 2, (x - 2) ** 2), n_trials=20)
    study = api.import_optuna(address, "schaffer", storage, metrics=["f1", "f2"])
    assert (study.state.value, [o.metric for o in study.config.objectives]) == ("COMPLETE", ["f1", "f2"])
    assert [setting(one) for one in study.trials()] == [one.params for one in theirs.trials]
    assert [list((one.values or {}).values()) for one in study.trials()] == [one.values for one in theirs.trials]
    assert {network.trial for network in study.front()} == {one.number for one in theirs.best_trials}
    assert study.config.methods[0].open["x"].to_json() == {"uniform": [-4, 4]}
    assert api.check_database(storage) == []


def test_fronts_choices_and_reports_work(address: str, storage: str) -> None:
    made(address, *TWO, directions=["minimize", "minimize"])
    study = api.import_optuna(address, "foreign", storage, metrics=["loss", "size"])
    assert [network.settings["x"] for network in study.front()] == [2, 1, 0], "the cheapest first"
    assert study.best(under={"size": 1}).settings == {"x": 1.0}
    assert study.best().settings == {"x": 0.0}
    assert study.best(weights={"loss": 1, "size": 1}).settings == {"x": 1.0}
    # The box: loss from 0 to 4 + 0.04, size from 0 to 16 + 0.16; the front's three steps by hand
    dominated = (4.04 - 0) * (16.16 - 4) + (4.04 - 1) * (4 - 1) + (4.04 - 4) * (1 - 0)
    assert study.front_history()[-1].hypervolume == pytest.approx(dominated / (4.04 * 16.16))
    page = render(report_data(study))
    assert "loss" in page
    assert "foreign" in page


def test_one_objective_that_is_maximised_and_named_by_optuna(address: str, storage: str) -> None:
    theirs = made(address, trial(0, [-3]), trial(1, [5]), trial(2, [2]), direction="maximize")
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        theirs.set_metric_names(["mean reward"])
    study = api.import_optuna(address, "foreign", storage, new_name="mine")
    assert (study.name, study.config.objectives[0].metric) == ("mine", "mean_reward")
    assert [network.values["mean_reward"] for network in study.front()] == [5.0] == [theirs.best_value]
    assert study.best(under={"mean_reward": 4}).trial == 1, "no worse than 4 means at least 4"
    assert (study.config.objectives[0].best, study.config.objectives[0].reference) == (5, pytest.approx(-3.08))


def test_objectives_without_names_are_counted(address: str, storage: str) -> None:
    made(address, *TWO, directions=["minimize", "maximize"])
    study = api.import_optuna(address, "foreign", storage)
    assert [o.metric for o in study.config.objectives] == ["value_0", "value_1"]
    assert {network.settings["x"] for network in study.front()} == {0, -1, -2}


def test_constraints_keep_trials_off_the_front_as_in_optuna(address: str, storage: str) -> None:
    theirs = made(
        address,
        trial(0, [0], constraints={"memory<=4": 2.5, "time": -1}),
        trial(1, [1], constraints={"memory<=4": 0, "time": -1}),
        trial(2, [2]),
        trial(-1, [1], constraints={"memory<=4": -1, "time": 0.5}),
        direction="minimize",
    )
    study = api.import_optuna(address, "foreign", storage, metrics=["cost"])
    assert [str(bound) for bound in study.config.constraints] == ["constraint_memory_4<=0", "constraint_time<=0"]
    assert [network.trial for network in study.front()] == [1] == [theirs.best_trial.number]
    assert study.best().trial == 1
    records = study.trials()
    assert [bool(record.violation) for record in records] == [True, False, False, True]
    assert (records[0].values or {})["constraint_memory_4"] == 2.5
    assert (records[2].values or {})["constraint_time"] == 0, "what says nothing of a constraint meets it"


def test_constraints_of_older_versions_are_read(address: str, storage: str) -> None:
    made(address, trial(0, [0], system_attrs={"constraints": [1.0]}), trial(1, [1], system_attrs={"constraints": [-1.0]}))
    study = api.import_optuna(address, "foreign", storage)
    assert [str(bound) for bound in study.config.constraints] == ["constraint_0<=0"]
    assert [network.trial for network in study.front()] == [1]


def test_states_attributes_and_reports_are_kept(address: str, storage: str) -> None:
    state = optuna.trial.TrialState
    theirs = made(
        address,
        trial(0, [3], user_attrs={"git": "abc", "loss": float("nan"), "lr": 0.1}),
        {**trial(1, [2]), "state": state.PRUNED, "intermediate_values": {1: 4.0, 5: 2.0}},
        {**trial(2, [1]), "values": None, "state": state.FAIL},
        trial(-1, [float("inf")]),
    )
    theirs.ask()
    study = api.import_optuna(address, "foreign", storage)
    assert [record.state.value for record in study.trials()] == ["COMPLETE", "PRUNED", "FAIL", "FAIL", "FAIL"]
    assert [record.reason for record in study.trials()][1:] == [
        "was pruned in Optuna",
        "failed in Optuna",
        "its values are not finite: inf",
        "was not finished when it was imported",
    ]
    assert study.trials()[0].sampler_attrs == {"user_attrs": {"git": "abc", "loss": "NaN", "lr": 0.1}}
    assert study.trials()[1].values == {"value_0": 2.0}
    assert [network.trial for network in study.archive()] == [0], "only what is complete counts"


def test_every_kind_of_parameter_becomes_a_range(address: str, storage: str) -> None:
    named = {
        "lr": FLOAT(1e-5, 1e-1, log=True),
        "layers": INT(1, 8),
        "drop": FLOAT(0, 0.5, step=0.1),
        "optimizer": CHOICE(["sgd", "adam", None, True, 1, 1.5]),
        "fixed": INT(3, 3),
        "seed": INT(0, 9),
    }
    values = {"lr": 1e-3, "layers": 2, "drop": 0.1, "optimizer": None, "fixed": 3, "seed": 4}
    wider = {"lr": FLOAT(1e-6, 1e-2, log=True), "momentum": FLOAT(0, 1)}
    made(
        address,
        {"params": values, "distributions": named, "values": [1]},
        {"params": {"lr": 1e-6, "momentum": 0.5}, "distributions": wider, "values": [2]},
    )
    study = api.import_optuna(address, "foreign", storage)
    assert {name: found.to_json() for name, found in study.config.methods[0].open.items()} == {
        "lr": {"log": [1e-6, 1e-1]},
        "layers": {"int": [1, 8]},
        "drop": {"uniform": [0, 0.5]},
        "optimizer": {"choice": ["sgd", "adam", "null", True, 1, 1.5]},
        "fixed": {"choice": [3]},
        "seed_": {"int": [0, 9]},
        "momentum": {"uniform": [0, 1]},
    }
    first, second = study.trials()
    assert setting(first) == {"lr": 1e-3, "layers": 2, "drop": 0.1, "optimizer": "null", "fixed": 3, "seed_": 4}
    assert setting(second) == {"lr": 1e-6, "momentum": 0.5}, "what a trial did not have, it does not have"
    assert "momentum" in render(report_data(study))


def test_trials_of_equal_parameters_are_replicates_of_one_point(address: str, storage: str) -> None:
    made(address, trial(0, [1]), trial(0, [3]), trial(1, [2.5]))
    study = api.import_optuna(address, "foreign", storage)
    assert [(network.settings["x"], network.values["value_0"], network.evaluations) for network in study.archive()] == [
        (0, 2.0, 2),
        (1, 2.5, 1),
    ]
    assert [record.replicate for record in study.trials()] == [0, 1, 0]


def test_imports_do_not_take_each_others_values_and_can_be_compared(tmp_path: Path, address: str, storage: str) -> None:
    made(address, *TWO, directions=["minimize", "minimize"])
    other = f"sqlite:///{tmp_path}/other.db"
    made(other, trial(0, [5, 5]), trial(2, [9, 0.5]), directions=["minimize", "minimize"])
    api.import_optuna(address, "foreign", storage)
    second = api.import_optuna(other, "foreign", storage, new_name="second")
    assert [list((record.values or {}).values()) for record in second.trials()] == [[5, 5], [9, 0.5]]
    found = api.compare("foreign", "second", storage=storage)
    assert [standing.in_union for standing in found.standings] == [3, 0]


def test_it_goes_to_optuna_again_and_comes_back(tmp_path: Path, address: str, storage: str) -> None:
    made(
        address,
        *TWO,
        {**trial(0, [1, 2]), "params": {"y": 1}, "distributions": {"y": INT(0, 2)}},
        directions=["minimize", "minimize"],
    )
    first = api.import_optuna(address, "foreign", storage, metrics=["a", "b"])
    again = f"sqlite:///{tmp_path}/again.db"
    assert api.export_optuna("foreign", again, storage) == 6
    exported = optuna.load_study(study_name="foreign", storage=again)
    assert [one.values for one in exported.trials] == [[1, 9], [0, 4], [1, 1], [4, 0], [4, 16], [1, 2]]
    back = api.import_optuna(again, "foreign", f"sqlite:///{tmp_path}/back.db")
    assert [network.to_json() for network in back.front()] == [network.to_json() for network in first.front()]
    with pytest.raises(UsageError, match="which names its metrics itself"):
        api.import_optuna(again, "foreign", f"sqlite:///{tmp_path}/back.db", new_name="other", metrics=["c", "d"])


def test_no_trial_can_be_asked_for_and_the_refusal_says_what_would_do(address: str, storage: str) -> None:
    made(address, *TWO, directions=["minimize", "minimize"])
    study = api.import_optuna(address, "foreign", storage, metrics=["loss", "size"], function="schaffer")
    told = r"publish it in a package as function.schaffer, with the parameters x and the metrics loss, size, .*\[{study: foreign}\]"
    with pytest.raises(UsageError, match=told):
        api.resume("foreign", storage)
    with pytest.raises(UsageError, match=told):
        api.validate(study.config.to_json())
    assert api.load_study("foreign", storage).state.value == "COMPLETE"


def test_its_trials_teach_a_sampler_once_the_function_is_installed(
    address: str, storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "packages" / "moonas_zdt"))
    from moonas_zdt import entries

    monkeypatch.setitem(FUNCTIONS._entries, "zdt1", entries.ZDT1)
    monkeypatch.setitem(METRICS._entries, "zdt_f1", entries.F1)
    monkeypatch.setitem(METRICS._entries, "zdt_f2", entries.F2)
    kinds = {name: FLOAT(0, 1) for name in ("x1", "x2", "x3")}
    theirs = optuna.create_study(storage=address, study_name="theirs", directions=["minimize", "minimize"])
    theirs.add_trial(optuna.create_trial(params={"x1": 0.25, "x2": 0, "x3": 0}, distributions=kinds, values=[0.25, 0.5]))
    api.import_optuna(address, "theirs", storage, metrics=["zdt_f1", "zdt_f2"], function="zdt1")
    study = {
        "name": "mine",
        "objectives": ["zdt_f1", "zdt_f2"],
        "methods": [{"name": "function", "function": "zdt1", **{name: {"uniform": [0, 1]} for name in kinds}}],
        "history": [{"study": "theirs"}],
        "sampler": "tpe",
        "trials": 2,
    }
    from moonas.outer.past import with_past
    from moonas.outer.plan import Plan
    from moonas.store.store import Store
    from moonas.study.loading import study_from

    with Store.open(storage, read_only=True) as store:
        (past,) = with_past(Plan(study_from(study)), store)
    assert past.trials is not None
    assert [row["metrics.zdt_f2"] for row in past.trials.values()] == [0.5]


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        (["loss"], "has 2 objectives; name each of them once, not loss"),
        (["loss", "loss"], "name each of them once"),
        (["loss", "size in MB"], "'size in MB' is no name for a metric"),
        (["loss", "accuracy"], "accuracy is a metric already, to maximize and not to minimize; it needs another name"),
        (["loss", "latency_ms"], "latency_ms is a metric of moonas that no function returns"),
    ],
)
def test_names_that_do_not_do_are_refused_and_nothing_is_made(address: str, storage: str, metrics: list[str], words: str) -> None:
    made(address, *TWO, directions=["minimize", "minimize"])
    with pytest.raises(UsageError, match=words):
        api.import_optuna(address, "foreign", storage, metrics=metrics)
    assert api.list_studies(storage) == []


def test_metrics_of_one_database_go_in_one_direction_each(tmp_path: Path, address: str, storage: str) -> None:
    made(address, trial(0, [1]), direction="minimize")
    other = f"sqlite:///{tmp_path}/other.db"
    made(other, trial(0, [1]), direction="maximize")
    api.import_optuna(address, "foreign", storage)
    with pytest.raises(StudyFileError, match="value_0 is a metric already, to minimize and not to maximize; it needs another name"):
        api.import_optuna(other, "foreign", storage, new_name="second")
    assert api.import_optuna(other, "foreign", storage, new_name="second", metrics=["reward"]).front()[0].values == {"reward": 1}


def test_a_study_without_a_complete_trial_comes_in_without_a_front(address: str, storage: str) -> None:
    made(address, direction="minimize")
    study = api.import_optuna(address, "foreign", storage)
    assert (study.trials(), study.front(), study.state.value) == ([], [], "COMPLETE")


def test_the_command_line_brings_one_in_and_another_process_reads_it(tmp_path: Path, address: str, storage: str) -> None:
    import subprocess

    made(address, *TWO, directions=["minimize", "minimize"])

    def moonas(*arguments: str) -> str:
        command = [sys.executable, "-m", "moonas", *arguments, "--storage", storage]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert "loss" in moonas("import-optuna", address, "foreign", "--metrics", "loss,size", "--function", "schaffer")
    assert len(json.loads(moonas("trials", "foreign", "--format", "json"))) == 5
    (best,) = [json.loads(moonas("best", "foreign", "--under", "loss=1", "--weights", "size=1,loss=0", "--format", "json"))]
    assert best["metrics"]["size"]["value"] == 1
