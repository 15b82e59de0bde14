"""The Gaussian process: against the textbook's formulas written out, its gradient, and what it learns of the groups."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from moonas.outer.surrogate.fitting import fit, negative_log_posterior, pairwise
from moonas.outer.surrogate.gaussian_process import BLOCK, MORE, Hyperparameters, Outlook, Process

GROUPS = np.array([0, 0, 1])


def covariance(one: np.ndarray, other: np.ndarray, hyper: Hyperparameters) -> np.ndarray:
    """Matern 5/2, entry by entry."""
    found = np.empty((len(one), len(other)))
    for i, a in enumerate(one):
        for j, b in enumerate(other):
            r = np.sqrt(5 * sum(((a[c] - b[c]) / hyper.lengths[GROUPS[c]]) ** 2 for c in range(3)))
            found[i, j] = hyper.signal * (1 + r + r * r / 3) * np.exp(-r)
    return found


def by_group(rows: np.ndarray) -> np.ndarray:
    return np.stack([pairwise(rows[:, :2]), pairwise(rows[:, 2:])])


def test_predictions_are_those_of_the_closed_form() -> None:
    rng = np.random.default_rng(0)
    rows, others, values = rng.normal(size=(15, 3)), rng.normal(size=(4, 3)), rng.normal(size=15)
    repeats = rng.integers(1, 4, size=15)
    hyper = Hyperparameters(np.array([0.8, 2.0]), 1.7, 0.3)
    k = covariance(rows, rows, hyper) + np.diag(0.3 / repeats)
    cross = covariance(others, rows, hyper)
    ones = np.ones(15)
    constant = ones @ np.linalg.solve(k, values) / (ones @ np.linalg.solve(k, ones))
    mean, deviation = Outlook(Process(rows, GROUPS, repeats, hyper), others).predict(values)
    np.testing.assert_allclose(mean, constant + cross @ np.linalg.solve(k, values - constant), rtol=1e-5)
    np.testing.assert_allclose(deviation**2, 1.7 - np.diag(cross @ np.linalg.solve(k, cross.T)), rtol=1e-5)


def test_an_outlook_that_followed_observations_says_what_one_made_of_all_of_them_says() -> None:
    rng = np.random.default_rng(0)
    count, first = MORE + 30, 20
    rows, others, values = rng.normal(size=(count, 3)), rng.normal(size=(BLOCK + 5, 3)), rng.normal(size=count)
    repeats = rng.integers(1, 4, size=count).astype(float)
    hyper = Hyperparameters(np.array([0.8, 2.0]), 1.7, 0.3)
    led = Outlook(Process(rows[:first], GROUPS, repeats[:first], hyper), others)
    for row, repeat in zip(rows[first:], repeats[first:], strict=True):
        led.follow(row, repeat)
    whole = Outlook(Process(rows, GROUPS, repeats, hyper), others)
    np.testing.assert_allclose(led.predict(values), whole.predict(values), rtol=1e-8)


def test_the_gradient_is_that_of_finite_differences() -> None:
    rng = np.random.default_rng(0)
    rows, values, repeats = rng.normal(size=(20, 3)), rng.normal(size=20), rng.integers(1, 4, size=20)
    distances = by_group(rows)
    for point in (np.array([0.1, 0.7, 0.2, -2.0]), np.array([-0.5, 1.5, -0.4, 0.3])):
        _, gradient = negative_log_posterior(point, distances, values, repeats)
        numeric = approx_fprime(point, lambda p: negative_log_posterior(p, distances, values, repeats)[0], 1e-6)
        np.testing.assert_allclose(gradient, numeric, rtol=1e-4, atol=1e-4)


def test_differences_of_the_loss_are_those_of_the_likelihood_and_the_priors() -> None:
    rng = np.random.default_rng(0)
    rows, values, ones = rng.normal(size=(10, 3)), rng.normal(size=10), np.ones(10)
    distances = by_group(rows)

    def likelihood(point: np.ndarray) -> float:
        signal, noise = np.exp(point[2]), np.exp(point[2] + point[3])
        k = covariance(rows, rows, Hyperparameters(np.exp(point[:2]), signal, noise)) + noise * np.eye(10)
        residual = values - ones @ np.linalg.solve(k, values) / (ones @ np.linalg.solve(k, ones))
        return -0.5 * (residual @ np.linalg.solve(k, residual) + np.linalg.slogdet(k)[1])

    # moving only the first length scale, whose prior is normal with centre 0.5 + log(2) / 2 and deviation 1 in the logarithm
    one, other = np.array([0.1, 0.7, 0.2, -2.0]), np.array([1.1, 0.7, 0.2, -2.0])
    centre = 0.5 + 0.5 * np.log(2)
    prior = 0.5 * ((1.1 - centre) ** 2 - (0.1 - centre) ** 2)
    losses = [negative_log_posterior(point, distances, values, ones)[0] for point in (one, other)]
    assert losses[1] - losses[0] == pytest.approx(likelihood(one) - likelihood(other) + prior, rel=1e-5)


def test_a_group_that_does_not_matter_gets_the_larger_length_scale() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(60, 3))
    hyper = fit(rows, GROUPS, 2, np.sin(2 * rows[:, 2]), np.ones(60))
    assert hyper.lengths[0] > 5 * hyper.lengths[1]


def test_the_noise_is_found_and_repeated_measurements_count_more() -> None:
    rng = np.random.default_rng(0)
    rows, values = rng.normal(size=(150, 3)), rng.normal(size=150)
    smooth = np.sin(rows[:, 2])
    hyper = fit(rows, GROUPS, 2, smooth + 0.5 * values, np.ones(150))
    assert hyper.noise == pytest.approx(0.25, rel=0.4)
    place, away = np.zeros((2, 3)), 4 * np.ones((1, 3))
    rows = np.concatenate([place, away])
    process = Process(rows, GROUPS, np.array([9, 1, 1]), Hyperparameters(np.ones(2), 1.0, 0.25))
    (mean,), _ = Outlook(process, place[:1]).predict(np.array([1.0, 0.0, 0.5]))
    assert mean > 0.8


def test_a_group_in_which_nothing_differs_does_no_harm() -> None:
    rng = np.random.default_rng(0)
    rows = np.column_stack([np.ones((20, 2)), rng.normal(size=20)])
    hyper = fit(rows, GROUPS, 2, rows[:, 2], np.ones(20))
    mean, deviation = Outlook(Process(rows, GROUPS, np.ones(20), hyper), np.array([[1.0, 1.0, 0.3]])).predict(rows[:, 2])
    assert mean[0] == pytest.approx(0.3, abs=0.1)
    assert np.isfinite(deviation).all()
