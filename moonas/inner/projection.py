"""Projections: the nearest logits whose expected costs lie within bounds. NumPy, in float64.

The idea, a search that alternates with projections onto its bounds, is that of Jin et al. 2019 (RC-DARTS, arXiv:1912.12814). Their
text was not at hand, so both projections here are our own construction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from moonas.errors import InfeasibleError
from moonas.spaces.relaxed import RelaxedCosts

TOLERANCE = 1e-6  # of a violation, relative to its bound
EXACT = 1e-10
LEAST_PROBABILITY = 1e-6  # operations below it would need too large a multiplier to come back
LARGEST_MULTIPLIER = 2.0**32
SPREAD = 30.0  # logits that lie further below the best of their edge (a probability of 1e-13) are lifted there
SWEEPS = 50
HALVINGS = 10
ROUNDS = 200
NEAR = 0.1  # a change of logits below which Newton's method is tried
NEWTON_STEPS = 8


@dataclass(frozen=True)
class Box:
    """Bounds on costs. lower, upper: (metrics,), infinite where absent. scale: (metrics,), what a violation is relative to."""

    lower: np.ndarray
    upper: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, metrics: Sequence[str], bounds: Mapping[str, Mapping[str, float]]) -> Box:
        """Violations are relative to the upper bound, or to the lower one where it stands alone."""
        lower = np.array([bounds[metric].get("lower", -np.inf) for metric in metrics], dtype=float)
        upper = np.array([bounds[metric].get("upper", np.inf) for metric in metrics], dtype=float)
        return cls(lower, upper, np.maximum(np.where(np.isfinite(upper), upper, lower), 1.0))

    def violation(self, values: np.ndarray) -> np.ndarray:
        """(metrics,): positive above the upper bound, negative below the lower one, else 0."""
        return (np.maximum(values - self.upper, 0) + np.minimum(values - self.lower, 0)) / self.scale

    def holds(self, values: np.ndarray) -> bool:
        """Whether all bounds hold, within the tolerance."""
        return bool(np.abs(self.violation(values)).max() <= TOLERANCE)


def project_kl(logits: np.ndarray, costs: RelaxedCosts, box: Box) -> np.ndarray:
    """The logits whose probabilities p' are nearest: the least sum over edges of share * KL(p' || p) within the box.

    Expected costs are linear in p', so the solution is an exponential tilt: logits - sum over costs of multiplier * cost / scale.
    The dual is solved one multiplier at a time, with Newton steps on all active ones between. Each edge's mean logit stays.
    logits: (choices,); returned as they are where the bounds hold. Raises InfeasibleError where no logits meet the box.
    """
    if box.holds(costs.expected(costs.probabilities(logits))):
        return logits
    tilt = _Tilt(np.log(np.maximum(costs.probabilities(logits), LEAST_PROBABILITY)), costs, box)
    multipliers = np.zeros(len(box.scale))
    for _ in range(SWEEPS):
        for place in range(len(multipliers)):
            multipliers[place] = tilt.multiplier(multipliers, place)
        if len(multipliers) == 1 or tilt.residual(multipliers) <= EXACT:
            break
        multipliers = tilt.newton(multipliers)
    if not box.holds(tilt.expected(multipliers)):
        raise InfeasibleError(f"no probabilities were found that meet the bounds on {' and '.join(costs.metrics)} together")
    moved = tilt.logits(multipliers)
    moved = np.maximum(moved, costs.by_edge(np.maximum.reduceat(moved, costs.starts)) - SPREAD)
    return moved + costs.by_edge(_edge_means(logits, costs) - _edge_means(moved, costs))


def project_euclidean(logits: np.ndarray, costs: RelaxedCosts, box: Box) -> np.ndarray:
    """The logits of the least Euclidean distance within the box: damped sequential linearisation, finished by Newton's method.

    It solves a' = a - sum of multiplier * gradient(a') over the active bounds; where that does not settle, which happens for bounds
    near the end of what is reachable, `project_kl` answers instead. Arguments, result and errors are those of `project_kl`.
    """
    values = costs.expected(costs.probabilities(logits))
    if box.holds(values):
        return logits
    point, active, near = logits, np.zeros(2 * len(values), dtype=bool), NEAR
    for _ in range(ROUNDS):
        slopes = _gradients(costs.probabilities(point), costs, box)
        gradients = np.concatenate([slopes, -slopes])
        gaps = np.concatenate([values - box.upper, box.lower - values]) / np.tile(box.scale, 2)
        active |= gaps > 0
        with np.errstate(over="ignore", invalid="ignore"):
            multipliers = _multipliers(gradients, gaps + gradients @ (logits - point), active)
            step = multipliers @ gradients
        if not np.isfinite(step).all():
            break
        before, point = point, (point + logits - step) / 2
        change = np.abs(point - before).max()
        if change < near and multipliers.any():
            near = change / 8
            settled = _settled(logits, point, multipliers[: len(values)] - multipliers[len(values) :], costs, box)
            if settled is not None and np.abs(settled - point).max() < 4 * change:  # not another optimum, which may be worse
                point, change = settled, 0.0
        values = costs.expected(costs.probabilities(point))
        if change < 1e-8:
            break
    other = project_kl(logits, costs, box)
    nearer = np.linalg.norm(point - logits) <= np.linalg.norm(other - logits)
    return point if box.holds(values) and nearer else other


class _Tilt:
    """Logits tilted against costs by multipliers (metrics,), which are positive at an upper bound and negative at a lower one."""

    def __init__(self, start: np.ndarray, costs: RelaxedCosts, box: Box) -> None:
        self.start, self.costs, self.box = start, costs, box
        self.directions = costs.costs / box.scale[:, None]

    def logits(self, multipliers: np.ndarray) -> np.ndarray:
        return self.start - multipliers @ self.directions

    def expected(self, multipliers: np.ndarray) -> np.ndarray:
        return self.costs.expected(self.costs.probabilities(self.logits(multipliers)))

    def multiplier(self, multipliers: np.ndarray, place: int) -> float:
        """The one at `place` that brings its own cost within its bounds, the others fixed: 0 where it is there without."""
        from scipy.optimize import brentq

        def gap(size: float) -> float:
            """Above 0 as long as `size` is too small; it falls as `size` grows."""
            tried = multipliers.copy()
            tried[place] = sign * size
            return float(sign * (self.expected(tried)[place] - target) / self.box.scale[place])

        sign, target = 1.0, self.box.upper[place]
        if gap(0.0) <= 0:
            sign, target = -1.0, self.box.lower[place]
            if gap(0.0) <= 0:
                return 0.0
        low, high = 0.0, 1.0
        while gap(high) > 0 and high < LARGEST_MULTIPLIER:
            low, high = high, 2 * high
        return sign * (high if gap(high) > 0 else float(brentq(gap, low, high, xtol=1e-12, rtol=1e-14)))

    def residual(self, multipliers: np.ndarray) -> float:
        """By how much the conditions of the optimum are missed: active bounds met exactly, the others not violated."""
        values = self.expected(multipliers)
        gaps = np.where(multipliers != 0, (values - self._targets(multipliers)) / self.box.scale, self.box.violation(values))
        return float(np.abs(gaps).max())

    def newton(self, multipliers: np.ndarray) -> np.ndarray:
        """A damped step on the active bounds together: one at a time they settle slowly where costs correlate."""
        active = multipliers != 0
        probabilities = self.costs.probabilities(self.logits(multipliers))
        gaps = (self.costs.expected(probabilities) - self._targets(multipliers)) / self.box.scale
        curvature = _gradients(probabilities, self.costs, self.box) @ self.directions.T
        curvature = curvature[np.ix_(active, active)] + EXACT * np.trace(curvature) * np.eye(active.sum())
        step = np.zeros(len(multipliers))
        step[active] = np.linalg.lstsq(curvature, gaps[active], rcond=None)[0]
        turns = step * multipliers < -(multipliers**2)
        if turns.any():  # as far as the first bound that ceases to be active
            step *= np.min(-multipliers[turns] / step[turns])
        for _ in range(HALVINGS):
            tried = multipliers + step
            tried[np.abs(tried) <= EXACT * np.abs(multipliers)] = 0.0
            gained = self.dual(multipliers) - self.dual(tried)
            if gained > EXACT or (gained > -EXACT and self.residual(tried) < self.residual(multipliers)):
                return tried
            step /= 2
        return multipliers

    def dual(self, multipliers: np.ndarray) -> float:
        """What the multipliers minimise: the sum over edges of share * log of the normaliser, and the bounds' own terms."""
        logits = self.logits(multipliers)
        highest = np.maximum.reduceat(logits, self.costs.starts)
        normalisers = highest + np.log(np.add.reduceat(np.exp(logits - self.costs.by_edge(highest)), self.costs.starts))
        active = multipliers != 0
        limits = multipliers[active] * ((self._targets(multipliers) - self.costs.fixed) / self.box.scale)[active]
        return float(self.costs.shares[self.costs.starts] @ normalisers + limits.sum())

    def _targets(self, multipliers: np.ndarray) -> np.ndarray:
        return np.where(multipliers > 0, self.box.upper, self.box.lower)


