"""Architectures as choices by name."""

from __future__ import annotations

import math

import numpy as np
import pytest

from moonas.errors import ArchitectureError
from moonas.skeleton import Skeleton
from moonas.spaces.costs import cost_table
from moonas.spaces.parameters import architecture_of, choices_of, parameters
from moonas.spaces.sampling import FeasibleSet
from moonas.spaces.space import Space, make_space

SPACES = {
    "nas-bench-201": {"name": "nas-bench-201"},
    "darts-cnn": {"name": "darts-cnn"},
    "levels": {"name": "darts-cnn", "levels": 3, "nodes": 2, "connections": True},
    "tnd-cnn": {"name": "tnd-cnn", "nodes": 3},
}


def drawn(space: Space, count: int) -> list:
    skeleton = Skeleton(space=space.name, channels=8, cells=6, input_shape=(3, 16, 16), classes=10)
    feasible, rng = FeasibleSet(space, cost_table(space, skeleton)), np.random.default_rng(0)
    return [feasible.sample(rng) for _ in range(count)]


def test_the_cell_of_nas_bench_201_is_six_choices_of_five_operations():
    found = parameters(make_space({"name": "nas-bench-201"}))
    assert list(found) == ["cell.0>1", "cell.0>2", "cell.1>2", "cell.0>3", "cell.1>3", "cell.2>3"]
    assert set(found.values()) == {("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")}


def test_a_cell_of_darts_is_pairs_of_inputs_and_an_operation_on_each():
    found = parameters(make_space({"name": "darts-cnn"}))
    assert "normal.2.inputs" not in found, "the first node has two predecessors and keeps both: nothing to choose"
    assert found["reduce.3.inputs"] == ("0+1", "0+2", "1+2")
    assert "none" not in found["normal.2.first"]
    assert len(found["normal.2.first"]) == 7
    cells = math.prod(len(values) for values in found.values())
    assert cells == (7**8 * 1 * 3 * 6 * 10) ** 2, "the published number of cells, both kinds"


@pytest.mark.parametrize("settings", SPACES.values(), ids=SPACES)
def test_every_architecture_comes_back_from_its_choices(settings):
    space = make_space(settings)
    known = parameters(space)
    for architecture in drawn(space, 20):
        choices = choices_of(space, architecture)
        assert list(choices) == list(known)
        assert all(value in known[name] for name, value in choices.items())
        assert architecture_of(space, choices) == architecture


def test_a_combination_that_the_space_does_not_contain_is_refused():
    space = make_space({"name": "tnd-cnn", "nodes": 1})
    with pytest.raises(ArchitectureError, match="node 2 has no input"):
        architecture_of(space, dict.fromkeys(parameters(space), "none"))
