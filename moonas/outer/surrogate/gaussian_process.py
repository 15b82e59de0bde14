"""A Gaussian process on grouped features: Matern 5/2, one length scale per group, noise, and a constant at its best value.

Source: Rasmussen & Williams 2006, equations 2.23-2.24, 4.17 and algorithm 2.1. Where it was observed, and what it is asked about,
stay from one proposal to the next but for one more observation: one more row of the triangular factors, so that is what is kept.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass

import numpy as np

JITTER = 1e-8
BLOCK = 512  # places whose covariances are worked out at a time, so that they stay in the cache
MORE = 64  # observations that an outlook takes in before it needs more memory


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
    """The process, and where it has been observed; the values come with each prediction, for they may be warped anew each time.

    rows: (n, columns) features. group_of: (columns,) the group of each. repeats: (n,) how many measurements each value is the
    mean of.
    """

    def __init__(self, rows: np.ndarray, group_of: np.ndarray, repeats: np.ndarray, hyper: Hyperparameters) -> None:
        from scipy.linalg import cholesky

        self.group_of, self.hyper = group_of, hyper
        self.scaled = self.scale(rows)
        covariance = self.covariance(self.scaled)
        covariance[np.diag_indices(len(rows))] += self._own(repeats)
        self.factor = cholesky(covariance, lower=True, overwrite_a=True, check_finite=False)

    def __len__(self) -> int:
        return len(self.factor)

    def beside(self, row: np.ndarray, repeats: float) -> Process:
        """The process with one more observation, at row (columns,)."""
        from scipy.linalg import solve_triangular

        extended, count = copy(self), len(self)
        here = self.scale(row[None])
        left = solve_triangular(self.factor, self.covariance(here)[0], lower=True, check_finite=False)
        extended.scaled = np.concatenate([self.scaled, here])
        extended.factor = np.zeros((count + 1, count + 1))
        extended.factor[:count, :count] = self.factor
        extended.factor[count, :count] = left
        variance = self.hyper.signal + self._own(repeats) - left @ left
        extended.factor[count, count] = np.sqrt(max(variance, JITTER * self.hyper.signal))
        return extended

    def explain(self, values: np.ndarray) -> tuple[float, np.ndarray]:
        """The constant, and what the values (n,) leave beside it, times the inverse of the factor."""
        from scipy.linalg import solve_triangular

        both = solve_triangular(self.factor, np.column_stack([np.ones(len(values)), values]), lower=True, check_finite=False)
        ones, solved = both.T
        constant = float(ones @ solved / (ones @ ones))
        return constant, solved - constant * ones

    def scale(self, rows: np.ndarray) -> np.ndarray:
        """Rows in units of the length scales."""
        return rows / self.hyper.lengths[self.group_of]

    def covariance(self, scaled: np.ndarray) -> np.ndarray:
        """(k, n): of the function at scaled rows and where it was observed."""
        return self.hyper.signal * matern(squared_distances(scaled, self.scaled))

    def _own(self, repeats: np.ndarray | float) -> np.ndarray | float:
        return self.hyper.noise / repeats + JITTER * self.hyper.signal


class Outlook:
    """What a process says of certain places; following it by an observation costs one row of numbers.

    rows: (places, columns).
    """

    def __init__(self, process: Process, rows: np.ndarray) -> None:
        from scipy.linalg import solve_triangular

        self.process, self._scaled, count = process, process.scale(rows), len(process)
        self._half = np.empty((count + MORE, len(rows)))  # the factor's inverse times the covariances
        for start in range(0, len(rows), BLOCK):
            part = slice(start, start + BLOCK)
            cross = process.covariance(self._scaled[part]).T
            self._half[:count, part] = solve_triangular(process.factor, cross, lower=True, check_finite=False)
        self._explained = np.einsum("ij,ij->j", self._half[:count], self._half[:count])

    def follow(self, row: np.ndarray, repeats: float) -> None:
        """Take in one more observation, at row (columns,)."""
        self.process = self.process.beside(row, repeats)
        last = len(self.process) - 1
        if last == len(self._half):
            self._half = np.concatenate([self._half, np.empty((MORE, self._half.shape[1]))])
        left, own = self.process.factor[last, :last], self.process.factor[last, last]
        covariance = self.process.hyper.signal * matern(squared_distances(self.process.scaled[last:], self._scaled))[0]
        self._half[last] = (covariance - left @ self._half[:last]) / own
        self._explained = self._explained + self._half[last] ** 2

    def predict(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and deviation (places,) given values (n,), of the function without the noise of a measurement."""
        constant, solved = self.process.explain(values)
        signal = self.process.hyper.signal
        variance = np.maximum(signal - self._explained, 1e-12 * signal)
        return constant + solved @ self._half[: len(solved)], np.sqrt(variance)


def matern(squared: np.ndarray) -> np.ndarray:
    """Matern 5/2 correlation at squared distances."""
    distance = np.sqrt(5.0 * squared)
    return (1.0 + distance + distance**2 / 3.0) * np.exp(-distance)


def squared_distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(n, k) between rows."""
    squared = np.einsum("ij,ij->i", one, one)[:, None] + np.einsum("ij,ij->i", other, other) - 2.0 * (one @ other.T)
    return np.maximum(squared, 0.0)
