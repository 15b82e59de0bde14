"""Expected hypervolume improvement, exact: known objectives count as they are, learned ones by their predicted distribution.

What the front leaves free of its box is cut into disjoint boxes. A candidate's new volume within one box is a product over the
objectives, so that with independent predictions its expectation is the product of each objective's own: the part of [lower, upper]
above a known value, or the integral of P(value < t) over t for a learned one. Nothing is sampled. Boxes by the local upper bounds
of Lacour, Klamroth & Fonseca 2017 (doi:10.1016/j.cor.2016.08.008); the product form as in Emmerich et al. 2016, who have all
objectives uncertain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from moonas.front.dominance import non_dominated


@dataclass(frozen=True)
class LogNormal:
    """A prediction of a minimised objective: value = floor + exp(z), z ~ N(mean, deviation^2).

    mean, deviation: (n,), one per candidate.
    """

    floor: float
    mean: np.ndarray
    deviation: np.ndarray

    def at(self, places: np.ndarray) -> LogNormal:
        """For some of the candidates."""
        return LogNormal(self.floor, self.mean[places], self.deviation[places])

    def below(self, levels: np.ndarray) -> np.ndarray:
        """(n, k): the integral of P(value < t) over all t up to each of the levels (k,), that is E[max(0, level - value)].

        Closed form, the price of a put option (Black & Scholes 1973).
        """
        from scipy.special import ndtr

        room = np.maximum(np.asarray(levels) - self.floor, 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            score = (np.log(room) - self.mean[:, None]) / np.maximum(self.deviation, 1e-12)[:, None]
        spread = self.deviation[:, None]
        return room * ndtr(score) - np.exp(self.mean[:, None] + spread**2 / 2) * ndtr(score - spread)

    def chance(self, level: float) -> np.ndarray:
        """(n,): P(value <= level)."""
        from scipy.special import ndtr

        if level <= self.floor:
            return np.zeros(len(self.mean))
        return ndtr((np.log(level - self.floor) - self.mean) / np.maximum(self.deviation, 1e-12))


@dataclass(frozen=True)
class Limited:
    """A prediction of an objective that must not lie beyond `upper` or below `lower`; where it does, it gains nothing."""

    prediction: LogNormal
    lower: float
    upper: float

    def at(self, places: np.ndarray) -> Limited:
        """For some of the candidates."""
        return Limited(self.prediction.at(places), self.lower, self.upper)

    def below(self, levels: np.ndarray) -> np.ndarray:
        """(n, k): E[max(0, level - value)] over values within the limits."""
        return self._up_to(self.upper, levels) - self._up_to(self.lower, levels)

    def _up_to(self, end: float, levels: np.ndarray) -> np.ndarray:
        """The same over values up to an end alone."""
        levels = np.asarray(levels)
        if end <= self.prediction.floor:
            return np.zeros((len(self.prediction.mean), len(levels)))
        beyond = np.maximum(levels - end, 0.0)
        if not beyond.any():
            return self.prediction.below(levels)
        return self.prediction.below(np.minimum(levels, end)) + np.outer(self.prediction.chance(end), beyond)


Prediction = np.ndarray | LogNormal | Limited  # (n,) known values, or what is believed of n unknown ones
FIRST = (4, 16)  # members of the front against which improvements are bounded, before they are worked out
BATCH = 256  # candidates whose improvement is worked out before others are left out


def most_improving(
    front: np.ndarray,
    ideal: np.ndarray,
    reference: np.ndarray,
    objectives: Sequence[Prediction],
    chances: np.ndarray | float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Rising indices of some candidates, and their expected improvements; any other improves less than the best of these.

    Arguments as for `expected_improvement`, whose results these are, times the chances (n,) that a candidate counts at all. It
    improves on a part of the front at least as much as on the whole, so that most are left out by their improvement on a few of its
    members.
    """
    members = np.unique(front[non_dominated(front)], axis=0)
    whole, best = free_boxes(members, ideal, reference), -np.inf
    chances = np.broadcast_to(chances, _count(objectives[0]))
    left = np.arange(len(chances))
    for count in FIRST:
        if count >= len(members) or len(left) <= BATCH:
            break
        some = free_boxes(members[np.linspace(0, len(members) - 1, count).astype(int)], ideal, reference)
        bounds = _expected(some, [at(one, left) for one in objectives]) * chances[left]
        foremost = left[np.argpartition(-bounds, BATCH)[:BATCH]]
        best = max(best, (_expected(whole, [at(one, foremost) for one in objectives]) * chances[foremost]).max())
        left = left[bounds >= (1.0 - 1e-8) * best]  # more than rounding may take away
    return left, _expected(whole, [at(one, left) for one in objectives]) * chances[left]


