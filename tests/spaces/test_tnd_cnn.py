"""The space of TND-NAS: sizes of its published cell, one operation per edge, decoding and sampling against enumeration."""

from collections import Counter
from itertools import product
from math import prod
from typing import NamedTuple

import numpy as np
import pytest

from moonas.architecture import Architecture
from moonas.errors import ArchitectureError, InfeasibleError
from moonas.skeleton import Skeleton
from moonas.spaces.costs import cost, cost_in, cost_table
from moonas.spaces.decode import Decoder
from moonas.spaces.sampling import FeasibleSet
from moonas.spaces.space import make_space, operation_cost
from tests.spaces.genotypes import TND_SIZES, tnd_cell

SETTINGS = {"name": "tnd-cnn", "normal": ["none", "skip_connect", "conv_3x3"], "reduce": ["none", "skip_connect"]}
SMALL, HOLLOW = (make_space({**SETTINGS, "nodes": 2, "empty_nodes": empty}) for empty in (False, True))
TINY = Skeleton(space="tnd-cnn", channels=4, cells=3, input_shape=(1, 8, 8), classes=10)


def skeleton(channels: int, classes: int) -> Skeleton:
    return Skeleton(space="tnd-cnn", channels=channels, cells=20, input_shape=(3, 32, 32), classes=classes)


@pytest.mark.parametrize("channels", TND_SIZES)
def test_the_published_cell_has_the_published_sizes(channels: int) -> None:
    params, params_100, macs = TND_SIZES[channels]
    assert cost(tnd_cell(), skeleton(channels, 10)) == (params, macs)
    assert cost(tnd_cell(), skeleton(channels, 100)).params == params_100
    space = make_space({"name": "tnd-cnn"})
    space.check(tnd_cell())
    assert cost_in(cost_table(space, skeleton(channels, 10)), space, tnd_cell()) == (params, macs)


@pytest.mark.parametrize(
    ("name", "stride", "size", "weights", "macs"),
    [
        ("conv_1x1", 1, (32, 32), 256, 262_144),
        ("conv_3x3", 1, (32, 32), 2_304, 2_359_296),
        ("conv_3x1_1x3", 1, (32, 32), 1_536, 1_572_864),
        ("conv_3x3", 2, (7, 5), 2_304, 2_304 * 4 * 3),
        ("conv_3x1_1x3", 2, (7, 5), 1_536, 768 * (7 * 3 + 4 * 3)),  # first 1x3 along the width, then 3x1 along the height
        ("max_pool_7x7", 2, (7, 5), None, 0),
    ],
)
def test_single_operations_at_16_channels(name: str, stride: int, size: tuple[int, int], weights: int | None, macs: int) -> None:
    assert operation_cost(name, 16, stride, size) == (0 if weights is None else weights + 2 * 16, macs)


def test_the_space_has_as_many_architectures_as_operations_on_edges_allow() -> None:
    for empty in (False, True):
        space = make_space({"name": "tnd-cnn", "empty_nodes": empty})
        nothing = 0 if empty else 1
        known = [operations**edges - nothing for operations in (10, 6) for edges in (5, 4, 3, 2)]
        assert [len(slot.options) for slot in space.slots()] == known
        assert FeasibleSet(space, cost_table(space, TINY)).count == prod(known)


def every_architecture(space) -> list[Architecture]:
    return [space.architecture(options) for options in product(*(slot.options for slot in space.slots()))]


class Listed(NamedTuple):
    """All architectures of the small space with costs (n, 2) and the operation of each edge: {group: (n, edges)} columns."""

    architectures: list[Architecture]
    costs: np.ndarray
    columns: dict[str, np.ndarray]

    def scores(self, scores: dict[str, np.ndarray]) -> np.ndarray:
        """(n,): the sum over all edges."""
        return sum(scores[name][np.arange(5), columns].sum(axis=1) for name, columns in self.columns.items())


@pytest.fixture(scope="module")
def listed() -> Listed:
    architectures, table = every_architecture(SMALL), cost_table(SMALL, TINY)
    columns = {}
    for name, group in SMALL.groups.items():
        chosen = [{(predecessor, node): operation for node, predecessor, operation in a.groups[name]} for a in architectures]
        columns[name] = np.array([[group.operations.index(c.get(edge, "none")) for edge in group.edges] for c in chosen])
    return Listed(architectures, np.array([cost_in(table, SMALL, architecture) for architecture in architectures]), columns)


