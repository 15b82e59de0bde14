"""Device tables: a planted sum is found again, noise is smoothed, and whole numbers are rounded up."""

import numpy as np
import pytest

from moonas.architecture import Architecture
from moonas.errors import UsageError
from moonas.skeleton import Skeleton
from moonas.spaces.costs import cost_table
from moonas.spaces.device_fit import STRENGTHS, Fit, fit_table, rank_correlation
from moonas.spaces.sampling import FeasibleSet
from moonas.spaces.space import make_space

SPACE = make_space({"name": "darts-cnn", "nodes": 2})
COSTS = cost_table(SPACE, Skeleton(channels=4, cells=3, input_shape=(1, 8, 8), classes=10))


def total(fixed: float, edges: dict[str, np.ndarray], architecture: Architecture) -> float:
    return fixed + sum(edges[g][SPACE.groups[g].place(edge)] for g, kept in architecture.groups.items() for edge in kept)


def drawn(number: int, seed: int = 0) -> list[Architecture]:
    every, rng = FeasibleSet(SPACE, COSTS), np.random.default_rng(seed)
    return [every.sample(rng) for _ in range(number)]


def planted(alike: bool = False) -> dict[str, np.ndarray]:
    """A number per group, edge and operation; where `alike`, one per group and operation and whether the edge has stride 2."""
    rng = np.random.default_rng(1)
    if not alike:
        return {name: rng.uniform(0.05, 1.0, size=group.shape) for name, group in SPACE.groups.items()}
    kinds = {"normal": rng.uniform(0.05, 1.0, (2, 8)), "reduce": rng.uniform(0.05, 1.0, (2, 8))}
    return {
        name: np.array([kinds[name][int(name == "reduce" and predecessor < 2)] for predecessor, _ in group.edges])
        for name, group in SPACE.groups.items()
    }


def test_a_planted_table_is_found_exactly() -> None:
    edges, architectures = planted(), drawn(200)
    fit = fit_table(SPACE, COSTS, architectures, [total(2.0, edges, a) for a in architectures])
    assert fit.strength == 0
    assert fit.fixed >= 0
    assert min(table.min() for table in fit.edges.values()) >= 0
    for architecture in drawn(100, seed=1):
        assert total(fit.fixed, fit.edges, architecture) == pytest.approx(total(2.0, edges, architecture), rel=1e-9)


def test_alike_edges_are_found_from_fewer_networks_than_there_are_numbers() -> None:
    edges, architectures = planted(alike=True), drawn(45)  # of 80 numbers
    fit = fit_table(SPACE, COSTS, architectures, [total(2.0, edges, a) for a in architectures])
    for architecture in drawn(100, seed=1):
        assert total(fit.fixed, fit.edges, architecture) == pytest.approx(total(2.0, edges, architecture), rel=1e-6)


def test_under_noise_alike_edges_share_their_numbers_and_predict_better_than_each_by_itself() -> None:
    edges, architectures, rng = planted(alike=True), drawn(100), np.random.default_rng(2)
    values = np.array([total(2.0, edges, a) for a in architectures]) * (1 + 0.2 * rng.normal(size=100))
    others = drawn(100, seed=1)
    truth = np.array([total(2.0, edges, a) for a in others])
    fit = fit_table(SPACE, COSTS, architectures, values)
    assert fit.strength >= 10
    chosen = np.mean(np.abs([total(fit.fixed, fit.edges, a) for a in others] - truth))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("moonas.spaces.device_fit.STRENGTHS", (0.0, STRENGTHS[-1]))
        patch.setattr("moonas.spaces.device_fit._validation_error", lambda *args: args[-1])
        separate = fit_table(SPACE, COSTS, architectures, values)
    assert separate.strength == 0
    assert chosen < 0.7 * np.mean(np.abs([total(separate.fixed, separate.edges, a) for a in others] - truth))


def test_whole_numbers_are_rounded_up_but_not_for_a_float_s_last_digit() -> None:
    fit = Fit(0.0121, {"normal": np.array([[0.003, 0.0030001], [0.1 + 0.2, 0.0]])}, 0.0)
    fixed, edges = fit.whole(1000)
    assert (fixed, edges["normal"].tolist()) == (13, [[3, 4], [300, 0]])


def test_too_few_networks_are_refused() -> None:
    with pytest.raises(UsageError, match="at least 10"):
        fit_table(SPACE, COSTS, drawn(9), [1.0] * 9)


def test_rank_correlation_is_spearmans() -> None:
    assert rank_correlation([1, 2, 3], [10, 100, 1000]) == pytest.approx(1)
    assert rank_correlation([1, 2, 3, 4, 5], [5, 6, 7, 8, 7]) == pytest.approx(0.8208, abs=1e-4)  # a textbook's example, with a tie
    assert rank_correlation([1, 2, 3], [4, 4, 4]) == 0
