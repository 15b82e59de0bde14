"""The next candidate: a start spread over the known costs, then the largest expected hypervolume improvement.

A function of what it is given and of the seed alone: hyperparameters are those that the first so many observations give, at fixed
marks, so that a study resumed from its history proposes what it would have proposed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from moonas.front.dominance import non_dominated
from moonas.outer.surrogate.features import Columns
from moonas.outer.surrogate.fitting import fit
from moonas.outer.surrogate.gaussian_process import Hyperparameters, Outlook, Process
from moonas.outer.surrogate.improvement import Limited, LogNormal, Prediction, at, expected_improvement, most_improving

SPREAD = 12  # candidates of the start, besides the cheapest by every known objective
ROOM = 0.3  # how far beyond the best value the model sees room, in units of its distance to the median
MOST = 300  # observations that the model rests on, and those since the last mark


@dataclass(frozen=True)
class Objectives:
    """What is minimised.

    known: (m,) bool, which objectives are known of every candidate. ideal, reference: (m,) corners of the hypervolume's box.
    of_function: whether the learned ones depend on the function that a candidate computes alone, as an accuracy does and a
    measured latency does not. Then a candidate of the same function as another, and at no lower known cost, is worth nothing.
    limits: {column of the observed values: (lower, upper)}, what a value must keep to, so that anything is gained; columns from m
    on are of what is limited but no objective. Only of what is learned: candidates keep to limits on what is known.
    """

    known: np.ndarray
    ideal: np.ndarray
    reference: np.ndarray
    of_function: bool = True
    limits: Mapping[int, tuple[float, float]] = field(default_factory=dict)

    @property
    def learned(self) -> list[int]:
        """The columns that are modelled."""
        further = [column for column in self.limits if column >= len(self.known)]
        return [*np.flatnonzero(~self.known).tolist(), *further]

    def within(self, values: np.ndarray) -> np.ndarray:
        """(k,) bool: which values keep to the limits."""
        kept = np.ones(len(values), dtype=bool)
        for column, (lower, upper) in self.limits.items():
            kept &= (values[:, column] >= lower) & (values[:, column] <= upper)
        return kept


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

    def no_better(self, functions: Sequence[str], costs: np.ndarray, known: np.ndarray) -> np.ndarray:
        """(n,) bool: those of the same function as one of `functions`, and at no lower costs in any of the known objectives.

        costs: (k, known objectives) of each of the functions. known: (m,) bool.
        """
        numbers, order, starts = self._sharing
        found = [(place, numbers[function]) for place, function in enumerate(functions) if function in numbers]
        places, asked = np.array(found, dtype=int).reshape(-1, 2).T
        counts = starts[asked + 1] - starts[asked]
        ends = np.cumsum(counts)
        siblings = order[np.arange(counts.sum()) + np.repeat(starts[asked] - ends + counts, counts)]
        dearer = (self.known[siblings][:, known] >= np.repeat(costs[places], counts, axis=0)).all(axis=1)
        marked = np.zeros(len(self.known), dtype=bool)
        marked[siblings[dearer]] = True
        return marked

    @cached_property
    def _sharing(self) -> tuple[dict[str, int], np.ndarray, np.ndarray]:
        """Numbers of the functions; the candidates in the order of these; where in that order each function begins."""
        numbers: dict[str, int] = {}
        own = np.array([numbers.setdefault(function, len(numbers)) for function in self.functions], dtype=int)
        return numbers, np.argsort(own, kind="stable"), np.cumsum([0, *np.bincount(own, minlength=len(numbers))])


@dataclass(frozen=True)
class Observations:
    """What has been measured so far, one entry per candidate, in the order in which they were proposed.

    values: (k, m), all objectives, and behind them what is limited besides; means over the measurements. functions: as of
    `Candidates`. repeats: (k,) how many measurements.
    rows: features, as of `Candidates`, of those that the model rests on, `basis(values)`: of all, unless there are many.
    """

    rows: np.ndarray
    values: np.ndarray
    functions: Sequence[str]
    repeats: np.ndarray

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True)
class _Kept:
    """What is kept of one objective from one proposal to the next. mark: what hyperparameters and columns followed from."""

    mark: tuple[int, bytes, bytes]
    candidates: Candidates
    rows: np.ndarray
    repeats: np.ndarray
    outlook: Outlook


@dataclass
class Proposer:
    """Proposes one candidate after another; what it remembers, the observations would give it again.

    columns: of the features of everything it is given. Either the same from first to last, made from all candidates there are; or
    made anew for each proposal, from the observations first.
    """

    objectives: Objectives
    columns: Columns
    _fitted: dict[tuple[int, bytes, bytes], tuple[Mapping[str, float], Hyperparameters]] = field(default_factory=dict)
    _kept: dict[int, _Kept] = field(default_factory=dict)

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
        values, predictions, chances, worthless = self._believed(observed, pending, candidates)
        (asked,) = np.nonzero(~(taken | worthless))
        box = self.objectives.ideal, self.objectives.reference
        places, gain = most_improving(values, *box, [at(one, asked) for one in predictions], chances[asked])
        if not len(gain) or not gain.max() > 0.0:
            return int(rng.choice(free))
        return int(rng.choice(asked[places[gain >= (1.0 - 1e-9) * gain.max()]]))

    def gains(self, observed: Observations, pending: Candidates, candidates: Candidates) -> np.ndarray:
        """(n,): the hypervolume that each candidate is expected to add."""
        values, predictions, chances, worthless = self._believed(observed, pending, candidates)
        gain = expected_improvement(values, self.objectives.ideal, self.objectives.reference, predictions)
        return np.where(worthless, 0.0, gain * chances)

    def _believed(
        self, observed: Observations, pending: Candidates, candidates: Candidates
    ) -> tuple[np.ndarray, list[Prediction], np.ndarray, np.ndarray]:
        """What keeps to the limits of all that was measured or is believed of what is pending, (k, m); of all candidates what is
        predicted, the chances (n,) that they keep to what is limited and no objective, and which (n,) can add nothing.
        """
        known, limits = self.objectives.known, self.objectives.limits
        count = len(known)
        predictions: list[Prediction] = list(candidates.known.T)
        chances = np.ones(len(candidates.known))
        believed = np.pad(pending.known, ((0, 0), (0, observed.values.shape[1] - count)))
        for column in self.objectives.learned:
            found, believed[:, column] = self.predict(column, observed, pending, candidates)
            lower, upper = limits.get(column, (-np.inf, np.inf))
            if column >= count:
                chances *= found.chance(upper) - found.chance(lower)
            else:
                predictions[column] = Limited(found, lower, upper) if column in limits else found
        values = np.concatenate([observed.values, believed])
        worthless = np.zeros(len(candidates.known), dtype=bool)
        if self.objectives.of_function:
            costs = values[:, :count][:, known]
            worthless = candidates.no_better([*observed.functions, *pending.functions], costs, known)
        return values[self.objectives.within(values), :count], predictions, chances, worthless

    def predict(
        self, column: int, observed: Observations, pending: Candidates, candidates: Candidates
    ) -> tuple[LogNormal, np.ndarray]:
        """Of one objective: what is believed of the candidates, and the medians of the pending ones."""
        warp = Warp.of(observed.values[:, column])
        values = warp(observed.values[basis(observed.values), column])
        outlook = self._outlook(column, observed, candidates)
        rows = self.columns.padded(pending.rows)
        believed, _ = Outlook(outlook.process, rows).predict(values)
        if len(rows):
            outlook = copy(outlook)
            for row in rows:
                outlook.follow(row, 1.0)
        mean, deviation = outlook.predict(np.concatenate([values, believed]))
        _, places = candidates.distinct
        return warp.prediction(mean[places], deviation[places]), warp.inverse(believed)

    def _outlook(self, column: int, observed: Observations, candidates: Candidates) -> Outlook:
        """On the distinct candidates: made at the last mark, and led on from observation to observation."""
        rows, repeats = self.columns.padded(observed.rows), observed.repeats[basis(observed.values)]
        mark = self._mark(column, observed)
        kept = self._kept.get(column)
        if kept is None or kept.mark != mark or kept.candidates is not candidates or not _begins(rows, repeats, kept):
            count = len(informative(observed.values[: last_mark(len(observed))]))
            hyper = self._hyperparameters(mark, observed)
            process = Process(rows[:count], self.columns.group_of, repeats[:count], hyper)
            outlook = Outlook(process, self.columns.padded(candidates.distinct[0]))
        else:
            outlook = kept.outlook
        for place in range(len(outlook.process), len(rows)):
            outlook.follow(rows[place], repeats[place])
        self._kept[column] = _Kept(mark, candidates, rows, repeats, outlook)
        return outlook

    def _mark(self, column: int, observed: Observations) -> tuple[int, bytes, bytes]:
        """What tells one mark of an objective from another."""
        count = last_mark(len(observed))
        return column, observed.values[:count].tobytes(), observed.repeats[:count].tobytes()

    def _hyperparameters(self, mark: tuple[int, bytes, bytes], observed: Observations) -> Hyperparameters:
        """As fitted at the last mark, to the observations up to there, and for the groups seen since as expected."""
        column, groups = mark[0], self.columns.groups
        if mark not in self._fitted:
            values = observed.values[: last_mark(len(observed))]
            chosen = informative(values)
            warped = Warp.of(values[:, column])(values[chosen, column])
            rows = self.columns.padded(observed.rows)[: len(chosen)]
            hyper = fit(rows, self.columns.group_of, len(groups), warped, observed.repeats[chosen])
            self._fitted[mark] = dict(zip(groups, hyper.lengths, strict=True)), hyper
        lengths, hyper = self._fitted[mark]
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

    Below 100 that is every fifth, from 1,000 on every fiftieth.
    """
    mark = min(count, SPREAD)
    while (following := mark + min(50, max(5, mark // 20))) <= count:
        mark = following
    return mark


def basis(values: np.ndarray) -> np.ndarray:
    """Rising indices of the observations that the model rests on: the informative ones at the last mark, and all since."""
    mark = last_mark(len(values))
    return np.concatenate([informative(values[:mark]), np.arange(mark, len(values))])


def informative(values: np.ndarray) -> np.ndarray:
    """Rising indices of some observations: all, or the front, the latest and others spread evenly."""
    if len(values) <= MOST:
        return np.arange(len(values))
    chosen = non_dominated(values)
    (others,) = np.nonzero(~chosen)
    room = max(0, MOST - int(chosen.sum()))
    older, latest = np.split(others, [len(others) - room // 2])
    chosen[latest] = True
    chosen[older[np.linspace(0, len(older) - 1, room - room // 2).astype(int)]] = True
    return np.flatnonzero(chosen)[-MOST:]


def _begins(rows: np.ndarray, repeats: np.ndarray, kept: _Kept) -> bool:
    """Whether the observations begin with those kept."""
    count = len(kept.rows)
    return np.array_equal(rows[:count], kept.rows) and np.array_equal(repeats[:count], kept.repeats)