def test_architectures_leave_none_out_and_every_node_keeps_an_input(listed: Listed) -> None:
    architectures = listed.architectures
    assert len(architectures) == len({a.key for a in architectures}) == (3**2 - 1) * (3**3 - 1) * (2**2 - 1) * (2**3 - 1)
    for architecture in architectures[::97]:
        SMALL.check(architecture)
        assert architecture.concat == {"normal": (2, 3), "reduce": (2, 3)}
        assert all(operation != "none" for edges in architecture.groups.values() for _, _, operation in edges)
        assert all({node for node, _, _ in edges} == {2, 3} for edges in architecture.groups.values())


def random_scores(rng: np.random.Generator, removed: int = 0) -> dict[str, np.ndarray]:
    """Log-probabilities, -inf for some operations of every edge."""
    scores = {}
    for name, group in SMALL.groups.items():
        logits = rng.normal(size=group.shape)
        for row in logits:
            row[rng.choice(len(row), removed if len(row) > 2 else 0, replace=False)] = -np.inf
        scores[name] = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return scores


@pytest.mark.parametrize("removed", [0, 1])
@pytest.mark.parametrize("kind", ["free", "upper", "two uppers", "band"])
def test_decoding_finds_the_best_of_all_that_fit_and_nothing_that_was_removed(listed: Listed, removed: int, kind: str) -> None:
    costs = listed.costs
    decoder, rng = Decoder(SMALL, cost_table(SMALL, TINY)), np.random.default_rng(0)
    impossible = 0
    for _ in range(6):
        scores = random_scores(rng, removed)
        (low, low_macs), (high, high_macs) = np.sort(costs[rng.choice(len(costs), 2)], axis=0).tolist()
        bounds = {
            "free": {},
            "upper": {"params": {"upper": low}},
            "two uppers": {"params": {"upper": high}, "macs": {"upper": low_macs}},
            "band": {"params": {"lower": low, "upper": high}},
        }[kind]
        inside = np.ones(len(costs), dtype=bool)
        for column, metric in enumerate(("params", "macs")):
            bound = bounds.get(metric, {})
            inside &= (costs[:, column] >= bound.get("lower", 0)) & (costs[:, column] <= bound.get("upper", high_macs * 10))
        total = listed.scores(scores)
        best = total[inside].max()
        if best == -np.inf:
            impossible += 1
            with pytest.raises(InfeasibleError, match="that the scores leave"):
                decoder.decode(scores, bounds)
        else:
            found = decoder.decode(scores, bounds)
            assert found.score == pytest.approx(best, abs=1e-9)
            place = listed.architectures.index(found.architecture)
            assert found.score == pytest.approx(total[place], abs=1e-9)
            assert inside[place]
    assert impossible < 6


def test_the_front_holds_nothing_that_was_removed(listed: Listed) -> None:
    scores = random_scores(np.random.default_rng(1), removed=1)
    front = Decoder(SMALL, cost_table(SMALL, TINY)).decode_front(scores, ["params"])
    total = listed.scores(scores)
    for member in front:
        assert -np.inf < member.score == pytest.approx(total[listed.costs[:, 0] <= member.costs["params"]].max())
    assert front[-1].score == pytest.approx(total.max())


def test_without_a_bound_every_edge_takes_its_best_operation_and_ties_the_lower_one() -> None:
    space = make_space({"name": "tnd-cnn", "empty_nodes": True})
    decoder, rng = Decoder(space, cost_table(space, TINY)), np.random.default_rng(0)
    for coarse in (False, True):
        scores = {name: rng.normal(size=group.shape) for name, group in space.groups.items()}
        if coarse:
            scores = {name: np.round(matrix) for name, matrix in scores.items()}
        found = decoder.decode(scores).architecture
        for name, group in space.groups.items():
            best = [(node, p, group.operations[row.argmax()]) for (p, node), row in zip(group.edges, scores[name], strict=True)]
            assert found.groups[name] == tuple(sorted(edge for edge in best if edge[2] != "none"))


def test_where_none_wins_everywhere_each_node_keeps_the_input_that_costs_the_score_least() -> None:
    scores = {name: np.log(np.full(group.shape, 0.1)) for name, group in SMALL.groups.items()}
    for matrix in scores.values():
        matrix[:, 0] = np.log(0.8)
        matrix[1, -1] = matrix[4, 1] = np.log(0.15)
    found = Decoder(SMALL, cost_table(SMALL, TINY)).decode(scores).architecture
    assert found.groups["normal"] == ((2, 1, "conv_3x3"), (3, 2, "skip_connect"))
    assert found.groups["reduce"] == ((2, 1, "skip_connect"), (3, 2, "skip_connect"))


