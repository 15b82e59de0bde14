"""Connection cells: which candidates there are, what they cost by hand, and how decoding and architectures carry them."""

import numpy as np
import pytest

from moonas.architecture import Architecture
from moonas.errors import ArchitectureError
from moonas.skeleton import Skeleton
from moonas.spaces.connections import connection_cost
from moonas.spaces.costs import cost, cost_table
from moonas.spaces.decode import Decoder
from moonas.spaces.space import make_space, space_of
from tests.spaces.genotypes import SIZES, published

LARGE = Skeleton(channels=36, cells=20, input_shape=(3, 32, 32), classes=10)
SPACE = make_space({"name": "darts-cnn", "connections": True})
PLAIN = {group: [(0, 0, "conv_1x1"), (1, 1, "conv_1x1")] for group in ("normal", "reduce")}


def connected(name: str, **links) -> Architecture:
    cells = published(name)
    return Architecture("darts-cnn", cells.groups, cells.concat, {**PLAIN, **links})


@pytest.mark.parametrize(
    ("name", "halved", "weights"),
    [
        ("conv_1x1", False, 64 * 16),
        ("grouped_conv_1x1", False, 64 * 16 // 4),
        ("depthwise_conv_3x3", False, 9 * 64 + 64 * 16 // 4),
        ("identity", False, 0),
        ("conv_1x1", True, 64 * 16),
        ("grouped_conv_1x1", True, 2 * (64 * 8 // 4)),
        ("depthwise_conv_3x3", True, 9 * 64 + 64 * 16 // 4),
    ],
)
def test_candidates_cost_what_hand_counting_says(name: str, halved: bool, weights: int) -> None:
    assert connection_cost(name, 64, 16, halved, (8, 8)) == (weights + 2 * 16, 64 * weights)


def test_groups_divide_both_numbers_of_channels() -> None:
    assert connection_cost("grouped_conv_1x1", 6, 10, False, (1, 1)).macs == 6 * 10 // 2
    assert connection_cost("grouped_conv_1x1", 9, 15, False, (1, 1)).macs == 9 * 15
    assert connection_cost("grouped_conv_1x1", 12, 12, True, (1, 1)).macs == 2 * (12 * 6 // 2)


@pytest.mark.parametrize("name", ["DARTS_V2", "PDARTS"])
def test_plain_connections_cost_what_the_published_networks_do(name: str) -> None:
    assert tuple(cost(connected(name), LARGE)) == SIZES[name][0]


def test_a_grouped_connection_saves_what_hand_counting_says() -> None:
    grouped = connected("DARTS_V2", reduce=[(0, 0, "conv_1x1"), (1, 1, "grouped_conv_1x1")])
    # reductions at 6 and 13 read 4 * 36 channels into 72 and 4 * 72 into 144; three quarters of the weights go
    weights = (144 * 72 + 288 * 144) * 3 // 4
    assert cost(connected("DARTS_V2"), LARGE).params - cost(grouped, LARGE).params == weights


def test_identity_is_there_where_channels_and_resolution_agree() -> None:
    two = make_space({"name": "darts-cnn", "connections": True, "nodes": 2, "levels": 3})
    with_identity = [name for name, group in two.groups.items() if "identity" in group.operations]
    assert with_identity == ["reduce0.input1", "reduce1.input1"]
    for cells in (5, 8, 20):
        for plan in two.cells(Skeleton(channels=4, cells=cells, input_shape=(1, 8, 8), classes=10)):
            if "reduce" in plan.group:
                assert plan.input_channels[1] == plan.channels
    assert not any("identity" in group.operations for group in SPACE.groups.values())


def test_decoding_chooses_connections_within_the_budget() -> None:
    table = cost_table(SPACE, LARGE)
    decoder, rng = Decoder(SPACE, table), np.random.default_rng(0)
    scores = {name: np.log(rng.dirichlet(np.ones(group.shape[1]), group.shape[0])) for name, group in SPACE.groups.items()}
    free = decoder.decode(scores)
    for group, edges in free.architecture.links.items():
        for place, _, name in edges:
            names = SPACE.groups[f"{group}.input{place}"].operations
            assert name == names[int(scores[f"{group}.input{place}"].argmax())]
    low, high = decoder.reachable()["params"]
    assert low < 1_370_134  # the least without connection cells
    tight = decoder.decode(scores, {"params": {"upper": low + (high - low) // 20}})
    assert tight.costs["params"] == cost(tight.architecture, LARGE).params <= low + (high - low) // 20
    assert any(name != "conv_1x1" for edges in tight.architecture.links.values() for _, _, name in edges)


def test_architectures_with_connections_find_their_space_and_differ_from_those_without() -> None:
    architecture = connected("DARTS_V2")
    assert space_of(architecture).groups.keys() == SPACE.groups.keys()
    assert Architecture.from_json(architecture.to_text()) == architecture
    assert architecture.key != published("DARTS_V2").key
    grouped = connected("DARTS_V2", normal=[(0, 0, "grouped_conv_1x1"), (1, 1, "conv_1x1")])
    assert SPACE.function_key(grouped) != SPACE.function_key(architecture)
    with pytest.raises(ArchitectureError, match="connection cells"):
        architecture.to_genotype()


@pytest.mark.parametrize(
    ("links", "words"),
    [
        ({}, "has the cell groups"),
        ({"normal": PLAIN["normal"]}, "has the cell groups"),
        ({**PLAIN, "normal": [(0, 0, "identity"), (1, 1, "conv_1x1")]}, "normal.input0: 'identity' is not an operation"),
        ({**PLAIN, "normal": [(0, 1, "conv_1x1"), (1, 1, "conv_1x1")]}, "node 0 cannot take its input from node 1"),
        ({**PLAIN, "normal": [(0, 0, "conv_1x1"), (0, 0, "grouped_conv_1x1"), (1, 1, "conv_1x1")]}, "needs one connection, got 3"),
    ],
)
def test_connections_that_do_not_fit_are_refused(links, words: str) -> None:
    cells = published("DARTS_V2")
    with pytest.raises(ArchitectureError, match=words):
        SPACE.check(Architecture("darts-cnn", cells.groups, cells.concat, links))


def test_a_space_without_connection_cells_refuses_them() -> None:
    with pytest.raises(ArchitectureError, match="has the cell groups normal, reduce, not"):
        make_space({"name": "darts-cnn"}).check(connected("DARTS_V2"))