def at(objective: Prediction, places: np.ndarray) -> Prediction:
    """What is known or believed of some of the candidates."""
    return objective[places] if isinstance(objective, np.ndarray) else objective.at(places)


def _count(objective: Prediction) -> int:
    believed = objective.prediction if isinstance(objective, Limited) else objective
    return len(believed.mean if isinstance(believed, LogNormal) else believed)


def expected_improvement(
    front: np.ndarray, ideal: np.ndarray, reference: np.ndarray, objectives: Sequence[Prediction]
) -> np.ndarray:
    """(n,): the volume that each candidate is expected to add, in the units of the objectives.

    front: (k, m) values, minimised; dominated points and such beyond the reference may be among them. ideal, reference: (m,)
    corners of the box; what lies beyond either counts for nothing. objectives: m predictions, in the order of the columns.
    """
    return _expected(free_boxes(front, ideal, reference), objectives)


def _expected(boxes: tuple[np.ndarray, np.ndarray], objectives: Sequence[Prediction]) -> np.ndarray:
    """(n,): the part of the boxes that each candidate is expected to dominate."""
    lower, upper = boxes
    gain: np.ndarray | float = 1.0
    for column, objective in enumerate(objectives):
        levels, places = np.unique(np.concatenate([lower[:, column], upper[:, column]]), return_inverse=True)
        below = np.maximum(levels - objective[:, None], 0.0) if isinstance(objective, np.ndarray) else objective.below(levels)
        first, last = np.split(places, 2)
        gain = gain * (below[:, last] - below[:, first])
    return np.sum(gain, axis=1)


def free_boxes(front: np.ndarray, ideal: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Disjoint boxes that cover what no point of the front dominates, between ideal and reference: corners (b, m) twice.

    Of k points there are at most k + 1 boxes for two objectives and 2 k + 1 for three.
    """
    points = np.clip(front, ideal, None)
    points = points[(points < reference).all(axis=1)]
    points = np.unique(points[non_dominated(points)], axis=0)
    # Boxes that end at the local upper bounds cover the free space but overlap. They become disjoint where each begins, in
    # objective j, at the largest j-th value among the points that define its bound in the objectives before.
    bounds, defining = _local_upper_bounds(points, ideal, reference)
    lower = np.tile(ideal, (len(bounds), 1))
    for j in range(1, len(ideal)):
        lower[:, j] = defining[:, :j, j].max(axis=1)
    kept = (lower < bounds).all(axis=1)
    return lower[kept], bounds[kept]


def _local_upper_bounds(points: np.ndarray, ideal: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The bounds (b, m), and for each objective of each the point that defines it: (b, m, m).

    Algorithm 3 of Lacour et al.: with every point, a bound above it splits into one per objective, kept where the point lies
    beyond the defining points of all other objectives.
    """
    m = len(ideal)
    bounds = reference[None].astype(float)
    defining = np.tile(ideal, (m, 1))[None].astype(float)
    defining[0][np.diag_indices(m)] = reference
    for point in points:
        above = (point < bounds).all(axis=1)
        new_bounds, new_defining = [bounds[~above]], [defining[~above]]
        for j in range(m):
            others = defining[above][:, [k for k in range(m) if k != j], j]
            split = point[j] >= others.max(axis=1, initial=-np.inf)
            chosen = bounds[above][split].copy()
            chosen[:, j] = point[j]
            described = defining[above][split].copy()
            described[:, j] = point
            new_bounds.append(chosen)
            new_defining.append(described)
        bounds, defining = np.concatenate(new_bounds), np.concatenate(new_defining)
    return bounds, defining
