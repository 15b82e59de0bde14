"""Choices on fronts: by hand, by pymoo's own functions, and where a front gives no choice."""

import warnings

import numpy as np
import pytest

from moonas.front.choices import compromise, knee

LINE = np.array([[0.0, 10.0], [1.0, 8.0], [2.0, 5.0], [3.0, 2.0], [4.0, 0.0]])


def test_the_largest_weighted_loss_by_hand():
    # Losses: (0, 1), (0.25, 0.8), (0.5, 0.5), (0.75, 0.2), (1, 0).
    assert compromise(LINE) == 2
    # Weights (3, 1): max(0, 1), max(0.75, 0.8), max(1.5, 0.5) ...: the second.
    assert compromise(LINE, np.array([3.0, 1.0])) == 1
    assert compromise(LINE, np.array([0.0, 1.0])) == 4
    assert compromise(LINE, np.array([1.0, 0.0])) == 0


def test_weights_count_by_their_ratio_and_units_do_not_count():
    scaled = LINE * (1e6, 1e-3) + (5.0, -7.0)
    for weights in ([1, 1], [3, 1], [1, 4]):
        assert compromise(scaled, np.array(weights)) == compromise(LINE, np.array(weights) * 40)


@pytest.mark.parametrize("objectives", [2, 3, 4])
def test_a_compromise_minimises_the_scalarization_of_pymoo_with_inverse_weights(objectives):
    from pymoo.decomposition.asf import ASF

    draw = np.random.default_rng(0)
    points = draw.random((40, objectives))
    points /= np.linalg.norm(points, axis=1, keepdims=True)  # on a sphere around the worst corner no point dominates another
    values = -points * draw.uniform(1, 1000, objectives)
    losses = (values - values.min(axis=0)) / (values.max(axis=0) - values.min(axis=0))
    for _ in range(10):
        weights = draw.uniform(0.1, 5, objectives)
        assert compromise(values, weights) == ASF().do(losses, 1 / weights).argmin()


def test_the_knee_of_a_bent_front_is_its_bend():
    # Two straight arms, slopes -9 and -1/9, that meet in (0.1, 0.1).
    steep = np.linspace(0, 0.1, 11)
    arms = [*((x, 1 - 9 * x) for x in steep), *((y_x, (1 - y_x) / 9) for y_x in np.linspace(0.1, 1, 11)[1:])]
    values = np.array(arms) * (2e6, 5.0)
    assert knee(values) == 10
    order = np.random.default_rng(0).permutation(len(values))
    assert order[knee(values[order])] == 10


def test_dominated_rows_and_rows_holding_nan_change_no_choice():
    further = np.vstack([LINE, [[100.0, 100.0], [np.nan, 0.0], [2.0, 9.0]]])
    assert (knee(further), compromise(further)) == (knee(LINE), compromise(LINE))


@pytest.mark.parametrize(
    ("values", "chosen"),
    [
        ([[3.0, 4.0]], 0),
        ([[3.0]], 0),
        ([[3.0], [2.0]], 1),
        ([[2.0, 0.0], [1.0, 1.0]], 1),  # losses (1, 0) and (0, 1): a tie, which the better first objective wins
        ([[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]], 0),
        ([[2.0, 5.0, 0.0], [1.0, 5.0, 1.0]], 1),  # the second objective is constant
        ([[1.0, 7.0], [1.0, 7.0], [0.0, 8.0], [0.0, 8.0]], 2),
        ([[0.0, 2.0], [1.0, 1.0], [2.0, 0.0]], 1),  # a straight line has no knee: the middle
        ([[0.0, 9.0, 2.0], [1.0, 9.0, 1.0], [2.0, 9.0, 0.0]], 1),
    ],
)
def test_degenerate_fronts_have_a_choice_without_a_warning(values, chosen):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert knee(np.array(values)) == chosen
        assert compromise(np.array(values)) == chosen


def test_choosing_silences_no_warning_afterwards():
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        knee(LINE)
        with pytest.warns(UserWarning, match="heard"):
            warnings.warn("heard", UserWarning, stacklevel=1)


@pytest.mark.parametrize("weights", [[1.0], [1.0, -1.0], [0.0, 0.0], [1.0, np.nan]])
def test_weights_that_mean_nothing_are_refused(weights):
    with pytest.raises(ValueError, match="weights"):
        compromise(LINE, np.array(weights))


def test_a_front_without_points_has_no_choice():
    for choose in (knee, compromise):
        with pytest.raises(ValueError, match="no point"):
            choose(np.empty((0, 2)))
