"""A whole search: exact resumption, budgets, health, faults, and the random baseline."""

import math

import pytest
import torch

from moonas.architecture import Architecture
from moonas.data.dataset import load_data
from moonas.errors import InfeasibleError, NonFiniteLossError
from moonas.inner.health import mean_entropy
from moonas.inner.methods.random import Random
from moonas.inner.search import Search
from moonas.skeleton import Skeleton
from moonas.spaces.costs import cost
from moonas.specs import SearchSpec
from moonas.worker.checkpoint import pack, unpack

DATA = {"name": "digits", "images": 200}
FINAL = Skeleton(channels=8, cells=3, input_shape=(1, 8, 8), classes=10)


def make_spec(skeleton: Skeleton, *, method=None, handler=None, **fields) -> SearchSpec:
    defaults = {"seed": 0, "replicate": 0, "data": DATA, "space": {"name": "darts-cnn", "nodes": 2}, "skeleton": skeleton}
    method = {"name": "darts", "epochs": 2, "batch": 32, **(method or {})}
    return SearchSpec(**{**defaults, "method": method, "handler": handler or {"name": "none"}, **fields})


def make_search(skeleton: Skeleton, **fields) -> Search:
    spec = make_spec(skeleton, **fields)
    return Search(spec, load_data(spec.data, spec.seed))


def run_epochs(search: Search, epochs: int) -> list[dict[str, float]]:
    return [search.run_epoch(epoch) for epoch in range(epochs)]


def test_a_resumed_search_repeats_the_uninterrupted_one_bit_for_bit(tiny_skeleton):
    whole = make_search(tiny_skeleton)
    whole.run_epoch(0)
    saved = pack(whole.state_dict())
    torch.manual_seed(99)  # nothing may depend on torch's global generator
    expected = whole.run_epoch(1)
    resumed = make_search(tiny_skeleton)
    resumed.load_state_dict(unpack(saved))
    assert resumed.run_epoch(1) == expected
    assert resumed.result() == whole.result()
    assert pack(resumed.state_dict()) == pack(whole.state_dict())


def test_the_health_of_a_search_is_reported_each_epoch(tiny_skeleton):
    metrics = make_search(tiny_skeleton).run_epoch(0)
    assert metrics["entropy"] == pytest.approx(math.log(8), abs=1e-3)  # nearly even over 8 operations
    assert metrics["skips"] in (0, 0.25, 0.5, 0.75, 1)
    assert 0 < metrics["train_accuracy"] < 1
    assert 1 < metrics["valid_loss"] < 4
    assert metrics["expected_params"] > 0


def test_entropy_is_in_nats_over_the_edges_of_all_groups():
    sure, even = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.5, 0.5]])
    assert mean_entropy({"normal": sure, "reduce": even}) == pytest.approx(math.log(2) / 2)


def test_replicates_differ_and_equal_specs_do_not(tiny_skeleton):
    first, again, other = (make_search(tiny_skeleton, replicate=replicate) for replicate in (0, 0, 1))
    assert first.run_epoch(0) == again.run_epoch(0)
    assert first.scores() == again.scores() != other.scores()


def test_the_penalty_lowers_the_expected_cost(tiny_skeleton):
    method = {"alpha_lr": 0.05, "epochs": 3}
    known = {"final": FINAL, "budget": {"params": {"upper": 9000}}}
    free = make_search(tiny_skeleton, method=method, final=FINAL)
    bound = make_search(tiny_skeleton, method=method, handler={"name": "penalty", "strength": 10.0}, **known)
    costs = [run_epochs(search, 3)[-1]["expected_params"] for search in (free, bound)]
    assert costs[1] < 0.9 * costs[0]


def test_a_search_that_diverges_fails(tiny_skeleton):
    search = make_search(tiny_skeleton, method={"weight_lr": 1e30})
    with pytest.raises(NonFiniteLossError):
        run_epochs(search, 2)


def test_random_proposals_obey_the_budget_at_the_final_skeleton_and_follow_seed_and_replicate(tiny_skeleton):
    def propose(**fields) -> Architecture:
        budget = {"params": {"upper": 9000}}
        return Random(make_spec(tiny_skeleton, method={"name": "random"}, final=FINAL, budget=budget, **fields)).propose()

    proposals = [propose(replicate=replicate) for replicate in range(5)]
    assert all(cost(proposal, FINAL).params <= 9000 for proposal in proposals)
    assert propose(replicate=0) == proposals[0]
    assert len({proposal.key for proposal in proposals}) == 5
    assert propose(seed=1) != proposals[0]


def test_random_refuses_a_budget_that_nothing_meets(tiny_skeleton):
    spec = make_spec(tiny_skeleton, method={"name": "random"}, final=FINAL, budget={"params": {"upper": 10}})
    with pytest.raises(InfeasibleError, match="params"):
        Random(spec).propose()


COLLAPSING = {"method": {"alpha_lr": 0.5, "epochs": 6}, "space": {"name": "darts-cnn", "nodes": 2}}


def collapsed_search(skeleton: Skeleton, monkeypatch, **health) -> tuple[Search, list[dict[str, float]]]:
    """Run a search that a rule of the test's own calls collapsed in its third epoch."""
    seen = iter([None, None, "the test says so", "again", "again", "again"])
    monkeypatch.setattr("moonas.inner.health.alarm", lambda *_: next(seen))
    search = make_search(skeleton, health=health, **COLLAPSING)
    metrics = []
    while len(metrics) < search.epochs:
        metrics.append(search.run_epoch(len(metrics)))
    return search, metrics


def test_a_flagged_search_goes_on_and_keeps_what_it_had_before(tiny_skeleton, monkeypatch):
    search, metrics = collapsed_search(tiny_skeleton, monkeypatch, on_collapse="flag")
    result = search.result()
    assert len(metrics) == 6
    assert result["collapse"]["epoch"] == 3
    assert result["collapse"]["before"]["scores"] != result["scores"] == search.scores()


def test_a_stopped_search_ends_with_what_it_had_before(tiny_skeleton, monkeypatch):
    search, metrics = collapsed_search(tiny_skeleton, monkeypatch, on_collapse="stop")
    result = search.result()
    assert len(metrics) == 3
    assert result["scores"] == result["collapse"]["before"]["scores"] != search.scores()


def test_the_eigenvalue_is_measured_in_the_epochs_asked_for_and_moves_nothing(tiny_skeleton):
    plain = make_search(tiny_skeleton)
    measured = make_search(tiny_skeleton, health={"on_collapse": "flag", "eigenvalue_every": 2})
    found = run_epochs(measured, 2)
    assert "eigenvalue" not in found[0]
    assert math.isfinite(found[1]["eigenvalue"])
    assert [{**row, "eigenvalue": None} for row in found] == [{**row, "eigenvalue": None} for row in run_epochs(plain, 2)]


def test_parsec_resumes_bit_for_bit_and_decodes_by_pairs(tiny_skeleton):
    method = {"name": "parsec", "epochs": 2, "warmup_epochs": 1, "samples": 2, "weight_samples": 2, "batch": 100}
    whole = make_search(tiny_skeleton, method=method)
    whole.run_epoch(0)
    saved = pack(whole.state_dict())
    expected = whole.run_epoch(1)
    resumed = make_search(tiny_skeleton, method=method)
    resumed.load_state_dict(unpack(saved))
    assert resumed.run_epoch(1) == expected
    assert resumed.result() == whole.result()
    assert {"temperature", "effective_cells", "cells", "factor_entropy"} <= expected.keys()
    assert [len(scores) for scores in whole.result()["slot_scores"]] == [49, 147, 49, 147]
