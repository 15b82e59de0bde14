"""The hyperparameters of a Gaussian process: those of the largest posterior density.

Source: Rasmussen & Williams 2006, equations 5.8-5.9. The priors are our own: weak, so that they only keep a dozen observations
from ending in a corner of the likelihood.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from moonas.outer.surrogate.gaussian_process import JITTER, Hyperparameters, squared_distances

# Mean and deviation of normal priors of the logarithms. Lengths are in units of a group's typical distance between rows, times
# the root of the number of groups, so that rows at typical distance in every group correlate alike however many there are.
LENGTH, SIGNAL, NOISE = (0.5, 1.0), (0.0, 1.0), (-3.0, 1.0)  # NOISE: of noise / signal
REACH = 5.0  # how far the search goes from the prior's mean, in logarithms
STEPS = 60  # of L-BFGS, at most


def fit(rows: np.ndarray, group_of: np.ndarray, groups: int, values: np.ndarray, repeats: np.ndarray) -> Hyperparameters:
    """The hyperparameters of the largest posterior density, from the prior's centre by L-BFGS.

    values: best standardised, which the priors expect. A group in which no row differs from another has no say in the fit, and the
    length scale that would be expected of it if its typical distance were 1.
    """
    from scipy.optimize import minimize

    distances = np.stack([pairwise(rows[:, group_of == group]) for group in range(groups)])
    typical = 2.0 * distances.sum(axis=1) / len(rows) ** 2
    varied = typical > 1e-12
    distances, varying = distances[varied] / typical[varied, None], int(varied.sum())
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


def pairwise(rows: np.ndarray) -> np.ndarray:
    """Squared distances of all pairs of rows: those above the diagonal, row by row."""
    return squared_distances(rows, rows)[_above(len(rows))]


def negative_log_posterior(
    point: np.ndarray, distances: np.ndarray, values: np.ndarray, repeats: np.ndarray
) -> tuple[float, np.ndarray]:
    """At a point ordered as in `prior`, and its gradient. The constant is at its best value throughout.

    distances: (groups, pairs) squared, as of `pairwise`, in units of each group's typical one.
    """
    from scipy.linalg.blas import dsymv
    from scipy.linalg.lapack import dpotrf, dpotri

    groups, n = len(distances), len(values)
    above = _above(n)
    inverse = np.exp(-2.0 * point[:groups])
    signal, noise = np.exp(point[groups]), np.exp(point[groups + 1])
    root = np.sqrt(5.0 * (inverse @ distances))
    decay = np.exp(-root)
    correlation = np.zeros((n, n), order="F")  # only what is above the diagonal is ever read
    correlation[above] = (1.0 + root + root**2 / 3.0) * decay
    correlation[np.diag_indices(n)] = 1.0 + noise / repeats + JITTER
    factor, failed = dpotrf(correlation, lower=0, overwrite_a=1)
    assert not failed, "noise keeps it positive definite"
    determinant = np.log(np.diag(factor)).sum()
    inverted, _ = dpotri(factor, lower=0, overwrite_c=1)
    ones = dsymv(1.0, inverted, np.ones(n))
    residual = values - ones @ values / ones.sum()
    weights = dsymv(1.0, inverted, residual)
    fit_term = residual @ weights / signal
    loss = 0.5 * (fit_term + n * point[groups]) + determinant
    outer = inverted[above] - weights[above[0]] * weights[above[1]] / signal
    slopes = 2.0 * (distances @ (outer * (5.0 / 3.0) * (1.0 + root) * decay))
    gradient = np.empty(groups + 2)
    gradient[:groups] = 0.5 * inverse * slopes
    gradient[groups] = 0.5 * (n - fit_term)
    gradient[groups + 1] = 0.5 * noise * ((np.diag(inverted) - weights**2 / signal) / repeats).sum()
    centre, width = prior(groups)
    away = (point - centre) / width
    return float(loss + 0.5 * away @ away), gradient + away / width


@lru_cache(maxsize=2)
def _above(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of what is above the diagonal, row by row."""
    return np.triu_indices(count, 1)
