"""A whole search: exact resumption, budgets, health, faults, and the random baseline."""

import math

import pytest
import torch

from moonas.architecture import Architecture
from moonas.data.dataset import load_data
from moonas.errors import InfeasibleError, NonFiniteLossError
from moonas.inner.methods.random import Random
from moonas.inner.search import Search, mean_entropy
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


def flat(state) -> list[torch.Tensor]:
    return [tensor for value in state.values() for tensor in flat(value)] if isinstance(state, dict) else [state]


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
    assert all(map(torch.equal, flat(resumed.state_dict()), flat(whole.state_dict())))


def test_the_health_of_a_search_is_reported_each_epoch(tiny_skeleton):
    metrics = make_search(tiny_skeleton).run_epoch(0)
    assert metrics["entropy"] == pytest.approx(math.log(8), abs=1e-3)  # nearly even over 8 operations
    assert metrics["skips"] in (0, 1, 2, 3, 4)
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
