"""Attainment surfaces against a staircase counted by hand and the definition on a grid."""

import numpy as np
import pytest

from moonas.front.attainment import attained

# Three runs on a 4 x 4 grid. (1, 1) is attained by the third alone, (1, 3) also by the first, (2, 2) by the first and the third,
# (1.5, 2.5) by the second and the third; all three attain (1.5, 3) and (2, 2.5).
RUNS = [np.array([[1.0, 3.0], [2.0, 2.0]]), np.array([[1.5, 2.5]]), np.array([[1.0, 1.0]])]


def test_the_surfaces_of_three_runs_by_hand():
    assert attained(RUNS, 1 / 3).tolist() == [[1.0, 1.0]]
    assert attained(RUNS, 0.5).tolist() == [[1.0, 3.0], [1.5, 2.5], [2.0, 2.0]]
    assert attained(RUNS, 2 / 3).tolist() == attained(RUNS, 0.5).tolist()
    assert attained(RUNS, 1.0).tolist() == [[1.5, 3.0], [2.0, 2.5]]


@pytest.mark.parametrize("objectives", [1, 2, 3])
@pytest.mark.parametrize("share", [0.2, 0.25, 0.5, 0.75, 1.0])
def test_a_surface_dominates_exactly_what_enough_runs_attain(objectives, share):
    draw = np.random.default_rng(0)
    runs = [draw.integers(0, 8, (6, objectives)).astype(float) for _ in range(5)]
    runs.append(np.empty((0, objectives)))
    surface = attained(runs, share)
    places = np.stack(np.meshgrid(*[np.arange(-1, 9.0)] * objectives, indexing="ij"), axis=-1).reshape(-1, objectives)
    for place in places:
        runs_there = sum(any((point <= place).all() for point in run) for run in runs)
        assert any((corner <= place).all() for corner in surface) == (runs_there >= share * 6)
    for corner in surface:
        assert not any((other <= corner).all() and (other < corner).any() for other in surface)


def test_a_share_that_floating_point_lifts_above_a_whole_number_asks_for_no_further_run():
    runs = [np.array([[float(n), float(n)]]) for n in range(10)]
    assert (0.1 + 0.2) * 10 > 3
    assert attained(runs, 0.1 + 0.2).tolist() == [[2.0, 2.0]]


def test_what_too_few_runs_hold_is_an_empty_surface():
    runs = [np.array([[1.0, 2.0]]), np.empty((0, 2))]
    assert attained(runs, 0.5).tolist() == [[1.0, 2.0]]
    assert attained(runs, 1.0).shape == (0, 2)


@pytest.mark.parametrize(
    ("runs", "share"), [([], 0.5), ([np.zeros((1, 4))], 0.5), ([np.zeros((1, 2)), np.zeros((1, 3))], 0.5), (RUNS, 0), (RUNS, 1.1)]
)
def test_runs_that_do_not_fit_together_and_impossible_shares_are_refused(runs, share):
    with pytest.raises(ValueError):
        attained(runs, share)
