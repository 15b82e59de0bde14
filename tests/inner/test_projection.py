"""Projections onto bounds on expected costs: worked examples, what must hold for any, and optimality found independently."""

import numpy as np
import pytest

from moonas.errors import InfeasibleError
from moonas.inner.projection import Box, project_euclidean, project_kl
from moonas.spaces.relaxed import RelaxedCosts

PROJECTIONS = [project_kl, project_euclidean]
EXAMPLE = RelaxedCosts(("cost",), np.zeros(1), np.array([[0.0, 1, 3, 0, 2, 4]]), np.ones(6), np.array([0, 3]))
LOGITS = np.array([0, 0, 0, 0.5, 0, -0.5])


def box(bounds: dict[str, dict[str, float]]) -> Box:
    return Box.of(tuple(bounds), bounds)


def expected(logits: np.ndarray, costs: RelaxedCosts) -> np.ndarray:
    return costs.expected(costs.probabilities(logits))


def random_costs(rng: np.random.Generator, metrics: int) -> RelaxedCosts:
    """1 to 8 edges with 2 to 7 operations; the second cost follows the first, as multiply-adds do parameters."""
    counts = rng.integers(2, 8, rng.integers(1, 9))
    first = rng.integers(0, 1000, counts.sum()).astype(float)
    costs = [first, 1000 * (first * rng.uniform(0.5, 1.5, counts.sum()) + rng.uniform(0, 10, counts.sum()))]
    shares = np.repeat(rng.choice([1, 2 / 3, 1 / 2, 2 / 5], len(counts)), counts)
    names = ("params", "macs")[:metrics]
    return RelaxedCosts(names, rng.uniform(0, 1000, metrics), np.array(costs[:metrics]), shares, np.cumsum([0, *counts[:-1]]))


def bounds_around(rng: np.random.Generator, costs: RelaxedCosts) -> dict[str, dict[str, float]]:
    """Bounds of every kind that some probabilities meet."""
    met = expected(rng.normal(size=len(costs.shares)) * rng.choice([0.1, 2]), costs)
    bounds = {}
    for metric, value in zip(costs.metrics, met, strict=True):
        ends = {"lower": value * rng.choice([1, 0.99]), "upper": value * rng.choice([1, 1.01])}
        bounds[metric] = {end: ends[end] for end in rng.choice(["lower", "upper"], rng.integers(1, 3), replace=False)}
    return bounds


def test_the_example_s_cost():
    assert expected(LOGITS, EXAMPLE).item() == pytest.approx(2.6930200, abs=1e-7)


@pytest.mark.parametrize(
    ("bound", "probabilities", "multiplier"),
    [
        ({"upper": 2.0}, [0.41951452, 0.34571194, 0.23477354, 0.63228941, 0.26043745, 0.10727313], 0.19349225),
        ({"lower": 4.5}, [0.16087847, 0.24822011, 0.59090141, 0.22081559, 0.31883100, 0.46035341], -0.43366664),
    ],
)
def test_the_nearest_probabilities_of_the_example(bound, probabilities, multiplier):
    projected = project_kl(LOGITS, EXAMPLE, box({"cost": bound}))
    assert EXAMPLE.probabilities(projected) == pytest.approx(probabilities, abs=1e-8)
    tilt = LOGITS - projected
    assert (tilt[2] - tilt[0]) / 3 == pytest.approx(multiplier, abs=1e-8)
    assert [tilt[:3].mean(), tilt[3:].mean()] == pytest.approx([0, 0], abs=1e-12)


@pytest.mark.parametrize(
    ("upper", "lower", "multiplier", "distance"), [(2, 0, 0.6435867, 0.6465289), (9, 4.5, -1.2519705, 1.5125244)]
)
def test_the_nearest_logits_of_the_example(upper, lower, multiplier, distance):
    bounds = box({"cost": {"upper": upper, "lower": lower}})
    projected = project_euclidean(LOGITS, EXAMPLE, bounds)
    move = projected - LOGITS
    assert np.linalg.norm(move) == pytest.approx(distance, abs=1e-7)
    assert np.linalg.norm(project_kl(LOGITS, EXAMPLE, bounds) - LOGITS) >= distance
    # at the optimum the move is the multiplier times the gradient, here by finite differences
    steps = 1e-6 * np.eye(6)
    gradient = [(expected(projected + step, EXAMPLE) - expected(projected - step, EXAMPLE)).item() / 2e-6 for step in steps]
    assert -move / np.array(gradient) == pytest.approx([multiplier] * 6, abs=1e-5)


def test_the_nearest_logits_of_the_example_themselves():
    projected = project_euclidean(LOGITS, EXAMPLE, box({"cost": {"upper": 2}}))
    assert projected == pytest.approx([0.29172548, 0.00960239, -0.30132787, 0.89806215, -0.15252877, -0.74553338], abs=1e-7)
    other = project_kl(LOGITS, EXAMPLE, box({"cost": {"upper": 2}}))
    assert np.linalg.norm(other - LOGITS) == pytest.approx(0.6886440, abs=1e-7)


