"""The best of some points, worked out by hand."""

import numpy as np
import pytest

from moonas.front.selection import best

BOX = ([1.0, 1.0], [0.0, 0.0])  # reference, ideal
A, B, C, D, E = [0.1, 0.9], [0.5, 0.5], [0.9, 0.1], [0.55, 0.55], [0.9, 0.9]  # ranks 0, 0, 0, 1, 2


def test_whole_ranks_come_in_their_order_and_within_one_the_least_contribution_leaves_first() -> None:
    points = np.array([E, D, A, B, C])
    # A adds 0.4 * 0.1, C as much, B 0.4 * 0.4: of the two equals the later one leaves first, then A, then B
    assert best(points, 5, *BOX) == [3, 2, 4, 1, 0]
    assert [best(points, count, *BOX) for count in range(3)] == [[], [3], [3, 2]]


def test_contributions_are_worked_out_anew_when_a_point_has_left() -> None:
    # at first 0.1 * 0.2, 0.05 * 0.2 and 0.65 * 0.15; once the second has left, the first adds 0.15 * 0.2
    points = np.array([[0.2, 0.8], [0.3, 0.6], [0.35, 0.45]])
    assert best(points, 2, *BOX) == [2, 0]


def test_of_two_equal_points_one_ranks_as_if_it_were_alone() -> None:
    assert best(np.array([A, B, B, C]), 4, *BOX) == [1, 0, 3, 2]


def test_points_beyond_the_box_add_nothing_and_come_last_of_their_rank() -> None:
    assert best(np.array([[0.01, 5.0], [0.5, 0.5], [3.0, 0.2]]), 3, *BOX) == [1, 0, 2]


@pytest.mark.parametrize("points", [np.empty((0, 2)), np.array([B])])
def test_there_are_no_more_than_there_are(points: np.ndarray) -> None:
    assert best(points, 9, *BOX) == list(range(len(points)))


def test_one_objective_is_ranked_by_its_value() -> None:
    assert best(np.array([[0.3], [0.1], [0.2], [0.1]]), 4, [1.0], [0.0]) == [1, 3, 2, 0]
