"""Uniform sampling by counting, against enumeration and closed forms."""

from collections import Counter
from itertools import pairwise, product

import numpy as np
import pytest

from moonas.architecture import Architecture
from moonas.errors import InfeasibleError
from moonas.skeleton import Skeleton
from moonas.spaces.choices import Choices
from moonas.spaces.costs import CostTable, cost_in, cost_table, total_in
from moonas.spaces.sampling import FeasibleSet, sample_uniform
from moonas.spaces.space import make_space

SKELETON = Skeleton(channels=4, cells=3, input_shape=(1, 8, 8), classes=10)
TINY = make_space({"name": "darts-cnn", "nodes": 1, "operations": ["none", "skip_connect", "sep_conv_3x3", "dil_conv_3x3"]})
TABLE = cost_table(TINY, SKELETON)


def test_the_whole_darts_space_has_its_known_number_of_cells() -> None:
    space = make_space({"name": "darts-cnn"})
    feasible = FeasibleSet(space, cost_table(space, SKELETON))
    assert feasible.count == 1_037_664_180**2  # per cell (1*3*6*10)*7**8


def test_every_feasible_architecture_is_equally_likely() -> None:
    feasible = FeasibleSet(TINY, TABLE, {"params": {"upper": 2600}, "macs": {"upper": 10**9}})
    every = FeasibleSet(TINY, TABLE)
    rng = np.random.default_rng(0)
    listed = {a.key: cost_in(TABLE, TINY, a) for a in (every.sample(rng) for _ in range(3000))}
    assert len(listed) == every.count == 3**4
    inside = {key for key, costs in listed.items() if costs.params <= 2600}
    assert feasible.count == len(inside)
    assert 10 < len(inside) < 81
    draws = 200 * len(inside)
    drawn = Counter(feasible.sample(rng).key for _ in range(draws))
    assert set(drawn) == inside
    chi_square = sum((count - 200) ** 2 / 200 for count in drawn.values())
    assert chi_square < len(inside) + 5 * np.sqrt(2 * len(inside))


def test_samples_obey_bounds_on_both_sides_of_several_costs() -> None:
    space = make_space({"name": "darts-cnn"})
    table = cost_table(space, SKELETON)
    bounds = {"params": {"lower": 4000, "upper": 5000}, "macs": {"upper": 120_000}}
    feasible, rng = FeasibleSet(space, table, bounds), np.random.default_rng(0)
    for _ in range(50):
        costs = cost_in(table, space, feasible.sample(rng))
        assert 4000 <= costs.params <= 5000
        assert costs.macs <= 120_000


def test_the_same_stream_draws_the_same_architecture() -> None:
    draws = [sample_uniform(TINY, TABLE, None, np.random.default_rng(7)) for _ in range(2)]
    assert draws[0] == draws[1]


def test_bounds_that_nothing_meets_are_refused() -> None:
    with pytest.raises(InfeasibleError, match="params reaches from"):
        FeasibleSet(TINY, TABLE, {"params": {"upper": 10}})
    with pytest.raises(InfeasibleError, match="together"):
        FeasibleSet(TINY, TABLE, {"params": {"upper": 1600}, "macs": {"lower": 50_000}})


def with_predictions() -> CostTable:
    """The tiny table with a predicted cost beside it that hardly ever takes the same value twice."""
    rng = np.random.default_rng(5)
    edges = {name: rng.integers(1000, 9000, group.shape).tolist() for name, group in TINY.groups.items()}
    return cost_table(TINY, SKELETON, {"predicted_latency_us": {"fixed": 700, "edges": edges}})


def test_predicted_costs_add_up_beside_exact_ones() -> None:
    table = with_predictions()
    architecture = FeasibleSet(TINY, table).sample(np.random.default_rng(0))
    by_hand = 700 + sum(
        table.edges[name][TINY.groups[name].place(edge)][2] for name, kept in architecture.groups.items() for edge in kept
    )
    assert total_in(table, TINY, architecture) == {**cost_in(TABLE, TINY, architecture)._asdict(), "predicted_latency_us": by_hand}


@pytest.mark.parametrize("pairs", [10**6, 12])
@pytest.mark.parametrize("bound", [{"upper": 20_000}, {"lower": 17_000, "upper": 23_000}])
def test_costs_too_fine_to_be_counted_are_sampled_uniformly_all_the_same(
    monkeypatch: pytest.MonkeyPatch, pairs: int, bound: dict[str, int]
) -> None:
    monkeypatch.setattr("moonas.spaces.sampling.PAIRS", pairs)
    table, rng = with_predictions(), np.random.default_rng(0)
    bounds = {"params": {"upper": 2600}, "predicted_latency_us": bound}
    listed = {a.key: total_in(table, TINY, a) for a in _all(table)}
    inside = {key for key, costs in listed.items() if costs["params"] <= 2600 and _within(costs["predicted_latency_us"], bound)}
    assert 10 < len(inside) < 50
    feasible = FeasibleSet(TINY, table, bounds)
    assert feasible.exact == (pairs > 1000)
    assert feasible.count == pytest.approx(len(inside), rel=0 if feasible.exact else 0.4)
    drawn = Counter(feasible.sample(rng).key for _ in range(80 * len(inside)))
    assert set(drawn) == inside
    assert sum((count - 80) ** 2 / 80 for count in drawn.values()) < len(inside) + 5 * np.sqrt(2 * len(inside))


def test_bounds_that_only_the_coarse_count_meets_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moonas.spaces.sampling.PAIRS", 12)
    table = with_predictions()
    low, high = Choices(TINY, table).reachable()["predicted_latency_us"]
    totals = sorted({total_in(table, TINY, a)["predicted_latency_us"] for a in _all(table)})
    gap = max(pairwise(totals), key=lambda pair: pair[1] - pair[0])
    assert low < gap[0]
    assert gap[1] < high
    nothing = {"predicted_latency_us": {"lower": gap[0] + 1, "upper": gap[1] - 1}}
    with pytest.raises(InfeasibleError, match="predicted_latency_us"):
        FeasibleSet(TINY, table, nothing).sample(np.random.default_rng(0))


def _within(value: int, bound: dict[str, int]) -> bool:
    return bound.get("lower", 0) <= value <= bound["upper"]


def _all(table: CostTable) -> list[Architecture]:
    choices = Choices(TINY, table)
    return [choices.architecture(chosen) for chosen in product(*(range(len(slot.costs)) for slot in choices.slots))]
