"""Hypervolume against hand numbers, inclusion-exclusion and its definition by removal."""

from itertools import combinations

import numpy as np
import pytest

from moonas.front.hypervolume import contributions, hypervolume


def inclusion_exclusion(points):
    """Volume of the union of the boxes from each point to (1, ..., 1)."""
    total = 0.0
    for size in range(1, len(points) + 1):
        for chosen in combinations(points, size):
            total -= (-1) ** size * np.prod(1 - np.max(chosen, axis=0))
    return total


def test_two_steps_of_a_staircase_add_up_by_hand():
    # Box 10 x 100. (2, 50): 8 * 50 = 400; (6, 20) adds 4 * 30 = 120; together 520 of 1000.
    assert hypervolume(np.array([[2.0, 50.0], [6.0, 20.0]]), (10, 100), (0, 0)) == pytest.approx(0.52, abs=1e-15)


def test_a_box_that_does_not_begin_at_zero_is_scaled():
    # Half of each side is left: (15 - 10) / (20 - 10) and (-1 - -2) / (0 - -2).
    assert hypervolume(np.array([[15.0, -1.0]]), (20, 0), (10, -2)) == pytest.approx(0.25)


def test_the_ideal_point_fills_the_box_and_better_ones_are_cut_off():
    assert hypervolume(np.array([[0.0, 0.0]]), (1, 1), (0, 0)) == 1.0
    assert hypervolume(np.array([[-5.0, 0.5]]), (1, 1), (0, 0)) == 0.5


def test_points_beyond_the_reference_nan_and_nothing_count_for_nothing():
    values = np.array([[1.5, 0.1], [np.nan, 0.1], [1.0, 0.0], [np.inf, 0.0]])
    assert hypervolume(values, (1, 1), (0, 0)) == 0.0
    assert hypervolume(np.empty((0, 2)), (1, 1), (0, 0)) == 0.0


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
def test_random_points_agree_with_inclusion_and_exclusion(objectives):
    points = np.random.default_rng(0).random((9, objectives))
    assert hypervolume(points, np.ones(objectives), np.zeros(objectives)) == pytest.approx(inclusion_exclusion(points), rel=1e-12)


@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_a_contribution_is_what_is_lost_without_the_point(objectives):
    # Dominated points are left out first: without them the loss by removal is the definition.
    points = np.random.default_rng(1).random((12, objectives))
    dominated = [any((other <= point).all() and (other < point).any() for other in points) for point in points]
    front = points[~np.array(dominated)]
    box = np.ones(objectives), np.zeros(objectives)
    expected = [inclusion_exclusion(front) - inclusion_exclusion(np.delete(front, index, axis=0)) for index in range(len(front))]
    assert contributions(front, *box) == pytest.approx(expected, abs=1e-12)
    assert contributions(points, *box)[dominated].tolist() == [0.0] * sum(dominated)


def test_contributions_of_a_staircase_by_hand():
    # The points share the corner beyond (6, 50): 4 * 50 = 200 of 1000.
    values = np.array([[2.0, 50.0], [6.0, 20.0], [np.nan, 0.0]])
    assert contributions(values, (10, 100), (0, 0)) == pytest.approx([0.4 - 0.2, 0.32 - 0.2, 0.0])


def test_repeated_points_contribute_nothing():
    assert contributions(np.array([[0.5, 0.5], [0.5, 0.5]]), (1, 1), (0, 0)).tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("values", "reference", "ideal"),
    [(np.zeros(2), (1, 1), (0, 0)), (np.zeros((1, 2)), (1,), (0,)), (np.zeros((1, 2)), (1, 0), (0, 0))],
)
def test_boxes_that_do_not_fit_are_refused(values, reference, ideal):
    with pytest.raises(ValueError):
        hypervolume(values, reference, ideal)
    with pytest.raises(ValueError):
        contributions(values, reference, ideal)
