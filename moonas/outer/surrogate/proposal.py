"""The next candidate: a start spread over the known costs, then the largest expected hypervolume improvement.

A function of what it is given and of the seed alone: hyperparameters are those that the first so many observations give, at fixed
marks, so that a study resumed from its history proposes what it would have proposed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from moonas.front.dominance import non_dominated
from moonas.outer.surrogate.features import Columns
from moonas.outer.surrogate.gaussian_process import Hyperparameters, Process, fit
from moonas.outer.surrogate.improvement import LogNormal, Prediction, expected_improvement

SPREAD = 12  # candidates of the start, besides the cheapest by every known objective
ROOM = 0.3  # how far beyond the best value the model sees room, in units of its distance to the median
MOST = 300  # observations that the model rests on


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
    functions: n keys; equal where candidates compute the same. Keep the object where the candidates stay the same from one
    proposal to the next: what is worked out from them once is kept with it.
    """

    rows: np.ndarray
    known: np.ndarray
    functions: Sequence[str]

    @cached_property
    def distinct(self) -> tuple[np.ndarray, np.ndarray]:
        """The distinct rows, and for every candidate which of them is its own."""
        rows, places = np.unique(self.rows, axis=0, return_inverse=True)
        return rows, places.ravel()

    @cached_property
    def sharing(self) -> dict[str, list[int]]:
        """The candidates of every function."""
        found: dict[str, list[int]] = {}
        for index, function in enumerate(self.functions):
            found.setdefault(function, []).append(index)
        return found


@dataclass(frozen=True)
class Observations:
    """What has been measured so far, one entry per candidate, in the order in which they were proposed.

    rows, functions: as of `Candidates`. values: (k, m), all objectives; means over the measurements. repeats: (k,) their number.
    """

    rows: np.ndarray
    values: np.ndarray
    functions: Sequence[str]
    repeats: np.ndarray

    def __len__(self) -> int:
        return len(self.values)


@dataclass
class Proposer:
    """Proposes one candidate after another; what it remembers, the observations would give it again.

    columns: of the features of everything it is given. Either the same from first to last, made from all candidates there are; or
    made anew for each proposal, from the observations first.
    """

    objectives: Objectives
    columns: Columns
    _fitted: dict[tuple[int, bytes, bytes], tuple[Mapping[str, float], Hyperparameters]] = field(default_factory=dict)

    def propose(
        self, observed: Observations, pending: Candidates, candidates: Candidates, taken: np.ndarray, seed: int
    ) -> int | None:
        """The index of the next candidate; None where all are taken.

        pending: proposed but not yet measured; they are believed to turn out as predicted. taken: (n,) bool, the candidates that
        must not be proposed, such as those observed or pending. seed: of this proposal; it settles ties and the start.
        """
        (free,) = np.nonzero(~taken)
        if not len(free):
            return None
        rng = np.random.default_rng(seed)
        stage = len(observed) + len(pending.known)
        anchors = np.flatnonzero(self.objectives.known)
        if stage < len(anchors):
            costs = candidates.known[free, anchors[stage]]
            return int(rng.choice(free[costs == costs.min()]))
        if stage < len(anchors) + SPREAD or len(observed) < 2:
            return int(rng.choice(self._part(candidates.known, free, stage, rng)))
        gain = self.gains(observed, pending, candidates)[free]
        return int(rng.choice(free[gain >= (1.0 - 1e-9) * gain.max()]))

    def gains(self, observed: Observations, pending: Candidates, candidates: Candidates) -> np.ndarray:
        """(n,): the hypervolume that each candidate is expected to add."""
        known = self.objectives.known
        predictions: list[Prediction] = list(candidates.known.T)
        believed = pending.known.copy()
        for column in np.flatnonzero(~known).tolist():
            predictions[column], believed[:, column] = self.predict(column, observed, pending, candidates)
        values = np.concatenate([observed.values, believed])
        gain = expected_improvement(values, self.objectives.ideal, self.objectives.reference, predictions)
        if self.objectives.of_function:
            for function, costs in zip([*observed.functions, *pending.functions], values[:, known], strict=True):
                siblings = candidates.sharing.get(function, [])
                dearer = (candidates.known[siblings][:, known] >= costs).all(axis=1)
                gain[np.array(siblings, dtype=int)[dearer]] = 0.0
        return gain

    def predict(
        self, column: int, observed: Observations, pending: Candidates, candidates: Candidates
    ) -> tuple[LogNormal, np.ndarray]:
        """Of one objective: what is believed of the candidates, and the medians of the pending ones."""
        chosen = informative(observed.values)
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
        """As fitted at the last mark, to the observations up to there, and for the groups seen since as expected."""
        count, groups = last_mark(len(observed)), self.columns.groups
        values, repeats = observed.values[:count], observed.repeats[:count]
        key = (column, values.tobytes(), repeats.tobytes())
        if key not in self._fitted:
            chosen = informative(values)
            warped = Warp.of(values[:, column])(values[chosen, column])
            rows = self.columns.padded(observed.rows)[chosen]
            hyper = fit(rows, self.columns.group_of, len(groups), warped, repeats[chosen])
            self._fitted[key] = dict(zip(groups, hyper.lengths, strict=True)), hyper
        lengths, hyper = self._fitted[key]
        return replace(hyper, lengths=np.array([lengths.get(group, hyper.expected) for group in groups]))

    def _part(self, costs: np.ndarray, free: np.ndarray, stage: int, rng: np.random.Generator) -> np.ndarray:
        """One of the equal parts of the free candidates by the first known objective; all of them where nothing is known."""
        (known,) = np.nonzero(self.objectives.known)
        if not len(known):
            return free
        order = np.lexsort([rng.random(len(free)), costs[free, known[0]]])
        parts = [part for part in np.array_split(free[order], SPREAD) if len(part)]
        return parts[stage % len(parts)]


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


def informative(values: np.ndarray) -> np.ndarray:
    """Rising indices of the observations that the model rests on: all, or the front, the latest and others spread evenly."""
    if len(values) <= MOST:
        return np.arange(len(values))
    chosen = non_dominated(values)
    (others,) = np.nonzero(~chosen)
    room = max(0, MOST - int(chosen.sum()))
    older, latest = np.split(others, [len(others) - room // 2])
    chosen[latest] = True
    chosen[older[np.linspace(0, len(older) - 1, room - room // 2).astype(int)]] = True
    return np.flatnonzero(chosen)[-MOST:]
