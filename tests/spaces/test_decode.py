"""Budgeted decoding against brute force over every architecture of a small space, and against the published rule."""

from collections.abc import Iterator
from itertools import product

import numpy as np
import pytest

from moonas.architecture import Architecture
from moonas.errors import InfeasibleError
from moonas.skeleton import Skeleton
from moonas.spaces import merging
from moonas.spaces.choices import Choices
from moonas.spaces.costs import cost, cost_table
from moonas.spaces.darts_cnn import DartsCnn
from moonas.spaces.decode import Decoder
from moonas.spaces.space import make_space

OPERATIONS = ("none", "max_pool_3x3", "skip_connect", "sep_conv_3x3", "dil_conv_5x5")
SMALL = make_space({"name": "darts-cnn", "nodes": 2, "operations": OPERATIONS})
FULL = make_space({"name": "darts-cnn"})
LARGE = Skeleton(channels=36, cells=20, input_shape=(3, 32, 32), classes=10)


def skeleton(channels: int) -> Skeleton:
    return Skeleton(channels=channels, cells=5, input_shape=(1, 8, 8), classes=10)


def log_softmax(space: DartsCnn, rng: np.random.Generator) -> dict[str, np.ndarray]:
    logits = {name: rng.normal(size=group.shape) for name, group in space.groups.items()}
    return {group: values - np.log(np.exp(values).sum(axis=1, keepdims=True)) for group, values in logits.items()}


def every_architecture(choices: Choices) -> Iterator[tuple[int, ...]]:
    return product(*(range(len(slot.costs)) for slot in choices.slots))


@pytest.fixture(scope="module", params=[4, 8])
def listed(request: pytest.FixtureRequest) -> tuple[Decoder, np.ndarray, np.ndarray]:
    """A decoder at one of two widths, with the option numbers and exact costs of every architecture."""
    decoder = Decoder(SMALL, cost_table(SMALL, skeleton(request.param)))
    numbers = np.array(list(every_architecture(decoder.choices)))
    slots = decoder.choices.slots
    costs = decoder.choices.table.fixed + sum(slot.costs[numbers[:, index]] for index, slot in enumerate(slots))
    return decoder, numbers, costs


def test_the_small_space_holds_every_architecture_once(listed: tuple[Decoder, np.ndarray, np.ndarray]) -> None:
    decoder, numbers, costs = listed
    assert len(numbers) == (1 * 16 * 3 * 16) ** 2  # per cell: one pair of inputs and three, two of four operations each
    for row in np.random.default_rng(0).choice(len(numbers), 50):
        architecture = decoder.choices.architecture(numbers[row])
        width = decoder.choices.table.fixed[0] > cost_table(SMALL, skeleton(4)).fixed[0]
        assert tuple(costs[row]) == cost(architecture, skeleton(8 if width else 4))


def bounds_near(rng: np.random.Generator, costs: np.ndarray) -> dict[str, dict[str, int]]:
    """Random bounds of every kind on one or both costs, each around the costs of some architectures."""
    low, high = np.sort(costs[rng.choice(len(costs), 2)], axis=0)
    kinds = rng.choice(["none", "upper", "lower", "band"], 2)
    ends = {
        "none": lambda i: {},
        "upper": lambda i: {"upper": int(high[i])},
        "lower": lambda i: {"lower": int(low[i])},
        "band": lambda i: {"lower": int(low[i]), "upper": int(high[i])},
    }
    return {name: ends[kind](i) for i, (name, kind) in enumerate(zip(("params", "macs"), kinds, strict=True)) if kind != "none"}


def within(costs: np.ndarray, bounds: dict[str, dict[str, int]]) -> np.ndarray:
    inside = np.ones(len(costs), dtype=bool)
    for column, name in enumerate(("params", "macs")):
        bound = bounds.get(name, {})
        inside &= (costs[:, column] >= bound.get("lower", 0)) & (costs[:, column] <= bound.get("upper", 2**62))
    return inside


@pytest.mark.parametrize("merge_limit", [merging.MERGE_LIMIT, 0], ids=["merged", "integer-program"])
def test_decoding_finds_the_best_of_all_within_random_bounds(listed, merge_limit, monkeypatch) -> None:
    monkeypatch.setattr(merging, "MERGE_LIMIT", merge_limit)
    decoder, numbers, costs = listed
    rng = np.random.default_rng(0)
    for _ in range(40 if merge_limit else 12):
        scores = log_softmax(SMALL, rng)
        total = sum(values[numbers[:, index]] for index, values in enumerate(decoder.choices.scores(scores)))
        bounds = bounds_near(rng, costs)
        inside = within(costs, bounds)
        found = decoder.decode(scores, bounds)
        assert found.score == pytest.approx(total[inside].max(), abs=1e-9)
        assert within(np.array([[found.costs["params"], found.costs["macs"]]]), bounds).all()
        assert dict(cost(found.architecture, skeleton_of(decoder))._asdict()) == found.costs


def skeleton_of(decoder: Decoder) -> Skeleton:
    return next(s for s in (skeleton(4), skeleton(8)) if cost_table(SMALL, s).fixed[0] == decoder.choices.table.fixed[0])


def test_a_band_that_only_one_architecture_cost_meets_is_met_exactly(listed) -> None:
    decoder, numbers, costs = listed
    rng = np.random.default_rng(1)
    for row in rng.choice(len(numbers), 5):
        params, macs = map(int, costs[row])
        bounds = {"params": {"lower": params, "upper": params}, "macs": {"lower": macs, "upper": macs}}
        assert decoder.decode(log_softmax(SMALL, rng), bounds).costs == {"params": params, "macs": macs}


