"""A Gaussian process on grouped features: Matern 5/2, one length scale per group, fitted noise and constant.

Source: Rasmussen & Williams 2006, equations 2.23-2.24, 4.17 and 5.8-5.9. The priors on the hyperparameters are our own: weak, so
that they only keep a dozen observations from ending in a corner of the likelihood.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Mean and deviation of normal priors of the logarithms. Lengths are in units of a group's typical distance between rows, times
# the root of the number of groups, so that rows at typical distance in every group correlate alike however many there are.
LENGTH, SIGNAL, NOISE = (0.5, 1.0), (0.0, 1.0), (-3.0, 1.0)  # NOISE: of noise / signal
JITTER = 1e-8
REACH = 5.0  # how far the search goes from the prior's mean, in logarithms
STEPS = 60  # of L-BFGS, at most


@dataclass(frozen=True)
class Hyperparameters:
    """lengths: (groups,), in units of the features. signal, noise: variances.

    expected: the length scale of a group that was not there, or in which nothing differed.
    """

    lengths: np.ndarray
    signal: float
    noise: float
    expected: float = 1.0


class Process:
    """The process given observations.

    rows: (n, columns) features. group_of: (columns,) the group of each. values: (n,). repeats: (n,) how many measurements each
    value is the mean of.
    """

    def __init__(
        self, rows: np.ndarray, group_of: np.ndarray, values: np.ndarray, repeats: np.ndarray, hyper: Hyperparameters
    ) -> None:
        from scipy.linalg import cho_factor, cho_solve

        self.group_of, self.hyper = group_of, hyper
        self.scaled = self._scale(rows)
        covariance = hyper.signal * matern(squared_distances(self.scaled, self.scaled))
        covariance[np.diag_indices(len(rows))] += hyper.noise / repeats + JITTER * hyper.signal
        self.factor = cho_factor(covariance, lower=True, overwrite_a=True, check_finite=False)
        ones = cho_solve(self.factor, np.ones(len(rows)), check_finite=False)
        self.constant = float(ones @ values / ones.sum())
        self.weights = cho_solve(self.factor, values - self.constant, check_finite=False)

    def predict(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and deviation (n,), of the function without the noise of a measurement."""
        from scipy.linalg import solve_triangular

        cross = self.hyper.signal * matern(squared_distances(self._scale(rows), self.scaled))
        half = solve_triangular(self.factor[0], cross.T, lower=True, check_finite=False)
        variance = self.hyper.signal - np.einsum("ij,ij->j", half, half)
        return self.constant + cross @ self.weights, np.sqrt(np.maximum(variance, 1e-12 * self.hyper.signal))

    def _scale(self, rows: np.ndarray) -> np.ndarray:
        return rows / self.hyper.lengths[self.group_of]


def matern(squared: np.ndarray) -> np.ndarray:
    """Matern 5/2 correlation at squared distances."""
    distance = np.sqrt(5.0 * squared)
    return (1.0 + distance + distance**2 / 3.0) * np.exp(-distance)


def squared_distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(n, k) between rows."""
    squared = np.einsum("ij,ij->i", one, one)[:, None] + np.einsum("ij,ij->i", other, other) - 2.0 * (one @ other.T)
    return np.maximum(squared, 0.0)


def fit(rows: np.ndarray, group_of: np.ndarray, groups: int, values: np.ndarray, repeats: np.ndarray) -> Hyperparameters:
    """The hyperparameters of the largest posterior density, from the prior's centre by L-BFGS.

    values: best standardised, which the priors expect. A group in which no row differs from another has no say in the fit, and the
    length scale that would be expected of it if its typical distance were 1.
    """
    from scipy.optimize import minimize

    distances = np.stack([squared_distances(rows[:, group_of == g], rows[:, group_of == g]) for g in range(groups)])
    typical = distances.mean(axis=(1, 2))
    varied = typical > 1e-12
    distances, varying = distances[varied] / typical[varied, None, None], int(varied.sum())
    centre, _ = prior(varying)
    found = minimize(
        negative_log_posterior,
        centre,
        args=(distances, values, repeats),
        jac=True,
        method="L-BFGS-B",
        bounds=[(value - REACH, value + REACH) for value in centre],
        options={"maxiter": STEPS, "ftol": 1e-5},
    )
    expected = float(np.exp(prior(max(1, varying))[0][0]))
    lengths = np.full(groups, expected)
    lengths[varied] = np.exp(found.x[:varying]) * np.sqrt(typical[varied])
    signal, noise = found.x[varying:]
    return Hyperparameters(lengths, float(np.exp(signal)), float(np.exp(signal + noise)), expected)


def prior(groups: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of log length scales, log signal and log(noise / signal): (groups + 2,) each."""
    length = LENGTH[0] + 0.5 * np.log(groups)
    return np.array([length] * groups + [SIGNAL[0], NOISE[0]]), np.array([LENGTH[1]] * groups + [SIGNAL[1], NOISE[1]])


def negative_log_posterior(
    point: np.ndarray, distances: np.ndarray, values: np.ndarray, repeats: np.ndarray
) -> tuple[float, np.ndarray]:
    """At a point ordered as in `prior`, and its gradient. The constant is at its best value throughout.

    distances: (groups, n, n) squared, in units of each group's typical one.
    """
    from scipy.linalg import cho_factor, cho_solve

    groups, n = len(distances), len(values)
    inverse = np.exp(-2.0 * point[:groups])
    signal, noise = np.exp(point[groups]), np.exp(point[groups + 1])
    root = np.sqrt(5.0 * np.tensordot(inverse, distances, 1))
    decay = np.exp(-root)
    correlation = (1.0 + root + root**2 / 3.0) * decay
    diagonal = np.diag_indices(n)
    correlation[diagonal] += noise / repeats + JITTER
    factor = cho_factor(correlation, lower=True, check_finite=False)
    inverted = cho_solve(factor, np.eye(n), check_finite=False)
    ones = inverted.sum(axis=1)
    residual = values - ones @ values / ones.sum()
    weights = inverted @ residual
    fit_term = residual @ weights / signal
    loss = 0.5 * (fit_term + n * point[groups]) + np.log(np.diag(factor[0])).sum()
    outer = inverted - np.outer(weights, weights) / signal
    slopes = distances.reshape(groups, -1) @ (outer * (5.0 / 3.0) * (1.0 + root) * decay).ravel()
    gradient = np.empty(groups + 2)
    gradient[:groups] = 0.5 * inverse * slopes
    gradient[groups] = 0.5 * (n - fit_term)
    gradient[groups + 1] = 0.5 * noise * (np.diag(outer) / repeats).sum()
    centre, width = prior(groups)
    away = (point - centre) / width
    return float(loss + 0.5 * away @ away), gradient + away / width
