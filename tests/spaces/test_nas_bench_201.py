"""The space of NAS-Bench-201: sizes in closed form, text and keys of all 15,625 cells, decoding against brute force."""

import math
from collections import Counter
from itertools import permutations, product

import numpy as np
import pytest

from moonas.architecture import Architecture
from moonas.errors import ArchitectureError, SkeletonError
from moonas.skeleton import Skeleton
from moonas.spaces.costs import cost, cost_in, cost_table
from moonas.spaces.decode import Decoder
from moonas.spaces.nas_bench_201 import EDGES
from moonas.spaces.sampling import FeasibleSet
from moonas.spaces.space import live_edges, make_space

SPACE = make_space({"name": "nas-bench-201"})
NAMES = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
CIFAR10 = Skeleton(space="nas-bench-201", channels=16, cells=15, input_shape=(3, 32, 32), classes=10)
CIFAR100 = Skeleton(space="nas-bench-201", channels=16, cells=15, input_shape=(3, 32, 32), classes=100)
IMAGENET16 = Skeleton(space="nas-bench-201", channels=16, cells=15, input_shape=(3, 16, 16), classes=120)
EXAMPLE = "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|"
RESNET = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|skip_connect~2|"

# Sizes by an independent closed form; the multiply-adds there count one more per class, for the classifier's bias.
SIZES = {
    "none": ((73_306, 7_783_050), (79_156, 7_788_900), (80_456, 1_953_400)),
    "skip_connect": ((73_306, 7_783_050), (79_156, 7_788_900), (80_456, 1_953_400)),
    "avg_pool_3x3": ((73_306, 7_783_050), (79_156, 7_788_900), (80_456, 1_953_400)),
    "nor_conv_1x1": ((241_306, 31_376_010), (247_156, 31_381_860), (248_456, 7_851_640)),
    "nor_conv_3x3": ((1_531_546, 220_119_690), (1_537_396, 220_125_540), (1_538_696, 55_037_560)),
    EXAMPLE: ((802_426, 113_951_370), (808_276, 113_957_220), (809_576, 28_495_480)),
    RESNET: ((559_386, 78_561_930), (565_236, 78_567_780), (566_536, 19_648_120)),
}


def cell(names: tuple[str, ...] | list[str]) -> Architecture:
    """One operation per edge, in the order of EDGES."""
    return SPACE.architecture([tuple((node, predecessor, name) for (predecessor, node), name in zip(EDGES, names, strict=True))])


def every_cell() -> list[tuple[str, ...]]:
    return list(product(NAMES, repeat=6))


@pytest.fixture(scope="module")
def numbers() -> np.ndarray:
    """(15625, 6): the operations of every cell, as columns."""
    return np.array(list(product(range(5), repeat=6)))


@pytest.fixture(scope="module")
def connected(numbers: np.ndarray) -> np.ndarray:
    """(15625,) bool, by the four ways from node 0 to node 3."""
    edge = dict(zip(EDGES, (numbers != 0).T, strict=True))
    return edge[0, 3] | (edge[0, 1] & edge[1, 3]) | (edge[0, 2] & edge[2, 3]) | (edge[0, 1] & edge[1, 2] & edge[2, 3])


@pytest.mark.parametrize("text", SIZES)
def test_networks_have_the_sizes_of_the_closed_form(text: str) -> None:
    architecture = Architecture.from_genotype(text) if "|" in text else cell([text] * 6)
    for skeleton, (params, macs) in zip((CIFAR10, CIFAR100, IMAGENET16), SIZES[text], strict=True):
        assert cost(architecture, skeleton) == (params, macs - skeleton.classes)


def test_random_cells_follow_the_closed_form_in_their_numbers_of_convolutions() -> None:
    rng, table = np.random.default_rng(0), cost_table(SPACE, CIFAR10)
    for names in rng.choice(NAMES, (200, 6)):
        wide, narrow = list(names).count("nor_conv_3x3"), list(names).count("nor_conv_1x1")
        expected = (73_306 + 243_040 * wide + 28_000 * narrow, 7_783_040 + 35_389_440 * wide + 3_932_160 * narrow)
        assert cost_in(table, SPACE, cell(names)) == expected


