"""Means with their errors, the best of several draws, and ranks: the arithmetic of benchmarks/methods.py."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Estimate:
    """A mean. error: its standard error; NaN from a single value. freedom: degrees of freedom of that error."""

    value: float
    error: float = math.nan
    freedom: float = 0.0

    @property
    def half_width(self) -> float:
        """Of the 95 % confidence interval by Student's t; NaN where there is none."""
        return self.error * float(stats.t.ppf(0.975, self.freedom)) if self.freedom > 0 else math.nan

    def __sub__(self, other: Estimate) -> Estimate:
        """The difference of two independent estimates, its degrees of freedom by Welch and Satterthwaite."""
        own, others = self.error**2, other.error**2
        spread = own**2 / self.freedom + others**2 / other.freedom if self.freedom and other.freedom else math.nan
        freedom = (own + others) ** 2 / spread if spread else self.freedom + other.freedom
        return Estimate(self.value - other.value, math.sqrt(own + others), freedom)


def mean(values: Sequence[float]) -> Estimate:
    """The mean of independent values."""
    if len(values) < 2:
        return Estimate(float(np.mean(values)))
    return Estimate(float(np.mean(values)), float(stats.sem(values)), len(values) - 1)


def mean_of(estimates: Sequence[Estimate]) -> Estimate:
    """The mean of independent estimates of different things."""
    variances = np.array([estimate.error**2 for estimate in estimates])
    whole, spread = variances.sum(), sum(v**2 / e.freedom for v, e in zip(variances, estimates, strict=True) if e.freedom)
    freedom = whole**2 / spread if spread else sum(estimate.freedom for estimate in estimates)
    return Estimate(float(np.mean([e.value for e in estimates])), math.sqrt(whole) / len(estimates), freedom)


def best_of(draws: float, chosen_by: np.ndarray, judged_by: np.ndarray) -> float:
    """What the best of `draws` random members of a pool by `chosen_by` is expected to have of `judged_by`; exact.

    Members are drawn without replacement. Of n members the one of rank r among N (1 is the lowest) is the best in C(r-1, n-1) of
    the C(N, n) cases; equal ones share their cases. Between two whole numbers of draws the expectation is interpolated.
    chosen_by, judged_by: (N,). Raises ValueError unless 1 <= draws <= N.
    """
    if not 1 <= draws <= len(chosen_by):
        raise ValueError(f"{draws:g} draws of a pool of {len(chosen_by)}")
    low = math.floor(draws)
    part = draws - low
    found = _best_of_whole(low, chosen_by, judged_by)
    return found + part * (_best_of_whole(low + 1, chosen_by, judged_by) - found) if part else found


def _best_of_whole(draws: int, chosen_by: np.ndarray, judged_by: np.ndarray) -> float:
    size, order = len(chosen_by), np.argsort(chosen_by, kind="stable")
    weights = np.array([math.comb(rank, draws - 1) for rank in range(size)]) / math.comb(size, draws)
    _, level = np.unique(chosen_by[order], return_inverse=True)
    shared = (np.bincount(level, weights) / np.bincount(level))[level]
    return float(shared @ judged_by[order])


def jackknife(statistic: Callable[..., float], *columns: np.ndarray) -> Estimate:
    """A statistic of a sample, with the standard error that leaving each member out once gives.

    columns: (n,), the members' values; `statistic` is called with the columns that are left. Source: Efron & Stein 1981,
    doi:10.1214/aos/1176345462.
    """
    size = len(columns[0])
    left = [statistic(*(np.delete(column, index) for column in columns)) for index in range(size)]
    error = math.sqrt((size - 1) * float(np.var(left)))
    return Estimate(statistic(*columns), error, size - 1)


def variance_components(strata: Sequence[Sequence[Sequence[float]]]) -> tuple[float, float]:
    """Of values in groups the variance between groups, as they would be without that inside a group, and the variance inside one.

    strata: in each its groups, in each its values; groups are compared within their stratum alone. The method of moments of a
    one-way random-effects analysis of variance with groups of any size, the first variance at least 0. Source: Searle, Casella &
    McCulloch 1992, Variance Components, section 3.6.
    """
    inside = between = weight = 0.0
    values_free = groups_free = 0
    for groups in strata:
        sizes, means = np.array([len(group) for group in groups]), np.array([np.mean(group) for group in groups])
        inside += sum(float(np.var(group)) * len(group) for group in groups)
        between += float(sizes @ (means - sizes @ means / sizes.sum()) ** 2)
        weight += float(sizes.sum() - (sizes**2).sum() / sizes.sum())
        values_free += int(sizes.sum()) - len(groups)
        groups_free += len(groups) - 1
    within = inside / values_free
    return max(0.0, (between - groups_free * within) / weight), within


def rank_correlation(believed: Sequence[float], found: Sequence[float]) -> float:
    """Spearman's, ties at their mean rank; NaN where all are believed, or found, alike."""
    ranks = np.array([stats.rankdata(believed), stats.rankdata(found)])
    return float(np.corrcoef(ranks)[0, 1]) if ranks.std(axis=1).all() else math.nan


def percentile(values: np.ndarray, population: np.ndarray) -> np.ndarray:
    """How many percent of `population` lie below each of `values`, equal ones counted by half."""
    ordered = np.sort(population)
    below, not_above = np.searchsorted(ordered, values, "left"), np.searchsorted(ordered, values, "right")
    return 50.0 * (below + not_above) / len(population)
