"""One network whose training is varied: the points of a front differ by their recipes alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from moonas.errors import StudyFileError
from moonas.outer.plan import Plan
from moonas.results.study import Study
from moonas.store.states import StudyState, TrialState
from moonas.store.store import Store
from moonas.study.loading import study_from
from moonas.worker.local import Event
from tests.outer.fakes import FakePool, drive, result_of

CELL = "Genotype(normal=[('skip_connect', 0), ('sep_conv_3x3', 1)], normal_concat=[2], reduce=[('skip_connect', 0), ('skip_connect', 1)], reduce_concat=[2])"  # noqa: E501 - one cell
FIXED: dict[str, Any] = {
    "name": "recipes",
    "data": "digits",
    "space": {"name": "darts-cnn", "nodes": 1, "operations": ["skip_connect", "sep_conv_3x3"]},
    "search": {"channels": 2, "cells": 3},
    "final": {"channels": 2, "cells": 3},
    "objectives": ["accuracy", {"metric": "train_seconds", "reference": 10}],
    "methods": [{"name": "fixed", "architecture": CELL, "epochs": [2, 4, 8], "lr": [0.1, 0.2]}],
    "replicates": 2,
}


class Recipes(FakePool):
    """Longer training is better and dearer, a rate of 0.2 worse at the same price; replicates differ by 0.01."""

    def start(self, slot: int, task: Mapping[str, Any]) -> None:
        spec = task["spec"]
        self.started.append(dict(task))
        assert spec["timed"]
        accuracy = 0.5 + 0.05 * spec["protocol"]["epochs"] - spec["protocol"]["lr"] + 0.01 * spec["replicate"]
        metrics = {"accuracy": accuracy, "test_accuracy": accuracy, "train_seconds": float(spec["protocol"]["epochs"])}
        self._tell(slot, "result", {"result": {**result_of(spec), "metrics": metrics}})


@pytest.fixture
def study(tmp_path: Path) -> Study:
    store = Store.open(f"sqlite:///{tmp_path}/study.db", create=True)
    assert drive(store, FIXED, Recipes()) is StudyState.COMPLETE
    return Study(store, "recipes")


def test_every_recipe_is_a_point_of_its_own_with_the_mean_of_its_replicates(study: Study) -> None:
    archive = study.archive()
    assert len(archive) == 6
    assert len({network.key for network in archive}) == 1
    for network in archive:
        epochs, rate = network.settings["epochs"], network.settings["lr"]
        assert network.metrics["accuracy"].value == pytest.approx(0.5 + 0.05 * epochs - rate + 0.005)
        assert network.metrics["train_seconds"].value == epochs
        assert network.evaluations == 2


def test_the_front_holds_the_recipes_that_no_other_beats_in_accuracy_and_time(study: Study) -> None:
    front = study.front()
    assert [(network.settings["epochs"], network.settings["lr"]) for network in front] == [(2, 0.1), (4, 0.1), (8, 0.1)]
    assert [network.settings for network in front] == [network.settings for network in study.archive() if network.on_front]
    assert [row["settings"] for row in (network.to_json() for network in front)] == [dict(n.settings) for n in front]
    assert study.best(under={"train_seconds": 5}).settings == {"epochs": 4, "lr": 0.1}


def test_nothing_is_searched_and_each_recipe_is_trained_by_its_own_protocol(tmp_path: Path) -> None:
    pool = Recipes()
    drive(Store.open(f"sqlite:///{tmp_path}/study.db", create=True), FIXED, pool)
    specs = [task["spec"] for task in pool.started]
    assert {spec["kind"] for spec in specs} == {"evaluate"}
    trained = {(spec["protocol"]["epochs"], spec["protocol"]["lr"], spec["protocol"]["batch"]) for spec in specs}
    assert trained == {(epochs, rate, 64) for epochs in (2, 4, 8) for rate in (0.1, 0.2)}


@pytest.mark.parametrize("events", range(1, 12, 3))
def test_a_loop_that_dies_at_any_event_is_continued_to_the_same_front(tmp_path: Path, study: Study, events: int) -> None:
    class Dead(Exception):
        pass

    class Dying(Recipes):
        left = events

        def next_event(self, timeout: float) -> Event | None:
            self.left -= 1
            if self.left < 0:
                raise Dead
            return super().next_event(timeout)

    store = Store.open(f"sqlite:///{tmp_path}/other.db", create=True)
    with pytest.raises(Dead):
        drive(store, FIXED, Dying())
    assert drive(store, FIXED, Recipes()) is StudyState.COMPLETE
    assert [n.to_json() for n in Study(store, "recipes").front()] == [n.to_json() for n in study.front()]


def test_a_recipe_that_equals_the_protocol_takes_over_what_was_measured_by_it(tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path}/study.db", create=True)
    drive(store, FIXED, Recipes())
    pool = Recipes()
    protocol = {"name": "short", "epochs": 4, "lr": 0.1}
    drive(store, {**FIXED, "name": "plain", "methods": [{"name": "fixed", "architecture": CELL}], "protocol": protocol}, pool)
    assert pool.started == []
    (network,) = Study(store, "plain").front()
    assert (network.settings, network.recipe) == ({}, "")
    assert network.metrics["accuracy"].value == pytest.approx(0.605)


def test_a_fixed_network_that_misses_a_constraint_is_pruned_and_says_so(tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path}/study.db", create=True)
    pool = Recipes()
    drive(store, {**FIXED, "constraints": ["params<=570"]}, pool)
    trials = Study(store, "recipes").trials()
    assert {trial.state for trial in trials} == {TrialState.PRUNED}
    assert {trial.values["params"] for trial in trials} == {524 + 52}, "by hand; see `studies`"
    assert pool.started == []


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"methods": ["random", FIXED["methods"][0]]}, "do not compare with those of random"),
        ({"protocol": {"name": "tabular", "table": "cifar10"}}, "epochs: is no setting of the protocol 'tabular'"),
        ({"methods": [{"name": "fixed", "epochs": 3}]}, "architecture: is missing"),
        ({"methods": [{"name": "fixed", "architecture": CELL, "lr": [-1]}]}, r"methods\[0\].lr"),
    ],
)
def test_what_cannot_be_varied_is_refused(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(StudyFileError, match=words):
        study_from({**FIXED, **changed})


@pytest.mark.parametrize(
    ("text", "words"),
    [("Genotype(", "not readable"), (CELL.replace("sep_conv_3x3", "max_pool_3x3"), "not an operation of this space")],
)
def test_an_architecture_that_the_space_does_not_hold_is_refused_at_its_place(text: str, words: str) -> None:
    with pytest.raises(StudyFileError, match=rf"methods\[0\]\.architecture: .*{words}"):
        Plan(study_from({**FIXED, "methods": [{"name": "fixed", "architecture": text}]}), "file.yaml")
