"""Features: worked out by hand for small cells, blind to what changes no function, and for parameters of every kind."""

from math import log

import numpy as np
import pytest

from moonas.architecture import Architecture, Edge
from moonas.outer.surrogate.features import Columns, cell_features, parameter_features
from moonas.spaces.nas_bench_201 import EDGES
from moonas.spaces.space import make_space
from moonas.study.ranges import Range

NAMES = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
ONE, TWO, THREE = log(2), log(3), log(4)  # log(1 + count)


def cell(digits: str) -> Architecture:
    """Edges in the order 0>1, 0>2, 1>2, 0>3, 1>3, 2>3."""
    names = [NAMES[int(digit)] for digit in digits]
    edges = [(node, predecessor, name) for (predecessor, node), name in zip(EDGES, names, strict=True)]
    return Architecture("nas-bench-201", {"cell": edges}, {"cell": (3,)})


def of_function(architecture: Architecture) -> dict[str, dict[str, float]]:
    """All but the group that counts dead operations too."""
    return {name: values for name, values in cell_features(architecture).items() if not name.endswith(".operations")}


def test_a_cell_of_nas_bench_201_is_described_as_by_hand() -> None:
    # 0>1 3x3, 0>3 skip, 1>3 pool, 1>2 1x1, 2>3 3x3: the ways are the identity, 3x3 pool, and 3x3 1x1 3x3
    found = cell_features(cell("302143"))
    assert found["cell.ways 0"] == {"": 1.0}
    assert found["cell.ways 2"] == {"nor_conv_3x3 avg_pool_3x3": 1.0}
    assert found["cell.ways 3"] == {"nor_conv_3x3 nor_conv_1x1 nor_conv_3x3": 1.0}
    assert "cell.ways 1" not in found
    summary = {name.removeprefix("cell."): values[""] for name, values in found.items() if set(values) == {""}}
    del summary["ways 0"]
    assert summary == pytest.approx(
        {
            "live nor_conv_1x1": ONE,
            "live nor_conv_3x3": TWO,
            "mean avg_pool_3x3": 1 / 3,
            "mean nor_conv_1x1": 1 / 3,
            "mean nor_conv_3x3": 1.0,
            "ways": THREE,
            "shortest": 0.0,
            "mean": log(1 + 4 / 3),
            "longest": THREE,
            "skip": 1.0,
            "weightless": 0.0,
            "pooled": 1 / 3,
            "pooled last": 1 / 3,
        }
    )
    assert found["cell.operations"] == pytest.approx(
        {"nor_conv_3x3": TWO, "nor_conv_1x1": ONE, "skip_connect": ONE, "avg_pool_3x3": ONE, "none": ONE}
    )


def test_a_darts_cell_is_described_as_by_hand() -> None:
    # inputs 0 and 1; node 2 takes a skip and a separable convolution, node 3 a pool from node 2 and a skip from input 1
    edges: list[Edge] = [(2, 0, "skip_connect"), (2, 1, "sep_conv_3x3"), (3, 1, "skip_connect"), (3, 2, "max_pool_3x3")]
    found = cell_features(Architecture("darts-cnn", {"normal": edges}, {"normal": (2, 3)}))
    # node 2: identity, sep; node 3: identity, pool, sep pool
    assert set(found["normal.ways 1"]) == {"sep_conv_3x3", "max_pool_3x3"}
    assert set(found["normal.ways 2"]) == {"sep_conv_3x3 max_pool_3x3"}
    assert found["normal.ways"][""] == pytest.approx(log(6))
    assert found["normal.mean sep_conv_3x3"][""] == pytest.approx(2 / 5)
    assert found["normal.pooled"][""] == pytest.approx(2 / 5)
    assert found["normal.weightless"][""] == pytest.approx(ONE)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("300000", "301000"),  # nothing reaches the output in either
        ("003300", "000300"),  # node 2 is fed by a node that nothing reaches
        ("313000", "000000"),  # nothing leads to the output
        ("130003", "103003"),  # a 3x3 convolution to node 2, straight or behind a skip, then another
        ("100030", "000300"),  # the convolution behind a skip, or beside it
    ],
)
def test_what_changes_no_function_changes_no_feature_of_the_function(one: str, other: str) -> None:
    space = make_space({"name": "nas-bench-201"})
    assert space.function_key(cell(one)) == space.function_key(cell(other))
    assert of_function(cell(one)) == of_function(cell(other))


def test_equal_functions_have_equal_features_throughout_a_sample_of_the_space() -> None:
    space, rng = make_space({"name": "nas-bench-201"}), np.random.default_rng(0)
    known: dict[str, dict[str, dict[str, float]]] = {}
    shared = 0
    for digits in rng.integers(5, size=(600, 6)):
        architecture = cell("".join(map(str, digits)))
        described = of_function(architecture)
        first = known.setdefault(space.function_key(architecture), described)
        assert {name: pytest.approx(values) for name, values in first.items()} == described
        shared += first is not described
    assert shared > 50


def test_links_are_features_where_a_space_has_them() -> None:
    edges: list[Edge] = [(2, 0, "sep_conv_3x3"), (2, 1, "skip_connect")]
    links: dict[str, list[Edge]] = {"normal": [(0, 0, "conv_1x1"), (1, 1, "skip_connect")]}
    found = cell_features(Architecture("darts-cnn", {"normal": edges}, {"normal": (2,)}, links))
    assert found["normal.links"] == {"0 conv_1x1": 1.0, "1 skip_connect": 1.0}


def test_parameters_become_numbers_between_0_and_1_or_names() -> None:
    ranges = {
        "method": Range("choice", ("darts", "parsec")),
        "channels": Range("choice", (8, 16, 64)),
        "rate": Range("log", (1e-4, 1e-2)),
        "epochs": Range("int", (10, 50)),
        "share": Range("uniform", (0.0, 2.0)),
    }
    params = {"method": "parsec", "channels": 16, "rate": 1e-3, "epochs": 20, "other": 7}
    found = parameter_features(params, ranges)
    assert found == {
        "method": {"parsec": 1.0},
        "channels": {"here": 1.0, "value": 0.5},
        "rate": {"here": 1.0, "value": pytest.approx(0.5)},
        "epochs": {"here": 1.0, "value": 0.25},
    }


def test_columns_that_appear_later_widen_earlier_rows_with_zeros() -> None:
    columns = Columns()
    first = columns.rows([{"a": {"x": 1.0}}, {"a": {"y": 2.0}}])
    second = columns.rows([{"b": {"x": 3.0}, "a": {"y": 4.0}}])
    assert columns.padded(first).tolist() == [[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]]
    assert second.tolist() == [[0.0, 4.0, 3.0]]
    assert columns.groups == ["a", "b"]
    assert columns.group_of.tolist() == [0, 0, 1]