def test_every_feasible_architecture_is_equally_likely() -> None:
    space = make_space({"name": "tnd-cnn", "nodes": 2, "normal": ["none", "conv_3x3"], "reduce": ["none", "skip_connect"]})
    table = cost_table(space, TINY)
    params = {a.key: cost_in(table, space, a).params for a in every_architecture(space)}
    middle = sorted(params.values())[len(params) // 2]
    known = {key for key, value in params.items() if value <= middle}
    feasible, rng = FeasibleSet(space, table, {"params": {"upper": middle}}), np.random.default_rng(0)
    assert feasible.count == len(known)
    assert 220 < len(known) < len(params) == 441
    drawn = Counter(feasible.sample(rng).key for _ in range(20 * len(known)))
    assert set(drawn) <= set(known)
    chi_square = sum((drawn[key] - 20) ** 2 / 20 for key in known)
    assert abs(chi_square - len(known)) < 5 * np.sqrt(2 * len(known))


def edit(architecture: Architecture, **groups) -> Architecture:
    return Architecture(architecture.space, {**architecture.groups, **groups}, architecture.concat)


def test_what_does_not_belong_to_the_space_is_refused() -> None:
    space, cell = make_space({"name": "tnd-cnn"}), tnd_cell()
    normal = list(cell.groups["normal"])
    cases = {
        "'sep_conv_3x3' is not an operation": edit(cell, reduce=normal),
        "'none' is not an operation": edit(cell, normal=[*normal, (3, 2, "none")]),
        "more than one operation": edit(cell, normal=[*normal, (2, 0, "conv_1x1")]),
        "cannot take its input from node 4": edit(cell, normal=[*normal, (4, 4, "conv_1x1")]),
        "node 3 has no input": edit(cell, normal=[edge for edge in normal if edge[0] != 3]),
        "concatenates the nodes": Architecture(cell.space, cell.groups, {"normal": (2, 3, 4), "reduce": (2, 3, 4, 5)}),
        "has the cell groups": Architecture(cell.space, {"normal": normal}, cell.concat),
        "does not belong": Architecture("darts-cnn", cell.groups, cell.concat),
    }
    for words, spoiled in cases.items():
        with pytest.raises(ArchitectureError, match=words):
            space.check(spoiled)
    full = make_space({"name": "tnd-cnn", "normal": ["conv_1x1", "skip_connect"], "reduce": ["skip_connect"]})
    with pytest.raises(ArchitectureError, match="an edge is missing"):
        full.check(edit(cell, normal=[(2, 0, "conv_1x1")], reduce=[(2, 0, "skip_connect")]))


def test_an_empty_node_costs_what_it_leaves_and_needs_the_space_to_allow_it() -> None:
    cell = tnd_cell()
    hollow = edit(cell, normal=[edge for edge in cell.groups["normal"] if edge[0] != 3])
    make_space({"name": "tnd-cnn", "empty_nodes": True}).check(hollow)
    lost = cost(cell, skeleton(16, 10)).params - cost(hollow, skeleton(16, 10)).params
    # a 3x3 convolution with batch norm in each of 6 cells at 16, at 32 and at 64 channels
    assert lost == sum(6 * (9 * c * c + 2 * c) for c in (16, 32, 64))


def test_function_keys_ignore_the_order_of_nodes_and_edges_that_carry_zeros() -> None:
    cell = tnd_cell()
    key = HOLLOW.function_key
    other = [(3, 0, "skip_connect"), (3, 1, "conv_3x3")]
    one = Architecture("tnd-cnn", {"normal": other, "reduce": other}, {"normal": (2, 3), "reduce": (2, 3)})
    moved = edit(one, normal=[(2, p, o) for _, p, o in other])
    assert one.key != moved.key
    assert key(one) == key(moved)
    assert key(one) == key(edit(one, normal=[*other, (3, 2, "skip_connect")]))  # node 2 is empty
    assert key(one) != key(edit(one, normal=[*other, (3, 2, "conv_3x3")]))  # whose batch norm shifts the zeros
    space = make_space({"name": "tnd-cnn"})
    assert space.function_key(cell) != space.function_key(edit(cell, normal=cell.groups["normal"][1:]))
