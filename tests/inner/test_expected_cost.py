"""Expected cost and the penalty on it, against hand calculation, exact costs and finite differences."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from moonas.inner.expected_cost import ExpectedCost
from moonas.inner.handlers.none import NoHandler
from moonas.inner.handlers.penalty import Penalty
from moonas.skeleton import Skeleton
from moonas.spaces.costs import CostTable, cost, cost_table
from moonas.spaces.space import CellGroup, make_space
from moonas.study.handlers import NoneConfig, PenaltyConfig

FINAL = Skeleton(channels=8, cells=5, input_shape=(1, 8, 8), classes=10)


def two_edges(operations=("a", "b", "c")) -> ExpectedCost:
    space = SimpleNamespace(groups={"normal": CellGroup(operations, ((0, 2), (1, 2)), inputs=2, output=(2,), kept=2)})
    return ExpectedCost(space, CostTable(("params",), np.array([0]), {"normal": np.array([[[0], [1], [3]], [[0], [2], [4]]])}))


def test_the_example_of_two_edges():
    logits = torch.tensor([[0, 0, 0], [0.5, 0, -0.5]], dtype=torch.float64)
    assert two_edges()({"normal": logits.softmax(1)}).item() == pytest.approx(2.6930200, abs=1e-7)


def test_none_is_left_out_and_the_rest_renormalised():
    probabilities = torch.tensor([[0.5, 0.25, 0.25], [0.6, 0.1, 0.3]], dtype=torch.float64)
    # 1 * 0.5 + 3 * 0.5, and 2 * 0.25 + 4 * 0.75
    assert two_edges(("none", "b", "c"))({"normal": probabilities}).item() == pytest.approx(2 + 3.5)


def test_nodes_with_more_incoming_edges_count_each_of_them_less():
    space = make_space({"name": "darts-cnn", "nodes": 2})
    table = CostTable(("params",), np.array([7]), {group: np.ones((5, 8, 1), dtype=np.int64) for group in space.groups})
    certain = {group: torch.eye(8)[[4] * 5] for group in space.groups}
    # two edges are kept at each of two nodes, in both groups
    assert ExpectedCost(space, table)(certain).item() == pytest.approx(7 + 2 * (2 + 2))


def test_certain_choices_where_every_edge_is_kept_cost_exactly_what_the_network_does():
    space = make_space({"name": "darts-cnn", "nodes": 1})
    expected = ExpectedCost(space, cost_table(space, FINAL))
    for choice in (3, 20, 48):
        architecture = space.architecture([slot.options[choice] for slot in space.slots()])
        certain = {
            group: torch.eye(8)[[space.groups[group].operations.index(operation) for _, _, operation in edges]]
            for group, edges in architecture.groups.items()
        }
        assert expected(certain).tolist() == list(cost(architecture, FINAL))


def test_the_penalty_is_the_relative_excess_times_the_strength():
    space = make_space({"name": "darts-cnn", "nodes": 2})
    even = {group: torch.full((5, 8), 1 / 8) for group in space.groups}
    params, macs = ExpectedCost(space, cost_table(space, FINAL))(even).tolist()

    def penalty(budget) -> float:
        return float(Penalty(PenaltyConfig(strength=3.0), space, cost_table(space, FINAL), budget, "cpu").loss(even))

    assert penalty({"params": {"upper": int(params / 2)}}) == pytest.approx(3, rel=1e-3)
    assert penalty({"params": {"upper": int(params / 2)}, "macs": {"upper": int(macs / 3)}}) == pytest.approx(3 + 6, rel=1e-3)
    assert penalty({"params": {"upper": int(params) + 1}}) == 0
    assert penalty({"params": {"lower": int(params) * 2}}) == 0


def test_the_penalty_knows_predicted_costs_like_exact_ones():
    space = make_space({"name": "darts-cnn", "nodes": 2})
    even = {group: torch.full((5, 8), 1 / 8) for group in space.groups}
    column = {"fixed": 200, "edges": {"normal": [[25] * 8] * 5, "reduce": [[0] * 8] * 5}}  # 4 edges are kept of a cell: 300 in all
    costs = cost_table(space, FINAL, {"predicted_latency_us": column})
    penalty = Penalty(PenaltyConfig(strength=3.0), space, costs, {"predicted_latency_us": {"upper": 200}}, "cpu")
    assert float(penalty.loss(even)) == pytest.approx(3 * (300 / 200 - 1))


def test_the_penalty_s_gradient_is_that_of_finite_differences():
    space = make_space({"name": "darts-cnn", "nodes": 2})
    penalty = Penalty(PenaltyConfig(), space, cost_table(space, FINAL), {"params": {"upper": 9000}}, "cpu")
    logits = torch.randn(2, 5, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)

    def loss(values: torch.Tensor) -> torch.Tensor:
        return penalty.loss(dict(zip(space.groups, values.softmax(2), strict=True)))

    assert loss(logits) > 0
    assert torch.autograd.gradcheck(loss, logits)


def test_without_a_handler_nothing_is_added():
    space = make_space({"name": "darts-cnn", "nodes": 2})
    assert NoHandler(NoneConfig(), space, cost_table(space, FINAL), {"params": {"upper": 1}}, "cpu").loss({}) == 0
