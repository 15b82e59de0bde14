"""Expected hypervolume improvement: against differences of hypervolume and against sampling; boxes that tile the free space."""

import moocore
import numpy as np
import pytest
from scipy.stats import norm

from moonas.outer.surrogate.improvement import BATCH, Limited, LogNormal, expected_improvement, free_boxes, most_improving


def volume(points: np.ndarray, reference: np.ndarray) -> float:
    """moocore's, but of one objective."""
    if points.shape[1] == 1:
        return float(max(0.0, reference[0] - points.min(initial=np.inf)))
    return float(moocore.hypervolume(points, ref=reference)) if len(points) else 0.0


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("count", [0, 1, 4, 25])
@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
def test_free_boxes_are_disjoint_and_cover_what_no_point_dominates(objectives: int, count: int, ties: bool) -> None:
    rng = np.random.default_rng(0)
    points = rng.random((count, objectives))
    points = np.round(4 * points) / 4 if ties else points
    lower, upper = free_boxes(points, np.zeros(objectives), np.ones(objectives))
    assert np.prod(upper - lower, axis=1).sum() + volume(points, np.ones(objectives)) == pytest.approx(1.0)
    places = rng.random((500, objectives))
    containing = ((places[:, None] >= lower) & (places[:, None] < upper)).all(axis=2).sum(axis=1)
    dominated = (points <= places[:, None]).all(axis=2).any(axis=1)
    np.testing.assert_array_equal(containing, ~dominated)


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
def test_certain_predictions_gain_the_difference_of_two_hypervolumes(objectives: int) -> None:
    rng = np.random.default_rng(0)
    front, others = 0.1 + 0.9 * rng.random((12, objectives)), rng.random((40, objectives))
    ideal, reference = np.zeros(objectives), np.full(objectives, 0.9)
    certain = LogNormal(-1.0, np.log(others[:, 0] + 1.0), np.zeros(40))
    gains = expected_improvement(front, ideal, reference, [certain, *others.T[1:]])
    inside = front[(front < reference).all(axis=1)]
    expected = [
        volume(np.vstack([inside, other]) if (other < reference).all() else inside, reference) - volume(inside, reference)
        for other in others
    ]
    np.testing.assert_allclose(gains, expected, atol=1e-9)
    assert max(expected) > 0


@pytest.mark.parametrize("learned", [(0,), (0, 2), (0, 1, 2)])
def test_uncertain_predictions_gain_the_mean_over_many_draws(learned: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    front, ideal, reference = rng.random((8, 3)), np.zeros(3), np.ones(3)
    draws = np.tile(rng.random(3), (40_000, 1))
    predictions: list[LogNormal | np.ndarray] = list(draws[:1].T)
    for column in learned:
        predictions[column] = LogNormal(0.05, np.array([-1.5]), np.array([0.7]))
        draws[:, column] = 0.05 + np.exp(rng.normal(-1.5, 0.7, len(draws)))
    lower, upper = free_boxes(front, ideal, reference)
    parts = np.clip(upper - np.maximum(lower, draws[:, None]), 0.0, None).prod(axis=2).sum(axis=1)
    (gain,) = expected_improvement(front, ideal, reference, predictions)
    assert gain == pytest.approx(parts.mean(), abs=4 * parts.std() / 200)


@pytest.mark.parametrize("objectives", [2, 3])
@pytest.mark.parametrize("count", [0, 3, 60])
def test_the_most_improving_candidates_are_those_of_all_improvements(objectives: int, count: int) -> None:
    rng = np.random.default_rng(0)
    front, known = rng.random((count, objectives)), rng.random((8 * BATCH, objectives - 1))
    learned = LogNormal(-0.1, rng.normal(-1.0, 0.5, len(known)), np.full(len(known), 0.2))
    ideal, reference = np.zeros(objectives), np.ones(objectives)
    every = expected_improvement(front, ideal, reference, [learned, *known.T])
    places, gains = most_improving(front, ideal, reference, [learned, *known.T])
    np.testing.assert_array_equal(gains, every[places])
    assert set(np.flatnonzero(every >= (1 - 1e-9) * every.max())) <= set(places.tolist())
    assert count < 60 or len(places) < len(known) / 2


@pytest.mark.parametrize(("lower", "upper"), [(-np.inf, 0.3), (0.15, np.inf), (0.15, 0.3), (-np.inf, 0.0)])
def test_what_lies_beyond_a_limit_gains_nothing(lower: float, upper: float) -> None:
    rng = np.random.default_rng(0)
    front, ideal, reference = 0.2 + 0.8 * rng.random((8, 2)), np.zeros(2), np.ones(2)
    known, learned = np.array([0.35]), LogNormal(0.05, np.array([-1.5]), np.array([0.7]))
    draws = np.column_stack([0.05 + np.exp(rng.normal(-1.5, 0.7, 40_000)), np.full(40_000, known[0])])
    boxes, corners = free_boxes(front, ideal, reference)
    parts = np.clip(corners - np.maximum(boxes, draws[:, None]), 0.0, None).prod(axis=2).sum(axis=1)
    parts[(draws[:, 0] < lower) | (draws[:, 0] > upper)] = 0.0
    (gain,) = expected_improvement(front, ideal, reference, [Limited(learned, lower, upper), known])
    assert gain == pytest.approx(parts.mean(), abs=4 * parts.std() / 200 + 1e-12)
    assert (gain > 0) == (upper > 0)


def test_the_chance_of_a_level_is_that_of_the_normal_distribution() -> None:
    prediction = LogNormal(2.0, np.array([0.3, 0.3]), np.array([0.5, 0.1]))
    assert prediction.chance(3.0) == pytest.approx(norm.cdf([-0.6, -3.0]))
    assert prediction.chance(2.0).tolist() == [0.0, 0.0]
    assert prediction.chance(np.inf).tolist() == [1.0, 1.0]


def test_the_integral_below_a_level_is_that_of_the_distribution_function() -> None:
    prediction = LogNormal(2.0, np.array([0.3]), np.array([0.5]))
    grid = np.linspace(2.0, 6.0, 200_001)[1:]
    probability = norm.cdf((np.log(grid - 2.0) - 0.3) / 0.5)
    below = prediction.below(np.array([1.0, 2.0, 3.0, 6.0]))[0]
    assert below[:2].tolist() == [0.0, 0.0]
    assert below[2] == pytest.approx(probability[grid <= 3.0].sum() * 4.0 / 200_000, abs=1e-4)
    assert below[3] == pytest.approx(probability.sum() * 4.0 / 200_000, abs=1e-4)


def test_gains_change_with_the_units_of_the_objectives_in_proportion() -> None:
    rng = np.random.default_rng(0)
    front, costs = rng.random((6, 2)), rng.random(5)
    learned = LogNormal(-0.1, rng.normal(size=5), np.full(5, 0.4))
    gains = expected_improvement(front, np.zeros(2), np.ones(2), [learned, costs])
    scaled = expected_improvement(front * [1, 1e6], np.zeros(2), np.array([1, 1e6]), [learned, 1e6 * costs])
    np.testing.assert_allclose(scaled, 1e6 * gains, rtol=1e-9)


def test_what_lies_beyond_the_box_gains_nothing() -> None:
    learned = LogNormal(0.0, np.array([-5.0, -5.0]), np.array([0.1, 0.1]))
    gains = expected_improvement(np.empty((0, 2)), np.zeros(2), np.ones(2), [learned, np.array([0.5, 1.5])])
    assert gains[0] > 0.49
    assert gains[1] == 0.0
