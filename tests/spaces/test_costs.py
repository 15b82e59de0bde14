"""Exact costs against published cells and hand counts; the count by building networks is in tests/networks."""

import numpy as np
import pytest

from moonas.errors import ArchitectureError, SkeletonError, UnknownNameError
from moonas.skeleton import Skeleton
from moonas.spaces.costs import cost, cost_in, cost_table
from moonas.spaces.space import make_space, operation_cost
from tests.spaces.genotypes import CELLS, SIZES, published

SKELETONS = (
    Skeleton(channels=36, cells=20, input_shape=(3, 32, 32), classes=10),
    Skeleton(channels=36, cells=20, input_shape=(3, 32, 32), classes=100),
    Skeleton(channels=48, cells=14, input_shape=(3, 224, 224), classes=1000, stem="imagenet"),
    Skeleton(channels=16, cells=8, input_shape=(3, 32, 32), classes=10),
)


@pytest.mark.parametrize("name", sorted(CELLS))
def test_published_cells_have_the_independently_counted_sizes(name: str) -> None:
    for skeleton, size in zip(SKELETONS, SIZES[name], strict=True):
        if size is not None:
            counted = cost(published(name), skeleton)
            assert counted.params == size[0]
            assert size[1] in (None, counted.macs)


@pytest.mark.parametrize(
    ("name", "weights", "macs"),
    [
        ("sep_conv_3x3", 800, 819_200),
        ("sep_conv_5x5", 1_312, 1_343_488),
        ("dil_conv_3x3", 400, 409_600),
        ("dil_conv_5x5", 656, 671_744),
    ],
)
def test_single_operations_at_16_channels_and_32_pixels(name: str, weights: int, macs: int) -> None:
    batch_norm = 2 * 16 * (2 if name.startswith("sep") else 1)
    assert operation_cost(name, 16, 1, (32, 32)) == (weights + batch_norm, macs)


def test_a_strided_skip_is_not_free() -> None:
    assert operation_cost("skip_connect", 16, 1, (32, 32)) == (0, 0)
    assert operation_cost("skip_connect", 16, 2, (32, 32)) == (16 * 16 + 2 * 16, 16 * 16 * 16 * 16)
    assert operation_cost("skip_connect", 16, 2, (7, 7)) == (16 * 16 + 2 * 16, 16 * 16 * 4 * 4)


def test_the_table_adds_up_to_the_cost_of_an_architecture() -> None:
    space, skeleton = make_space({"name": "darts-cnn"}), SKELETONS[0]
    assert cost_in(cost_table(space, skeleton), space, published("PDARTS")) == cost(published("PDARTS"), skeleton)


def test_a_shorter_operation_list_changes_no_cost() -> None:
    shorter = make_space({"name": "darts-cnn", "operations": ["sep_conv_3x3", "skip_connect", "max_pool_3x3", "dil_conv_3x3"]})
    assert cost_in(cost_table(shorter, SKELETONS[3]), shorter, published("DARTS_V2")) == (246_106, 43_444_736)


def test_the_reachable_span_at_full_size_is_that_of_the_space() -> None:
    table = cost_table(make_space({"name": "darts-cnn"}), SKELETONS[0])
    assert table.metrics == ("params", "macs")
    assert table.edges["normal"].dtype == np.int64
    assert table.edges["normal"].shape == (14, 8, 2)


def test_too_shallow_a_skeleton_is_refused() -> None:
    with pytest.raises(SkeletonError, match="at least 3 cells"):
        cost(published("DARTS_V2"), Skeleton(channels=16, cells=2, input_shape=(3, 32, 32), classes=10))


def test_an_architecture_outside_its_space_is_refused() -> None:
    space = make_space({"name": "darts-cnn"})
    good = published("DARTS_V2").to_json()
    cases = {
        "not an operation": lambda edges: edges[0].__setitem__(2, "none"),
        "cannot take its input": lambda edges: edges[0].__setitem__(1, 3),
        "two distinct predecessors": lambda edges: edges[0].__setitem__(1, edges[1][1]),
    }
    for words, spoil in cases.items():
        data = {**good, "groups": {name: [list(edge) for edge in edges] for name, edges in good["groups"].items()}}
        spoil(data["groups"]["normal"])
        with pytest.raises(ArchitectureError, match=words):
            space.check(type(published("DARTS_V2")).from_json(data))
    text = published("DARTS_V2").to_genotype().replace("sep_conv_3x3", "sep_con_3x3")
    with pytest.raises(UnknownNameError, match="did you mean 'sep_conv_3x3'"):
        cost(type(published("DARTS_V2")).from_genotype(text), SKELETONS[0])


def test_function_key_ignores_the_order_of_nodes_and_the_key_does_not() -> None:
    space = make_space({"name": "darts-cnn"})
    first = published("DARTS_V2").to_json()
    swapped = {**first, "groups": dict(first["groups"])}  # nodes 2 and 3 of the reduction cell trade places
    trade = {2: 3, 3: 2}
    pairs = [(node, p, o) for node, p, o in first["groups"]["reduce"]]
    inner = [(2, 0, "max_pool_3x3"), (2, 1, "max_pool_3x3"), (3, 0, "skip_connect"), (3, 1, "max_pool_3x3")]
    independent = [*inner, *(edge for edge in pairs if edge[0] > 3)]
    first["groups"]["reduce"] = independent
    swapped["groups"]["reduce"] = [(trade.get(n, n), trade.get(p, p), o) for n, p, o in independent]
    one, other = (type(published("DARTS_V2")).from_json(data) for data in (first, swapped))
    assert one.key != other.key
    assert space.function_key(one) == space.function_key(other)
    assert space.function_key(one) != space.function_key(published("DARTS_V1"))