def test_there_are_28_sizes() -> None:
    table = cost_table(SPACE, CIFAR10)
    sizes = {tuple(cost_in(table, SPACE, cell(names))) for names in every_cell()}
    assert len(sizes) == 28
    assert min(sizes)[0] == 73_306
    assert max(sizes)[0] == 1_531_546


def test_every_cell_survives_the_way_through_its_text() -> None:
    texts = set()
    for names in every_cell():
        architecture = cell(names)
        assert Architecture.from_genotype(architecture.to_genotype()) == architecture
        texts.add(architecture.to_genotype())
    assert len(texts) == 15_625
    assert Architecture.from_genotype(EXAMPLE).to_genotype() == EXAMPLE


@pytest.mark.parametrize(
    "text",
    [
        "|none~0|+|none~1|none~0|+|none~0|none~1|none~2|",
        "|none~0|+|none~0|+|none~0|none~1|none~2|",
        "|none~0|+|none~0|none~1|none~2|",
        "|none~0+|none~0|none~1|+|none~0|none~1|none~2|",
        "|none~0||+|none~0|none~1|+|none~0|none~1|none~2|",
        "|none|+|none~0|none~1|+|none~0|none~1|none~2|",
        "|",
    ],
)
def test_text_with_missing_or_misplaced_predecessors_is_refused(text: str) -> None:
    with pytest.raises(ArchitectureError, match=r"node [123]: expected \|"):
        Architecture.from_genotype(text)


def test_cells_outside_the_space_are_refused() -> None:
    with pytest.raises(ArchitectureError, match="did you mean 'nor_conv_3x3'"):
        cost(Architecture.from_genotype(EXAMPLE.replace("nor_conv_3x3~1", "nor_conv_3x4~1")), CIFAR10)
    with pytest.raises(ArchitectureError, match="one operation on each of the edges"):
        cost(Architecture.from_genotype("|none~0|+|none~0|none~1|"), CIFAR10)
    shorter = make_space({"name": "nas-bench-201", "operations": ["none", "skip_connect", "nor_conv_3x3"]})
    with pytest.raises(ArchitectureError, match="'avg_pool_3x3' is not an operation"):
        shorter.check(Architecture.from_genotype(EXAMPLE))


@pytest.mark.parametrize(("changes", "words"), [({"cells": 16}, "multiple of 3"), ({"stem": "imagenet"}, "its stem is cifar")])
def test_skeletons_of_another_shape_are_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(SkeletonError, match=words):
        cost(cell(["none"] * 6), Skeleton(**{**CIFAR10.to_json(), **changes}))


def test_decoding_knows_exactly_the_connected_cells(numbers: np.ndarray, connected: np.ndarray) -> None:
    assert connected.sum() == 15_625 - 341
    options = SPACE.slots()[0].options
    assert {tuple(name for _, _, name in option) for option in options} == {
        tuple(NAMES[number] for number in row) for row in numbers[connected]
    }


def bounds_around(rng: np.random.Generator, costs: np.ndarray) -> dict[str, dict[str, int]]:
    """Any of the four ends, each at the cost of some cell."""
    ends = [("params", 0, "upper"), ("params", 0, "lower"), ("macs", 1, "upper"), ("macs", 1, "lower")]
    bounds: dict[str, dict[str, int]] = {}
    for metric, column, end in ends:
        if rng.random() < 0.5:
            bounds.setdefault(metric, {})[end] = int(np.quantile(costs[:, column], rng.random() * 0.5 + (end == "upper") * 0.5))
    return bounds