@pytest.mark.parametrize("project", PROJECTIONS)
@pytest.mark.parametrize("metrics", [1, 2])
def test_whatever_some_probabilities_meet_is_met_and_stays(project, metrics):
    rng = np.random.default_rng(0)
    moved = 0
    for _ in range(150):
        costs = random_costs(rng, metrics)
        limits = box(bounds_around(rng, costs))
        logits = rng.normal(size=len(costs.shares)) * rng.choice([1e-3, 1, 4])
        projected = project(logits, costs, limits)
        assert np.abs(limits.violation(expected(projected, costs))).max() <= 1e-6
        assert project(projected, costs, limits) is projected
        moved += projected is not logits
    assert moved > 100


@pytest.mark.parametrize("project", PROJECTIONS)
def test_logits_within_the_bounds_are_returned_as_they_are(project):
    assert project(LOGITS, EXAMPLE, box({"cost": {"lower": 2.6, "upper": 2.7}})) is LOGITS


@pytest.mark.parametrize("project", PROJECTIONS)
def test_the_ends_of_what_is_reachable_are_met(project):
    sure = np.array([20.0, 0, 0, 20, 0, 0])  # operations of probability 2e-9 must come back
    for start in (LOGITS, sure):
        for bound, value in (({"upper": 1e-9}, 0), ({"lower": 7.0}, 7)):
            projected = project(start, EXAMPLE, box({"cost": bound}))
            assert expected(projected, EXAMPLE).item() == pytest.approx(value, abs=1e-5)
            assert np.ptp(projected) < 100  # and none is pushed out of reach


def test_a_stronger_tilt_never_costs_more():
    rng = np.random.default_rng(0)
    for _ in range(50):
        costs, (lower, *_) = random_costs(rng, 1), [0]
        logits = rng.normal(size=len(costs.shares))
        values = [expected(logits - multiplier * costs.costs[0] / 500, costs).item() for multiplier in np.linspace(-20, 20, 41)]
        assert (np.diff(values) <= 1e-9).all()
        assert lower <= values[-1]


def test_constants_on_an_edge_change_nothing():
    rng = np.random.default_rng(0)
    for _ in range(50):
        costs = random_costs(rng, 1)
        low, high = costs.reachable()["params"]
        upper = low + 0.3 * (high - low)
        logits = rng.normal(size=len(costs.shares))
        first = np.arange(len(logits)) < (costs.starts[1] if len(costs.starts) > 1 else len(logits))
        usual = costs.probabilities(project_kl(logits, costs, box({"params": {"upper": upper}})))
        shifted = project_kl(logits + 3 * first, costs, box({"params": {"upper": upper}}))
        assert costs.probabilities(shifted) == pytest.approx(usual, abs=1e-8)
        dearer = RelaxedCosts(costs.metrics, costs.fixed, costs.costs + 100 * first, costs.shares, costs.starts)
        tilted = project_kl(logits, dearer, box({"params": {"upper": upper + 100 * costs.shares[0]}}))
        assert dearer.probabilities(tilted) == pytest.approx(usual, abs=1e-6)


def test_the_nearest_probabilities_under_two_bounds_are_those_of_a_general_solver():
    from scipy.optimize import minimize

    rng = np.random.default_rng(0)
    for _ in range(5):
        costs = random_costs(rng, 2)
        limits = box(bounds_around(rng, costs))
        logits = rng.normal(size=len(costs.shares))
        before = costs.probabilities(logits)

        def divergence(p: np.ndarray, before: np.ndarray = before, costs: RelaxedCosts = costs) -> float:
            return float(np.sum(costs.shares * p * np.log(np.maximum(p, 1e-12) / before)))

        def room(p: np.ndarray, costs: RelaxedCosts = costs, limits: Box = limits) -> np.ndarray:
            values = costs.expected(p)
            gaps = np.concatenate([limits.upper - values, values - limits.lower]) / np.tile(limits.scale, 2)
            return gaps[np.isfinite(gaps)]

        sums = {"type": "eq", "fun": lambda p, costs=costs: np.add.reduceat(p, costs.starts) - 1}
        found = minimize(
            divergence,
            before,
            constraints=[sums, {"type": "ineq", "fun": room}],
            bounds=[(1e-9, 1)] * len(before),
            options={"maxiter": 500, "ftol": 1e-12},
        )
        assert found.success
        assert divergence(costs.probabilities(project_kl(logits, costs, limits))) == pytest.approx(found.fun, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("project", PROJECTIONS)
def test_two_bounds_are_met_or_refused_and_never_missed_in_silence(project):
    rng = np.random.default_rng(0)
    costs = random_costs(rng, 2)
    (low, high), (least, most) = costs.reachable().values()
    met = refused = 0
    for share in np.linspace(0.05, 0.95, 5):
        for other in np.linspace(0.05, 0.95, 5):
            bounds = {"params": {"upper": low + share * (high - low)}, "macs": {"lower": least + other * (most - least)}}
            limits = box(bounds)
            try:
                projected = project(rng.normal(size=len(costs.shares)), costs, limits)
            except InfeasibleError:
                assert costs.largest_within("macs", bounds) is None
                refused += 1
            else:
                assert np.abs(limits.violation(expected(projected, costs))).max() <= 1e-6
                met += 1
    assert met > 5
    assert refused > 5