@pytest.mark.parametrize("metrics", [("params",), ("macs",), ("params", "macs")])
def test_the_decoded_front_is_that_of_all_architectures(listed, metrics) -> None:
    decoder, numbers, costs = listed
    scores = log_softmax(SMALL, np.random.default_rng(2))
    total = sum(values[numbers[:, index]] for index, values in enumerate(decoder.choices.scores(scores)))
    columns = [("params", "macs").index(metric) for metric in metrics]
    front = decoder.decode_front(scores, metrics)
    for member in front:
        own = [member.costs[metric] for metric in metrics]
        no_dearer = (costs[:, columns] <= own).all(axis=1)
        assert total[no_dearer].max() <= member.score + 1e-9
    ends = [member.costs[metrics[0]] for member in front]
    assert ends == sorted(ends)
    assert max(member.score for member in front) == pytest.approx(total.max())
    best_of_each = {tuple(row): total[(costs[:, columns] <= row).all(axis=1)].max() for row in np.unique(costs[:, columns], axis=0)}
    values = sorted(set(np.round(list(best_of_each.values()), 9)))
    assert sorted(set(np.round([member.score for member in front], 9))) == values


def published_rule(space: DartsCnn, scores: dict[str, np.ndarray]) -> Architecture:
    """Per node the two edges whose best operation other than none is strongest, each with that operation."""
    groups = {}
    for group, cell in space.groups.items():
        kept, real = [], [index for index, name in enumerate(cell.operations) if name != "none"]
        for node in space.nodes:
            incoming = [(cell.edges.index((p, node)), p) for p in range(node)]
            best = sorted(incoming, key=lambda item: (-max(scores[group][item[0]][real]), item[1]))[:2]
            kept += [(node, p, cell.operations[max(real, key=lambda o, e=e: (scores[group][e][o], -o))]) for e, p in best]
        groups[group] = kept
    return Architecture(space.name, groups, dict.fromkeys(space.groups, space.nodes))


def test_unbounded_decoding_is_the_published_discretisation() -> None:
    decoder, rng = Decoder(FULL, cost_table(FULL, skeleton(4))), np.random.default_rng(0)
    for _ in range(50):
        scores = log_softmax(FULL, rng)
        assert decoder.decode(scores).architecture == published_rule(FULL, scores)


def test_ties_take_the_lower_predecessors_then_the_lower_operations() -> None:
    decoder = Decoder(FULL, cost_table(FULL, skeleton(4)))
    flat = {group: np.zeros((14, 8)) for group in FULL.groups}
    edges = decoder.decode(flat).architecture.groups["normal"]
    assert edges == tuple((node, predecessor, "max_pool_3x3") for node in (2, 3, 4, 5) for predecessor in (0, 1))
    rng = np.random.default_rng(0)
    for _ in range(50):
        coarse = {group: rng.integers(0, 3, size=(14, 8)).astype(float) for group in FULL.groups}
        assert decoder.decode(coarse).architecture == published_rule(FULL, coarse)


def test_none_dominant_everywhere_still_gives_eight_real_operations() -> None:
    scores = log_softmax(FULL, np.random.default_rng(0))
    for values in scores.values():
        values[:, 0] = 0.0
    architecture = Decoder(FULL, cost_table(FULL, skeleton(4))).decode(scores).architecture
    assert all(operation != "none" for edges in architecture.groups.values() for _, _, operation in edges)
    assert all(len(edges) == 8 for edges in architecture.groups.values())


def test_impossible_bounds_are_refused_with_the_reachable_interval() -> None:
    decoder = Decoder(FULL, cost_table(FULL, LARGE))
    assert decoder.reachable() == {"params": (1_370_134, 5_144_086), "macs": (227_272_320, 817_833_600)}
    scores = log_softmax(FULL, np.random.default_rng(0))
    with pytest.raises(InfeasibleError, match=r"params<=1,000,000: params reaches from 1,370,134 to 5,144,086"):
        decoder.decode(scores, {"params": {"upper": 1_000_000}})
    with pytest.raises(InfeasibleError, match="macs reaches from"):
        decoder.decode(scores, {"params": {"upper": 1_400_000}, "macs": {"lower": 500_000_000}})


def test_feasible_single_bounds_between_two_costs_are_refused_with_a_reason() -> None:
    decoder = Decoder(FULL, cost_table(FULL, LARGE))
    with pytest.raises(InfeasibleError, match="no architecture meets"):
        decoder.decode(log_softmax(FULL, np.random.default_rng(0)), {"params": {"lower": 1_370_135, "upper": 1_370_136}})


def test_five_groups_obey_upper_bounds_and_bands() -> None:
    space = make_space({"name": "darts-cnn", "levels": 3})
    decoder = Decoder(space, cost_table(space, LARGE))
    scores = log_softmax(space, np.random.default_rng(0))
    low, high = decoder.reachable()["params"]
    budget = low + (high - low) // 4
    upper = decoder.decode(scores, {"params": {"upper": budget}})
    assert upper.costs["params"] <= budget
    band = decoder.decode(scores, {"params": {"lower": budget - 1000, "upper": budget}})
    assert budget - 1000 <= band.costs["params"] <= budget
    assert band.score <= upper.score <= decoder.decode(scores).score