def _edge_means(values: np.ndarray, costs: RelaxedCosts) -> np.ndarray:
    return np.add.reduceat(values, costs.starts) / np.diff(costs.starts, append=len(values))


def _gradients(probabilities: np.ndarray, costs: RelaxedCosts, box: Box) -> np.ndarray:
    """(metrics, choices): of expected costs over their scale, by the logits: share * p * (cost - mean cost of the edge)."""
    mean = np.add.reduceat(probabilities * costs.costs, costs.starts, axis=1)
    return costs.shares * probabilities * (costs.costs - costs.by_edge(mean)) / box.scale[:, None]


def _multipliers(gradients: np.ndarray, offsets: np.ndarray, active: np.ndarray) -> np.ndarray:
    """Of the sum of multiplier * gradient that meets the linearised bounds; bounds with a negative one are dropped."""
    active = active.copy()
    multipliers = np.zeros(len(offsets))
    while active.any():
        chosen = gradients[active]
        multipliers[active] = np.linalg.lstsq(chosen @ chosen.T, offsets[active], rcond=None)[0]
        if (multipliers[active] >= 0).all():
            break
        active &= multipliers >= 0
        multipliers[~active] = 0
    return multipliers


def _settled(logits: np.ndarray, point: np.ndarray, multipliers: np.ndarray, costs: RelaxedCosts, box: Box) -> np.ndarray | None:
    """The point near `point` that meets the conditions of the optimum, by Newton's method on them and the multipliers together.

    multipliers: (metrics,), positive at an active upper bound, negative at a lower one. None where it does not converge, a
    multiplier changes its sign or another bound is missed.
    """
    active, signs = multipliers != 0, np.sign(multipliers)
    targets = np.where(multipliers > 0, box.upper, box.lower)[active]
    for _ in range(NEWTON_STEPS):
        p = costs.probabilities(point)
        values = costs.expected(p)
        slopes = _gradients(p, costs, box)
        pull = multipliers @ slopes
        misses, gaps = point - logits + pull, (values[active] - targets) / box.scale[active]
        if max(np.abs(misses).max(), np.abs(gaps).max()) < EXACT:
            return point if box.holds(values) and (np.sign(multipliers) == signs).all() else None
        slopes = slopes[active]
        *across, own = _solve_curved(np.vstack([slopes, misses]), pull, p, costs)
        try:
            turn = np.linalg.solve(slopes @ np.transpose(across), gaps - slopes @ own)
        except np.linalg.LinAlgError:
            return None
        multipliers = multipliers.copy()
        multipliers[active] += turn
        point = point - own - turn @ across
        if not np.isfinite(point).all():
            return None
    return None


def _solve_curved(rows: np.ndarray, pull: np.ndarray, p: np.ndarray, costs: RelaxedCosts) -> np.ndarray:
    """H^-1 of each row, H being the Hessian of the Lagrangian: on each edge diag(1 + pull) - pull p' - p pull'.

    pull: the sum of multiplier * gradient. A diagonal and two outer products, so that two equations an edge are left to solve.
    """
    diagonal = 1 + pull
    scaled, pull_scaled, p_scaled = rows / diagonal, pull / diagonal, p / diagonal

    def sums(values: np.ndarray) -> np.ndarray:
        return np.add.reduceat(values, costs.starts, axis=-1)

    off, both, other = 1 - sums(p * pull_scaled), sums(p * p_scaled), sums(pull * pull_scaled)
    along_p, along_pull = sums(p * scaled), sums(pull * scaled)
    determinant = off * off - both * other
    first = (off * along_p + both * along_pull) / determinant
    second = (other * along_p + off * along_pull) / determinant
    return scaled + pull_scaled * costs.by_edge(first) + p_scaled * costs.by_edge(second)
