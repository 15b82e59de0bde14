"""Uniform sampling by counting, against enumeration and closed forms."""

from collections import Counter

import numpy as np
import pytest

from moonas.errors import InfeasibleError
from moonas.skeleton import Skeleton
from moonas.spaces import sampling
from moonas.spaces.costs import cost_in, cost_table
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


def test_several_bounds_over_five_groups_are_met_without_counting_every_cost(monkeypatch) -> None:
    monkeypatch.setattr(sampling, "COUNT_LIMIT", 10)
    feasible = FeasibleSet(TINY, TABLE, {"params": {"upper": 2600}, "macs": {"lower": 35_000, "upper": 42_000}})
    assert feasible.count is None
    listed = [FeasibleSet(TINY, TABLE).sample(np.random.default_rng(seed)) for seed in range(2000)]
    costs = {architecture.key: cost_in(TABLE, TINY, architecture) for architecture in listed}
    inside = {key for key, (params, macs) in costs.items() if params <= 2600 and 35_000 <= macs <= 42_000}
    assert 5 < len(inside) < 60
    rng = np.random.default_rng(0)
    drawn = Counter(feasible.sample(rng).key for _ in range(100 * len(inside)))
    assert set(drawn) == inside
    assert sum((count - 100) ** 2 / 100 for count in drawn.values()) < len(inside) + 5 * np.sqrt(2 * len(inside))


def test_five_groups_are_sampled_within_several_bounds() -> None:
    space = make_space({"name": "darts-cnn", "levels": 3, "nodes": 2})
    table = cost_table(space, Skeleton(channels=4, cells=5, input_shape=(1, 8, 8), classes=10))
    bounds = {"params": {"lower": 4000, "upper": 9000}, "macs": {"upper": 120_000}}
    feasible, rng = FeasibleSet(space, table, bounds), np.random.default_rng(0)
    for _ in range(20):
        costs = cost_in(table, space, feasible.sample(rng))
        assert 4000 <= costs.params <= 9000
        assert costs.macs <= 120_000
