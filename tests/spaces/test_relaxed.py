"""Relaxed costs: exact where probabilities are certain, their reachable interval, and floors and ceilings under other bounds."""

from dataclasses import replace

import numpy as np
import pytest

from moonas.errors import InfeasibleError
from moonas.skeleton import Skeleton
from moonas.spaces.costs import CostTable, cost_in, cost_table
from moonas.spaces.relaxed import RelaxedCosts, flatten, unflatten
from moonas.spaces.space import make_space
from tests.outer.studies import SMALL

LARGE = Skeleton(channels=36, cells=20, input_shape=(3, 32, 32), classes=10)
HAND = Skeleton(channels=2, cells=3, input_shape=(1, 8, 8), classes=10)


def small() -> RelaxedCosts:
    """At 2 channels, by hand: params 524 + 52 s + 320 r, macs 8,912 + 2,816 s + 2,240 r; s, r: expected separable convolutions."""
    space = make_space(SMALL["space"])
    return RelaxedCosts.of(space, cost_table(space, HAND))


@pytest.mark.parametrize("levels", [1, 3])
def test_certain_probabilities_and_kept_edges_cost_exactly_what_the_network_does(levels):
    space = make_space({"name": "darts-cnn", "levels": levels})
    table = cost_table(space, LARGE)
    costs = RelaxedCosts.of(space, table)
    rng, slots = np.random.default_rng(0), space.slots()
    for _ in range(200):
        architecture = space.architecture([slot.options[rng.integers(len(slot.options))] for slot in slots])
        certain = {name: np.zeros(group.shape) for name, group in space.groups.items()}
        for name, edges in architecture.groups.items():
            for edge in edges:
                certain[name][space.groups[name].place(edge)] = 1
        chosen = flatten(space, certain)
        kept = costs.by_edge(np.add.reduceat(chosen, costs.starts))
        assert replace(costs, shares=kept).expected(chosen).tolist() == list(cost_in(table, space, architecture))


def test_the_reachable_interval_is_that_of_hand_counting():
    assert small().reachable() == {"params": (524, 1268), "macs": (8912, 19_024)}


def test_edges_of_a_node_that_keeps_some_of_them_share_their_cost():
    space = make_space({"name": "darts-cnn", "nodes": 2})
    ones = CostTable(("params",), np.array([7]), {group: np.ones((5, 8, 1), dtype=np.int64) for group in space.groups})
    costs = RelaxedCosts.of(space, ones)
    assert costs.shares[:14].tolist() == [1.0] * 14  # node 2 keeps both of its edges, each with 7 operations other than none
    assert costs.shares[14:35] == pytest.approx(2 / 3)
    assert costs.expected(costs.probabilities(np.zeros(70))) == pytest.approx(7 + 2 * (2 + 2))


def test_the_largest_value_under_other_bounds_is_that_of_hand_counting():
    costs = small()
    assert costs.largest_within("params", {}) == pytest.approx(1268)
    # macs <= 11,152 allow 2,240 more than the least: r = 1, the dearer in parameters for its multiply-adds
    assert costs.largest_within("params", {"macs": {"upper": 11_152}}) == pytest.approx(524 + 320)
    assert costs.largest_within("macs", {"params": {"upper": 576}}) == pytest.approx(8912 + 2816)
    assert costs.largest_within("macs", {"params": {"upper": 576}, "macs": {"lower": 11_729}}) is None


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        ({"params": {"upper": 523}}, "params<=523: expected params reach from 524 to 1,268"),
        ({"params": {"lower": 1269}}, "params>=1,269: expected params reach from 524 to 1,268"),
        ({"params": {"upper": 576}, "macs": {"lower": 11_729}}, "params<=576 and macs>=11,729 together"),
    ],
)
def test_what_no_probabilities_meet_is_refused(bounds, words):
    with pytest.raises(InfeasibleError, match=words):
        small().check(bounds)


def test_the_ends_of_the_reachable_interval_are_met():
    for bounds in ({"params": {"upper": 524}}, {"params": {"lower": 1268}}, {"params": {"upper": 576}, "macs": {"lower": 11_728}}):
        small().check(bounds)


def test_selectable_columns_come_back_and_none_keeps_its_own():
    space = make_space({"name": "darts-cnn", "nodes": 1})
    matrices = {name: np.random.default_rng(0).normal(size=group.shape) for name, group in space.groups.items()}
    doubled = unflatten(space, 2 * flatten(space, matrices), matrices)
    for name, matrix in matrices.items():
        assert (doubled[name][:, 0] == matrix[:, 0]).all()
        assert (doubled[name][:, 1:] == 2 * matrix[:, 1:]).all()