def test_decoding_is_the_best_of_all_cells_within_any_bounds(numbers: np.ndarray, connected: np.ndarray) -> None:
    """Against brute force over the whole space, at a skeleton whose sizes are not those of the tables."""
    table = cost_table(SPACE, Skeleton(space="nas-bench-201", channels=6, cells=6, input_shape=(1, 7, 10), classes=3))
    decoder, rng, rows = Decoder(SPACE, table), np.random.default_rng(0), numbers[connected]
    costs = table.fixed + table.edges["cell"][np.arange(6), rows].sum(axis=1)
    assert len(np.unique(costs, axis=0)) == 28
    for _ in range(60):
        scores = rng.normal(size=(6, 5))
        bounds = bounds_around(rng, costs)
        totals = scores[np.arange(6), rows].sum(axis=1)
        meets = np.ones(len(rows), dtype=bool)
        for column, metric in enumerate(("params", "macs")):
            bound = bounds.get(metric, {})
            meets &= (costs[:, column] <= bound.get("upper", 10**9)) & (costs[:, column] >= bound.get("lower", 0))
        found = decoder.decode({"cell": scores}, bounds)
        assert found.score == pytest.approx(totals[meets].max(), abs=1e-12)
        assert found.architecture == cell([NAMES[number] for number in rows[meets][totals[meets].argmax()]])
        assert tuple(found.costs.values()) == tuple(cost_in(table, SPACE, found.architecture))


def test_unbounded_decoding_is_the_argmax_of_each_edge_with_ties_to_the_lower_operation() -> None:
    decoder, rng = Decoder(SPACE, cost_table(SPACE, CIFAR10)), np.random.default_rng(0)
    for _ in range(50):
        scores = rng.integers(0, 3, (6, 5)).astype(float)
        architecture = cell([NAMES[number] for number in scores.argmax(axis=1)])
        if live_edges(architecture.groups["cell"], 1, (3,)):
            assert decoder.decode({"cell": scores}).architecture == architecture


def test_a_preference_for_none_everywhere_still_decodes_to_a_connected_cell() -> None:
    scores = np.zeros((6, 5))
    scores[:, 0] = 1
    scores[3, 2] = 0.5  # edge 0>3, a 1x1 convolution
    found = Decoder(SPACE, cost_table(SPACE, CIFAR10)).decode({"cell": scores}).architecture
    assert found == cell(["none", "none", "none", "nor_conv_1x1", "none", "none"])


def test_the_decoded_front_holds_the_best_cell_of_every_size_that_beats_all_smaller_ones(
    numbers: np.ndarray, connected: np.ndarray
) -> None:
    table, rows = cost_table(SPACE, CIFAR10), numbers[connected]
    scores = np.random.default_rng(1).normal(size=(6, 5))
    params = table.fixed[0] + table.edges["cell"][np.arange(6), rows, 0].sum(axis=1)
    totals, best, expected = scores[np.arange(6), rows].sum(axis=1), -np.inf, []
    for size in sorted(set(params)):
        if (score := totals[params == size].max()) > best:
            best = score
            expected.append((size, score))
    front = Decoder(SPACE, table).decode_front({"cell": scores}, ["params"])
    assert [decoded.costs["params"] for decoded in front] == [size for size, _ in expected]
    assert [decoded.score for decoded in front] == pytest.approx([score for _, score in expected])


