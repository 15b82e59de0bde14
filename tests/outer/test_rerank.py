"""Candidates compared by the accuracy they inherit: re-ranking of the decoded ones, and random search with shared weights."""

import numpy as np
import pytest

from moonas import api
from moonas.architecture import Architecture
from moonas.errors import UsageError
from moonas.outer.plan import Design, Plan
from moonas.specs import SearchSpec
from moonas.store.store import Store
from moonas.study.loading import study_from
from tests.outer.fakes import FakePool, drive, small_study


@pytest.fixture
def store(tmp_path):
    with Store.open(f"sqlite:///{tmp_path}/moonas.db", create=True) as store:
        yield store


def test_the_primary_is_the_one_of_the_best_inherited_accuracy_among_the_best_scores(store):
    raw = small_study(methods=["darts"], decode={"rerank": 5})
    drive(store, raw, FakePool())
    study, plan = store.study(raw["name"]), Plan(study_from(raw))
    for trial in store.trials(study.id):
        search, rerank = (store.tasks(study.id, kind=kind, trial=trial.number)[0] for kind in ("search", "rerank"))
        spec = SearchSpec.from_json(rerank.spec["search"])
        assert spec.key == search.key
        compared = [Architecture.from_json(genotype) for genotype in rerank.spec["architectures"]]
        scores = {name: np.array(matrix) for name, matrix in search.result["scores"].items()}
        decoder = plan.decoders[trial.params["channels"], trial.params["cells"]]
        bounds = plan.bounds(Design.from_params(trial.params).budget)
        assert compared == [member.architecture for member in decoder.decode_best(scores, bounds, 5)]
        primary = next(c for c in store.candidates(study.id, trial=trial.number) if c.origin == "primary")
        assert primary.architecture == compared[rerank.result["best"]].key
    assert len(store.tasks(study.id, kind="search")) == 2  # one per replicate: comparing needs no search of its own


def test_drawn_candidates_differ_obey_the_budget_and_share_one_search_per_replicate(store):
    raw = small_study(methods=[{"name": "random-shared", "candidates": 6}], replicates=2)
    drive(store, raw, FakePool())
    study, plan = store.study(raw["name"]), Plan(study_from(raw))
    assert len(store.tasks(study.id, kind="search")) == 2
    seen = set()
    for trial in store.trials(study.id):
        rerank = store.tasks(study.id, kind="rerank", trial=trial.number)[0]
        compared = [Architecture.from_json(genotype) for genotype in rerank.spec["architectures"]]
        assert len({one.key for one in compared}) == len(compared) <= 6
        primary = next(c for c in store.candidates(study.id, trial=trial.number) if c.origin == "primary")
        assert primary.architecture == compared[rerank.result["best"]].key
        upper = plan.bounds(Design.from_params(trial.params).budget).get("params", {}).get("upper", 10**9)
        skeleton = plan.final_skeleton((trial.params["channels"], trial.params["cells"]))
        assert all(plan.costs(one, skeleton)["params"] <= upper for one in compared)
        seen.add(tuple(one.key for one in compared))
    assert len(seen) > 2  # replicates and budgets draw their own


TINY = {
    "name": "shared",
    "data": {"name": "digits", "images": 60},
    "space": {"name": "darts-cnn", "nodes": 1, "operations": ["skip_connect", "sep_conv_3x3"]},
    "search": {"channels": 2, "cells": 3},
    "final": {"channels": 2, "cells": 3},
    "objectives": ["accuracy", "params"],
    "protocol": {"name": "short", "epochs": 1},
    "workers": {"devices": "cpu", "tasks_per_device": 1},
}


def test_real_searches_are_compared_by_what_their_weights_are_worth(tmp_path):
    url = f"sqlite:///{tmp_path}/moonas.db"
    methods = [{"name": "random-shared", "epochs": 1, "candidates": 3}, {"name": "darts", "epochs": 1}]
    study = api.run({**TINY, "methods": methods, "decode": {"rerank": 2}}, url)
    assert [trial.state.value for trial in study.trials()] == ["COMPLETE"] * 2
    results = [task.result for task in study.store.tasks(study.record.id, kind="rerank")]
    assert [len(result["accuracies"]) for result in results] == [3, 2]
    assert all(0 <= accuracy <= 1 for result in results for accuracy in result["accuracies"])
    with pytest.raises(UsageError, match="compares drawn architectures"):
        api.search({**TINY, "methods": methods}, "random-shared")
