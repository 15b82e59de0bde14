"""Searches that start from the nearest finished one: which that is, what is stored of it, and that a resumed study repeats it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import hypot, log
from pathlib import Path
from typing import Any

import pytest
import torch

from moonas import api
from moonas.data.dataset import load_data
from moonas.errors import StudyFileError, UsageError
from moonas.inner.search import Search
from moonas.outer.continuing import Continuing
from moonas.outer.plan import Design, Plan
from moonas.results.study import Study
from moonas.specs import SearchSpec
from moonas.store.states import StudyState
from moonas.store.store import Store
from moonas.study.continuing import ContinueFrom
from moonas.study.loading import study_from
from moonas.worker.local import Event
from tests.outer.fakes import Crash, FakePool, drive
from tests.outer.studies import SMALL, plan

DARTS: dict[str, Any] = {"name": "darts", "handler": "penalty", "epochs": 4, "continue_from": "nearest"}
STUDY: dict[str, Any] = SMALL | {
    "final": {"channels": 2, "cells": 3},
    "methods": [DARTS],
    "budgets": {"params": [1200, 600, 900, "none"]},
}


def design(upper: int | None, channels: int = 2, lower: int | None = None, **settings: float) -> Design:
    bound = {name: end for name, end in (("lower", lower), ("upper", upper)) if end is not None}
    return Design("darts", {"params": bound} if bound else {}, channels, 3, settings)


def sources(study: Study) -> list[int | None]:
    """Of each trial, the trial whose search its own starts from."""
    trials = study.trials()
    of_key = {task.key: task.trial_ids[0] for task in study.store.tasks(study.record.id, kind="search")}
    numbers = {trial.id: trial.number for trial in trials}
    found = [trial.sampler_attrs.get("continue_from") for trial in trials]
    return [numbers[of_key[key]] if key else None for key in found]


def driven(path: Path, raw: Mapping[str, Any], pool: FakePool | None = None) -> Study:
    store = Store.open(f"sqlite:///{path}", create=True)
    assert drive(store, raw, pool or FakePool(1)) is StudyState.COMPLETE
    return Study(store, raw["name"])


# Which search is nearest: the space reaches from 524 to 1,268 parameters at 2 channels, to 3,406 at 4


def test_distances_are_those_worked_out_by_hand() -> None:
    one = Continuing(plan(**{k: STUDY[k] for k in ("final", "methods", "budgets")}), {})
    assert one.distance(design(900), design(1200)) == (pytest.approx(log(4 / 3)), 0, 0)
    assert one.distance(design(None), design(900)) == (pytest.approx(log(1268 / 900)), 0, 0)
    assert one.distance(design(None), design(5000)) == (0, 0, 0), "a bound beyond all that can be reached binds nothing"
    assert one.distance(design(900, lower=600), design(1200)) == (pytest.approx(hypot(log(600 / 524), log(4 / 3))), 0, 0)
    wide = Continuing(plan(methods=[{**DARTS, "alpha_lr": {"log": [1e-4, 1e-2]}}], budgets={"params": [900]}), {})
    near = wide.distance(design(900, alpha_lr=1e-3), design(900, channels=4, alpha_lr=1e-4))
    assert near == (0, pytest.approx(log(2)), pytest.approx(0.5))
    assert wide.distance(design(None, alpha_lr=1e-3), design(900, alpha_lr=1e-3))[0] == pytest.approx(log(3406 / 900))


def test_several_costs_count_together() -> None:
    two = Continuing(
        plan(final={"channels": 2, "cells": 3}, methods=[DARTS], budgets={"params": [900], "macs": [12000, "none"]}), {}
    )
    bounded = Design("darts", {"params": {"upper": 900}, "macs": {"upper": 12000}}, 2, 3, {})
    assert two.distance(bounded, design(600))[0] == pytest.approx(hypot(log(1.5), log(19024 / 12000)))


def test_each_trial_starts_from_the_nearest_search_that_is_finished(tmp_path: Path) -> None:
    study = driven(tmp_path / "study.db", STUDY)
    assert [trial.params["budget"] for trial in study.trials()] == ["params<=1200", "params<=600", "params<=900", "none"]
    assert sources(study) == [None, 0, 0, 0], "log 1.33 from 900 to 1200, log 1.5 to 600; 1268 is next to 1200"
    first, *later = study.store.tasks(study.record.id, kind="search")
    assert "start" not in first.spec
    for task in later:
        assert task.spec["start"] == {"search": first.key, "parameters": {"of": first.key}}


def test_the_key_of_a_continued_search_names_its_source_and_nothing_else_of_it() -> None:
    found = Plan(study_from(STUDY))
    fresh = found.search_spec(design(900), 0)
    continued = [
        found.search_spec(design(900), 0, {"search": key, "parameters": left}) for key, left in (("a", 1), ("a", 2), ("b", 1))
    ]
    assert continued[0].key == continued[1].key
    assert len({fresh.key, continued[0].key, continued[2].key}) == 3
    assert SearchSpec.from_json(continued[0].to_json()) == continued[0]
    assert "start" not in fresh.to_json(), "the keys of searches from scratch are what they were"


def test_a_search_that_is_asked_for_again_is_shared_whatever_it_started_from(tmp_path: Path) -> None:
    study = driven(tmp_path / "study.db", STUDY | {"sampler": "random", "trials": 12})
    assert len(study.store.tasks(study.record.id, kind="search")) == 4
    by_budget: dict[str, set[Any]] = {}
    for trial in study.trials():
        by_budget.setdefault(trial.params["budget"], set()).add(trial.sampler_attrs.get("continue_from"))
    assert [len(found) for found in by_budget.values()] == [1, 1, 1, 1]


def test_replicates_and_variants_keep_to_themselves(tmp_path: Path) -> None:
    variants = [
        DARTS,
        {**DARTS, "label": "other", "epochs": 5},
        {"name": "darts", "label": "fresh", "handler": "penalty", "epochs": 4},
    ]
    study = driven(tmp_path / "study.db", STUDY | {"methods": variants, "replicates": 2, "budgets": {"params": [1200, 600]}})
    asked = [(trial.params["method"], trial.replicate) for trial in study.trials()]
    found = sources(study)
    for number, source in enumerate(found):
        first = asked[number] not in asked[:number]
        assert source == (None if first or asked[number][0] == "fresh" else asked.index(asked[number]))
    keys = [task.key for task in study.store.tasks(study.record.id, kind="search")]
    assert len(keys) == 10, "those from scratch are shared with the variant of the same settings"


def test_among_equal_budgets_the_nearest_size_and_then_the_nearest_settings_count(tmp_path: Path) -> None:
    method = {**DARTS, "alpha_lr": [1e-4, 1e-3, 1e-2]}
    study = driven(tmp_path / "study.db", SMALL | {"methods": [method], "budgets": {"params": [2000]}})
    described = [(trial.params["setting.alpha_lr"], trial.params["channels"]) for trial in study.trials()]
    assert described == [(1e-4, 2), (1e-4, 4), (1e-3, 2), (1e-3, 4), (1e-2, 2), (1e-2, 4)]
    assert sources(study) == [None, 0, 0, 1, 2, 3]


def collapsed(spec: Mapping[str, Any]) -> Event | None:
    from tests.outer.fakes import result_of

    if spec["kind"] != "search" or spec["budget"]["params"]["upper"] != 1200:
        return None
    result = result_of(spec)
    collapse = {"epoch": 2, "reason": "skips", "before": {"scores": result["scores"], "slot_scores": None}}
    return Event(0, "result", {"result": {**result, "collapse": collapse}})


def failed(spec: Mapping[str, Any]) -> Event | None:
    if spec["kind"] != "search" or spec["budget"]["params"]["upper"] != 1200:
        return None
    return Event(0, "error", {"reason": "NonFiniteLossError: NaN", "traceback": ""})


@pytest.mark.parametrize("spoil", [failed, collapsed])
def test_a_search_that_failed_or_collapsed_is_no_source(tmp_path: Path, spoil: Any) -> None:
    study = driven(tmp_path / "study.db", STUDY | {"budgets": {"params": [1200, 600, 900]}}, FakePool(1, spoil=spoil))
    assert sources(study) == [None, None, 1]


def test_with_several_slots_what_is_finished_by_then_counts(tmp_path: Path) -> None:
    study = driven(tmp_path / "study.db", STUDY, FakePool(2))
    found = sources(study)
    assert found[:2] == [None, None], "both are asked for before anything is finished"
    assert found[2] == 0


@pytest.mark.parametrize("events", range(1, 16, 2))
@pytest.mark.parametrize("slots", [1, 2])
def test_a_study_that_was_killed_starts_the_same_searches_from_the_same_sources(tmp_path: Path, slots: int, events: int) -> None:
    """By `inherited`, whose measurements are known by the key of their search."""
    raw = STUDY | {"protocol": "inherited"}
    with Store.open(f"sqlite:///{tmp_path}/killed.db", create=True) as store:
        with pytest.raises(Crash):
            drive(store, raw, FakePool(slots, crash_after=events))
        before = store.trials(store.study("small").id)
        assert drive(store, raw, FakePool(slots)) is StudyState.COMPLETE
        killed = Study(store, "small")
        for old, new in zip(before, killed.trials(), strict=False):
            assert (old.params, old.sampler_attrs) == (new.params, new.sampler_attrs)
        specs = {task.key: task.spec for task in store.tasks(killed.record.id, kind="search")}
        assert {SearchSpec.from_json(spec).key for spec in specs.values()} == specs.keys()
        assert len(killed.archive()) == len({n.key for n in killed.archive()}) > 0
        if slots == 1:
            whole = driven(tmp_path / "whole.db", raw)
            assert [task.spec for task in whole.store.tasks(whole.record.id, kind="search")] == list(specs.values())
            assert [n.to_json() for n in whole.front()] == [n.to_json() for n in killed.front()]


# What a continued search does


def test_a_share_of_the_epochs_is_rounded_so_that_some_search() -> None:
    half = ContinueFrom(name="nearest", epochs=0.5)
    assert half.shortened({"epochs": 5, "warmup_epochs": 3, "lr": 1}) == {"epochs": 3, "warmup_epochs": 1, "lr": 1}
    assert ContinueFrom(name="nearest", epochs=0.1).shortened({"epochs": 30})["epochs"] == 3, "not 4 for 3.0000000000000004"
    spec = Plan(study_from(STUDY | {"methods": [{**DARTS, "continue_from": {"name": "nearest", "epochs": 0.25}}]}))
    assert spec.search_spec(design(900), 0).method["epochs"] == 4
    assert spec.search_spec(design(900), 0, {"search": "a"}).method["epochs"] == 1


def test_a_search_starts_from_the_parameters_that_its_source_has_left_and_with_fresh_weights(tmp_path: Path) -> None:
    """Run for real: the second search begins where the first one ended."""
    raw = STUDY | {
        "data": {"name": "digits", "images": 60},
        "search": {"channels": 2, "cells": 3},
        "methods": [{**DARTS, "epochs": 2, "alpha_lr": 0.1, "continue_from": {"name": "nearest", "epochs": 0.5}}],
        "budgets": {"params": [1200, 900]},
        "protocol": {"name": "short", "epochs": 1},
        "workers": {"devices": "cpu", "tasks_per_device": 1},
    }
    study = api.run(raw, f"sqlite:///{tmp_path}/study.db")
    first, second = study.store.tasks(study.record.id, kind="search")
    assert first.result is not None
    assert second.result is not None
    assert (first.result["epochs"], second.result["epochs"]) == (2, 1)
    spec = SearchSpec.from_json(second.spec)
    data = load_data(spec.data, spec.seed)
    search, fresh = Search(spec, data), Search(replace(spec, start=None), data)
    assert search.method.leaves()["logits"] == first.result["logits"]
    assert search.scores() == first.result["scores"]
    weights = zip(search.net.weights(), fresh.net.weights(), strict=True)
    assert all(torch.equal(one, other) for one, other in weights)
    torch.use_deterministic_algorithms(True)
    search.run_epoch(0)
    assert search.scores() == second.result["scores"], "the worker did the same"


# The setting


def test_the_setting_is_read_and_stored() -> None:
    config = study_from(STUDY)
    assert config.methods[0].continue_from == ContinueFrom(name="nearest")
    assert study_from(config.to_json()) == config
    assert "continue_from" not in study_from(SMALL).to_json()["methods"][1], "what is stored of other studies is what it was"


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ({**DARTS, "continue_from": "neerest"}, r"methods\[0\].continue_from.name: must be 'nearest', got 'neerest'"),
        ({**DARTS, "continue_from": {"name": "nearest", "epochs": 0}}, r"continue_from.epochs"),
        (
            {**DARTS, "handler": "none"},
            "continue_from: with the handler 'none' one search serves all budgets; .*: penalty or projection",
        ),
        (
            {"name": "random", "continue_from": "nearest"},
            "random leaves no architecture parameters .*; these do: darts, parsec, pc-darts",
        ),
        ({"name": "random-shared", "continue_from": "nearest"}, "random-shared leaves no architecture parameters"),
    ],
)
def test_what_cannot_be_continued_is_refused_at_its_place(method: dict[str, Any], words: str) -> None:
    with pytest.raises(StudyFileError, match=words):
        study_from(STUDY | {"methods": [method]})


def test_a_search_without_a_database_is_refused() -> None:
    with pytest.raises(UsageError, match="darts continues finished searches of its study"):
        api.search(STUDY)
