"""Costs piece by piece: they add up, and agree with a count by hand."""

import numpy as np
import pytest

from moonas.skeleton import Skeleton
from moonas.spaces.breakdown import breakdown
from moonas.spaces.costs import cost, cost_table
from moonas.spaces.sampling import FeasibleSet
from moonas.spaces.space import make_space
from tests.outer.studies import plan

OPERATIONS = ("skip_connect", "sep_conv_3x3")


@pytest.mark.parametrize("name", ["darts-cnn", "nas-bench-201", "tnd-cnn"])
def test_pieces_and_the_rest_are_the_whole_cost(name: str) -> None:
    space = make_space({"name": name})
    skeleton = Skeleton(space=name, channels=8, cells=12 if name == "tnd-cnn" else 6, input_shape=(3, 32, 32), classes=10)
    table = cost_table(space, skeleton)
    for seed in range(5):
        architecture = FeasibleSet(space, table, {}).sample(np.random.default_rng(seed))
        pieces, rest = breakdown(architecture, skeleton)
        exact = cost(architecture, skeleton)
        assert rest.params + sum(piece.params for piece in pieces) == exact.params
        assert rest.macs + sum(piece.macs for piece in pieces) == exact.macs


def test_a_separable_convolution_costs_what_was_counted_by_hand() -> None:
    small = plan()  # C = 2: params 524 + 52 s + 320 r, s and r the separable convolutions among the two edges of each cell
    skeleton = Skeleton(channels=2, cells=3, input_shape=(1, 8, 8), classes=10)
    table = cost_table(small.space, skeleton)
    mixed = 0
    for seed in range(12):
        architecture = FeasibleSet(small.space, table, {}).sample(np.random.default_rng(seed))
        pieces, _ = breakdown(architecture, skeleton)
        for group, each in (("normal", 52), ("reduce", 320)):
            spent = {name: [p.params for p in pieces if (p.group, p.operation) == (group, name)] for name in OPERATIONS}
            cells = {piece.cell for piece in pieces if piece.group == group}
            if all(spent.values()):  # one edge of each kind: what the convolution costs beyond a skip
                mixed += 1
                assert sum(spent["sep_conv_3x3"]) - sum(spent["skip_connect"]) == each
                assert {len(found) for found in spent.values()} == {len(cells)}
    assert mixed > 3
