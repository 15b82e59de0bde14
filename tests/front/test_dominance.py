"""Pareto dominance against its definition."""

import numpy as np
import pytest

from moonas.front.dominance import non_dominated


def test_points_on_a_hand_drawn_front_are_marked():
    values = np.array([[1.0, 5.0], [2.0, 3.0], [3.0, 3.0], [4.0, 1.0], [5.0, 5.0]])
    assert non_dominated(values).tolist() == [True, True, False, True, False]


def test_equal_points_are_all_kept():
    assert non_dominated(np.array([[1.0, 2.0], [1.0, 2.0], [0.0, 3.0]])).tolist() == [True, True, True]


def test_a_row_with_nan_is_never_marked_and_dominates_nothing():
    values = np.array([[np.nan, 0.0], [1.0, 1.0], [0.0, np.nan]])
    assert non_dominated(values).tolist() == [False, True, False]


def test_one_objective_marks_its_minima():
    assert non_dominated(np.array([[3.0], [1.0], [1.0], [2.0]])).tolist() == [False, True, True, False]


def test_an_infinite_value_loses_to_a_finite_one():
    assert non_dominated(np.array([[np.inf, 1.0], [2.0, 1.0], [np.inf, 0.0]])).tolist() == [False, True, True]


def test_no_points_give_no_marks():
    assert non_dominated(np.empty((0, 3))).tolist() == []


def test_values_that_are_not_a_table_are_refused():
    with pytest.raises(ValueError, match="shape"):
        non_dominated(np.zeros(3))


@pytest.mark.parametrize("objectives", [1, 2, 3, 4, 5])
def test_random_points_agree_with_the_definition(objectives):
    # Few distinct values, so that ties and repeated rows are common.
    values = np.random.default_rng(0).integers(0, 4, size=(200, objectives)).astype(float)
    by_definition = [not any((other <= point).all() and (other < point).any() for other in values) for point in values]
    assert non_dominated(values).tolist() == by_definition
