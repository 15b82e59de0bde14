"""The next candidate: a start spread over the known costs, then the largest expected hypervolume improvement.

A function of what it is given and of the seed alone: hyperparameters are those that the first so many observations give, at fixed
marks, so that a study resumed from its history proposes what it would have proposed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from moonas.front.dominance import non_dominated
from moonas.outer.surrogate.features import Columns
from moonas.outer.surrogate.gaussian_process import Hyperparameters, Process, fit
from moonas.outer.surrogate.improvement import LogNormal, Prediction, expected_improvement

SPREAD = 12  # candidates of the start, besides the cheapest by every known objective
ROOM = 0.3  # how far beyond the best value the model sees room, in units of its distance to the median
FITTED, KEPT = 300, 600  # observations, at most, that hyperparameters are fitted to and that predictions rest on


@dataclass(frozen=True)
class Objectives:
    """What is minimised.

    known: (m,) bool, which objectives are known of every candidate. ideal, reference: (m,) corners of the hypervolume's box.
    of_function: whether the learned ones depend on the function that a candidate computes alone, as an accuracy does and a
    measured latency does not. Then a candidate of the same function as another, and at no lower known cost, is worth nothing.
    """

    known: np.ndarray
    ideal: np.ndarray
    reference: np.ndarray
    of_function: bool = True


@dataclass(frozen=True)
class Candidates:
    """Some candidates.

    rows: (n, columns) features, as `Columns.rows` makes them. known: (n, m) values, NaN for learned objectives.
    functions: (n,) keys; equal where candidates compute the same.
    """

    rows: np.ndarray
    known: np.ndarray
    functions: np.ndarray

    @cached_property
    def distinct(self) -> tuple[np.ndarray, np.ndarray]:
        """The distinct rows, and for every candidate which of them is its own."""
        rows, places = np.unique(self.rows, axis=0, return_inverse=True)
        return rows, places.ravel()


@dataclass(frozen=True)
class Observations:
    """What has been measured so far, one entry per candidate, in the order in which they were proposed.

    rows, functions: as of `Candidates`. values: (k, m), all objectives; means over the measurements. repeats: (k,) their number.
    """

    rows: np.ndarray
    values: np.ndarray
    functions: np.ndarray
    repeats: np.ndarray

    def __len__(self) -> int:
        return len(self.values)


@dataclass
class Proposer:
    """Proposes one candidate after another. columns: of the features of everything it is given.

    It remembers hyperparameters, which the observations would give it again.
    """

    objectives: Objectives
    columns: Columns
    _fitted: dict[tuple[int, int, int], Hyperparameters] = field(default_factory=dict)

    def propose(self, observed: Observations, pending: Candidates, candidates: Candidates, seed: int) -> int | None:
        """The index of the next candidate; None where there is none left.

        pending: proposed but not yet measured; they are believed to turn out as predicted. candidates: without those observed or
        pending. seed: of this proposal; it settles ties and the start.
        """
        if not len(candidates.known):
            return None
        rng = np.random.default_rng(seed)
        stage = len(observed) + len(pending.known)
        anchors = np.flatnonzero(self.objectives.known)
        if stage < len(anchors):
            costs = candidates.known[:, anchors[stage]]
            return int(rng.choice(np.flatnonzero(costs == costs.min())))
        if stage < len(anchors) + SPREAD or len(observed) < 2:
            return self._spread(candidates, (stage - len(anchors)) % SPREAD, rng)
        gain = self.gains(observed, pending, candidates)
        return int(rng.choice(np.flatnonzero(gain >= (1.0 - 1e-9) * gain.max())))

    def gains(self, observed: Observations, pending: Candidates, candidates: Candidates) -> np.ndarray:
        """(n,): the hypervolume that each candidate is expected to add."""
        known = self.objectives.known
        predictions: list[Prediction] = [values for values in candidates.known.T]
        believed = pending.known.copy()
        for column in np.flatnonzero(~known):
            predictions[column], believed[:, column] = self._predict(column, observed, pending, candidates)
        values = np.concatenate([observed.values, believed])
        gain = expected_improvement(values, self.objectives.ideal, self.objectives.reference, predictions)
        if self.objectives.of_function:
            functions = np.concatenate([observed.functions, pending.functions])
            gain[_siblings(functions, values[:, known], candidates.functions, candidates.known[:, known])] = 0.0
        return gain

    def _predict(
        self, column: int, observed: Observations, pending: Candidates, candidates: Candidates
    ) -> tuple[LogNormal, np.ndarray]:
        """Of one objective: what is believed of the candidates, and the medians of the pending ones."""
        chosen = _informative(observed.values, KEPT)
        values, repeats = observed.values[chosen, column], observed.repeats[chosen]
        warp = Warp.of(observed.values[:, column])
        hyper = self._hyperparameters(column, observed)
        rows, group_of = self.columns.padded(observed.rows[chosen]), self.columns.group_of
        process = Process(rows, group_of, warp(values), repeats, hyper)
        believed, _ = process.predict(self.columns.padded(pending.rows))
        if len(pending.known):
            rows = np.concatenate([rows, self.columns.padded(pending.rows)])
            repeats = np.concatenate([repeats, np.ones(len(believed))])
            process = Process(rows, group_of, np.concatenate([warp(values), believed]), repeats, hyper)
        distinct, places = candidates.distinct
        mean, deviation = process.predict(self.columns.padded(distinct))
        return warp.prediction(mean[places], deviation[places]), warp.inverse(believed)

    def _hyperparameters(self, column: int, observed: Observations) -> Hyperparameters:
        """As fitted at the last mark, to the observations up to there."""
        count = last_mark(len(observed))
        rows = self.columns.padded(observed.rows)
        key = (column, count, rows.shape[1])
        if key not in self._fitted:
            values = observed.values[:count]
            chosen = _informative(values, FITTED)
            warped = Warp.of(values[:, column])(values[chosen, column])
            groups = self.columns.group_of
            self._fitted[key] = fit(rows[chosen], groups, len(self.columns.groups), warped, observed.repeats[chosen])
        return self._fitted[key]

    def _spread(self, candidates: Candidates, stage: int, rng: np.random.Generator) -> int:
        """Any candidate of one of the equal parts of the pool by the first known objective; any at all where nothing is known."""
        (known,) = np.nonzero(self.objectives.known)
        if not len(known):
            return int(rng.integers(len(candidates.known)))
        order = np.lexsort([rng.random(len(candidates.known)), candidates.known[:, known[0]]])
        parts = [part for part in np.array_split(order, SPREAD) if len(part)]
        return int(rng.choice(parts[stage % len(parts)]))


@dataclass(frozen=True)
class Warp:
    """z = (log(value - floor) - mean) / deviation: magnifies differences among good values, and compresses those among bad ones.

    floor: what the model takes for out of reach, our own choice: `ROOM` times the median's distance below the best.
    """

    floor: float
    mean: float
    deviation: float

    @classmethod
    def of(cls, values: np.ndarray) -> Warp:
        """For some values of a minimised objective."""
        best = float(values.min())
        spread = float(np.median(values)) - best or float(values.max()) - best or 1.0
        floor = best - ROOM * spread
        logs = np.log(values - floor)
        return cls(floor, float(logs.mean()), float(logs.std()) or 1.0)

    def __call__(self, values: np.ndarray) -> np.ndarray:
        return (np.log(values - self.floor) - self.mean) / self.deviation

    def inverse(self, warped: np.ndarray) -> np.ndarray:
        return self.floor + np.exp(self.mean + self.deviation * warped)

    def prediction(self, mean: np.ndarray, deviation: np.ndarray) -> LogNormal:
        """What a normal prediction of z says of the value."""
        return LogNormal(self.floor, self.mean + self.deviation * mean, self.deviation * deviation)


def last_mark(count: int) -> int:
    """The largest number of observations, `count` at most, at which hyperparameters are fitted: each a twentieth after the last.

    Below 100 that is every fifth.
    """
    mark = min(count, SPREAD)
    while (following := mark + max(5, mark // 20)) <= count:
        mark = following
    return mark


def _informative(values: np.ndarray, most: int) -> np.ndarray:
    """Rising indices of at most `most` observations: the front, then half of what is left the latest and half spread evenly."""
    count = len(values)
    if count <= most:
        return np.arange(count)
    chosen = non_dominated(values)
    left = most - int(chosen.sum())
    if left > 0:
        others = np.flatnonzero(~chosen)
        latest = others[len(others) - left // 2 :]
        spread = others[np.linspace(0, len(others) - left // 2 - 1, left - left // 2).astype(int)]
        chosen[latest] = chosen[spread] = True
    return np.flatnonzero(chosen)[-most:]


def _siblings(functions: np.ndarray, costs: np.ndarray, others: np.ndarray, other_costs: np.ndarray) -> np.ndarray:
    """(n,) bool: which of the others have the function of one that costs no more in anything.

    functions: (k,); costs: (k, c); others: (n,); other_costs: (n, c).
    """
    found = np.zeros(len(others), dtype=bool)
    (shared,) = np.nonzero(np.isin(others, functions))
    for function in np.unique(others[shared]):
        among = shared[others[shared] == function]
        cheaper = (costs[functions == function][:, None] <= other_costs[among]).all(axis=2).any(axis=0)
        found[among] = cheaper
    return found