def test_sampling_is_uniform_over_the_connected_cells_within_the_budget(numbers: np.ndarray, connected: np.ndarray) -> None:
    convolutions = Counter(
        ((row == 3).sum(), (row == 2).sum()) for row in numbers[connected]
    )  # numbers of 3x3 and of 1x1 convolutions settle the size
    table, rng = cost_table(SPACE, CIFAR10), np.random.default_rng(0)
    assert FeasibleSet(SPACE, table).count == 15_284
    feasible = FeasibleSet(SPACE, table, {"params": {"upper": 316_346}})  # one 3x3 convolution or none
    inside = {kind: count for kind, count in convolutions.items() if kind[0] == 0 or kind == (1, 0)}
    assert feasible.count == sum(inside.values())
    drawn: Counter[tuple[int, int]] = Counter()
    seen = set()
    for _ in range(6000):
        names = [name for _, _, name in feasible.sample(rng).groups["cell"]]
        drawn[names.count("nor_conv_3x3"), names.count("nor_conv_1x1")] += 1
        seen.add(tuple(names))
    chi_square = sum((drawn[kind] - (expected := 6000 * count / feasible.count)) ** 2 / expected for kind, count in inside.items())
    assert chi_square < len(inside) + 5 * np.sqrt(2 * len(inside))
    distinct = feasible.count * (1 - (1 - 1 / feasible.count) ** 6000)  # expected where each cell is equally likely
    assert len(seen) == pytest.approx(distinct, rel=0.03)


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        # operations on the edges 0>1, 0>2, 1>2, 0>3, 1>3, 2>3
        (("3", "-", "-", "s", "-", "-"), ("-", "3", "1", "s", "-", "-"), True),  # edges that lead nowhere
        (("3", "-", "-", "-", "s", "-"), ("-", "3", "-", "-", "-", "s"), True),  # by node 1 or by node 2
        (("s", "-", "-", "-", "3", "-"), ("-", "-", "-", "3", "-", "-"), True),  # a skip is nothing
        (("3", "1", "-", "-", "s", "s"), ("1", "3", "-", "-", "s", "s"), True),  # the order of terms
        (("3", "-", "p", "s", "-", "1"), ("3", "-", "p", "s", "-", "3"), False),  # another operation
        (("3", "-", "-", "3", "s", "-"), ("3", "-", "s", "-", "s", "s"), False),  # two convolutions, or one counted twice
        (("3", "-", "-", "s", "p", "-"), ("3", "-", "-", "p", "s", "-"), False),  # what is pooled
        (("3", "s", "s", "-", "-", "p"), ("3", "-", "-", "p", "p", "-"), True),  # pooling a sum is the sum of poolings
        (("-", "3", "1", "-", "-", "s"), ("-", "3", "-", "-", "s", "s"), True),  # node 1 has no input: its edges are dead
    ],
)
def test_function_keys_tell_functions_and_not_wirings(one: tuple[str, ...], other: tuple[str, ...], equal: bool) -> None:
    names = {"-": "none", "s": "skip_connect", "1": "nor_conv_1x1", "3": "nor_conv_3x3", "p": "avg_pool_3x3"}
    keys = [SPACE.function_key(cell([names[letter] for letter in letters])) for letters in (one, other)]
    assert (keys[0] == keys[1]) == equal


@pytest.mark.parametrize(
    ("operations", "classes"), [(NAMES[:4], 1_011), pytest.param(NAMES, 5_044, marks=pytest.mark.slow)], ids=["four", "all five"]
)
def test_function_keys_are_the_classes_of_equal_functions(operations: tuple[str, ...], classes: int) -> None:
    """By numbers: the output of a scalar model for every way of giving the live convolutions a fixed list of weights.

    A convolution is an arbitrary nonlinear function with its own weight, pooling a linear one, a skip the identity.
    """
    outputs: dict[tuple[float, ...], str] = {}
    keys = set()
    for names in product(operations, repeat=6):
        architecture = cell(names)
        live = live_edges(architecture.groups["cell"], 1, (3,))
        convolutions = [edge for edge in live if edge[2].startswith("nor_conv")]
        values = []
        for weights in permutations((0.31, 0.47, 0.59, 0.73, 0.83, 0.97)[: len(convolutions)]):
            weight = dict(zip(convolutions, weights, strict=True))
            states = {0: 0.77, 1: 0.0, 2: 0.0, 3: 0.0}
            for edge in live:
                x = states[edge[1]]
                match edge[2]:
                    case "nor_conv_1x1":
                        x = math.tanh(weight[edge] * x + 0.19)
                    case "nor_conv_3x3":
                        x = math.sin(weight[edge] * x + 0.37)
                    case "avg_pool_3x3":
                        x = 0.7310585 * x
                states[edge[0]] += x
            values.append(round(states[3], 9))
        key = SPACE.function_key(architecture)
        signature = (len(convolutions), *sorted(values))
        assert outputs.setdefault(signature, key) == key
        keys.add(key)
    assert len(keys) == len(outputs) == classes
