"""Promotion: which trials go on to a longer training, by multi-objective asynchronous successive halving.

Source: Schmucker, Donini, Zafar, Salinas and Archambeau 2021, arXiv:2106.12639, after Li et al. 2020, arXiv:1810.05934: rungs of
growing length, from which the best share, by non-dominated rank, goes on as soon as there is a slot for it. Our own choices: how
ties within a rank are broken (`front.selection`), what becomes of constraints, that equal networks count once, and how it ends.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from moonas.front.selection import best
from moonas.outer.archive import Archive
from moonas.outer.identity import measurement_of
from moonas.outer.plan import Design, Plan
from moonas.outer.work import OpenTrial
from moonas.store.records import CandidateRecord, DecodedRecord, EvaluationKey, TrialRecord
from moonas.store.states import TrialState
from moonas.study.bounds import total_violation
from moonas.study.metrics import METRICS, is_measured
from moonas.study.objectives import minimised

ORDERS, MOST = 20, 500  # random orders, and networks in each, from which the number of trainings is foretold


@dataclass
class Finisher:
    """A network that has finished a rung.

    trials: numbers of those that found it. metrics: what is known of it there. values: its objectives, minimised. violation: of
    those constraints that do not hang on the length of training. went_on: whether it was promoted. held: trials that wait for that.
    """

    trials: set[int]
    metrics: Mapping[str, float]
    values: Sequence[float]
    violation: float
    went_on: bool = False
    held: list[OpenTrial] = field(default_factory=list)

    @property
    def number(self) -> int:
        return min(self.trials)


@dataclass(frozen=True)
class Held:
    """A trial that will not go on. metrics, violation: as of `Finisher`."""

    trial: OpenTrial
    metrics: Mapping[str, float]
    violation: float
    reason: str


@dataclass(frozen=True)
class Decision:
    """Trials that go on to the next rung, or end where they are; none of either where there is nothing to decide."""

    go_on: Sequence[OpenTrial] = ()
    end: Sequence[Held] = ()

    def __bool__(self) -> bool:
        return bool(self.go_on or self.end)


class Rungs:
    """The rungs of a study, the shortest training first, and the networks that have finished each.

    Without promotion there are none. What it holds follows from the evaluations and the promotions that are stored, in whatever
    order they come in. archive: of the study; it has the box that ties are broken in.
    """

    def __init__(self, plan: Plan, archive: Archive) -> None:
        promotion = plan.config.promotion
        self.plan, self.epochs, self.factor = plan, plan.rungs, promotion.factor if promotion else 1
        self.objectives, self.box = archive.objectives, (np.array(archive.reference), np.array(archive.ideal))
        self.constraints = [bound for bound in plan.config.constraints if _needs_no_training(bound.metric)]
        self.finishers: list[dict[EvaluationKey, Finisher]] = [{} for _ in self.epochs]

    @property
    def top(self) -> int:
        """The number of the rung that is the protocol itself."""
        return len(self.epochs)

    @property
    def held(self) -> int:
        """How many trials wait for a decision."""
        return sum(len(finisher.held) for rung in self.finishers for finisher in rung.values())

    def work(self, trials: int, complete: int) -> tuple[int, int]:
        """Epochs of training that are done, and about how many there will be for so many trials. complete: how many are."""
        epochs = [*self.epochs, self.plan.config.protocol.settings.epochs]
        done = np.dot([*map(len, self.finishers), complete], epochs)
        return int(done), max(int(done), int(np.dot(trainings(trials, self.factor, self.top), epochs)))

    def enter(self, rung: int, key: EvaluationKey, number: int, metrics: Mapping[str, float]) -> Finisher:
        """Take in what trial `number` has reached at a rung; another trial of the same evaluation joins it."""
        if key not in self.finishers[rung]:
            violation = total_violation(self.constraints, metrics)
            self.finishers[rung][key] = Finisher({number}, metrics, minimised(self.objectives, metrics), violation)
        self.finishers[rung][key].trials.add(number)
        return self.finishers[rung][key]

    def restore(
        self,
        trial: TrialRecord,
        design: Design,
        candidate: CandidateRecord | DecodedRecord,
        reached: int,
        known: Mapping[EvaluationKey, Mapping[str, float]],
        costs: Mapping[str, float],
    ) -> None:
        """Take in again what a stored trial has finished below the protocol.

        design: of its parameters. candidate, costs: its primary one, with all that is known without training. reached: the rung
        that it was promoted to.
        A complete trial that was not promoted to the top had never stood at `reached`: its accuracy was known already.
        """
        finished = 0 if trial.state is TrialState.FAIL else reached + (trial.state is not TrialState.COMPLETE)
        for rung in range(min(finished, self.top)):
            key = measurement_of(self.plan, candidate, trial, design, rung)
            if key in known:
                self.enter(rung, key, trial.number, {**known[key], **costs}).went_on |= rung < reached

    def has(self, rung: int, key: EvaluationKey, number: int) -> bool:
        """Whether trial `number` is known to have finished a rung."""
        return key in self.finishers[rung] and number in self.finishers[rung][key].trials

    def leave(self, number: int) -> None:
        """Forget a trial that failed, or was cancelled: what is not trained for longer takes no place at a rung."""
        for rung in self.finishers:
            for key in [key for key, finisher in rung.items() if number in finisher.trials]:
                rung[key].trials.remove(number)
                rung[key].held = [trial for trial in rung[key].held if trial.number != number]
                if not rung[key].trials:
                    del rung[key]

    def decide(self, trials: Iterable[OpenTrial], closing: bool) -> Decision:
        """What comes next for held trials, one network at a time, the highest rung first.

        closing: nothing is asked before something is decided. Then no further network comes to the rungs below the lowest one at
        which any of the open `trials` still trains: they let go on what belongs to their best share, at least one network, the
        lowest rung first, and the rest of them is over.
        """
        if not closing:
            chosen = (self._next(rung, len(self.finishers[rung]) // self.factor) for rung in reversed(range(self.top)))
            return next(filter(None, chosen), Decision())
        closed = min((trial.rung for trial in trials if trial.waits), default=self.top)
        for rung in range(closed):
            share = max(1, len(self.finishers[rung]) // self.factor)
            if decided := self._next(rung, share) or self._over(rung):
                return decided
        return Decision()

    def ranked(self, rung: int, count: int | None = None) -> list[Finisher]:
        """The best networks of a rung, so many or all, the best first; those that miss a constraint come last."""
        finishers = sorted(self.finishers[rung].values(), key=lambda finisher: finisher.number)
        count = len(finishers) if count is None else count
        feasible = [finisher for finisher in finishers if not finisher.violation]
        values = np.array([finisher.values for finisher in feasible], dtype=float).reshape(-1, len(self.objectives))
        ordered = [feasible[place] for place in best(values, count, *self.box)]
        missing = sorted((f for f in finishers if f.violation), key=lambda finisher: (finisher.violation, finisher.number))
        return (ordered + missing)[:count]

    def _next(self, rung: int, share: int) -> Decision:
        """The first of the best `share` networks of a rung that is held there goes on."""
        for finisher in self.ranked(rung, share):
            if finisher.held:
                finisher.went_on, going = True, finisher.held
                finisher.held = []
                return Decision(go_on=going)
        return Decision()

    def _over(self, rung: int) -> Decision:
        """Nothing goes on from a rung any more."""
        ended = []
        for place, finisher in enumerate(self.ranked(rung) if any(f.held for f in self.finishers[rung].values()) else (), start=1):
            reason = f"held at {epochs_text(self.epochs[rung])}: place {place} of {len(self.finishers[rung])}"
            ended += [Held(trial, finisher.metrics, finisher.violation, reason) for trial in finisher.held]
            finisher.held = []
        return Decision(end=ended)


@lru_cache
def trainings(trials: int, factor: int, rungs: int) -> tuple[int, ...]:
    """About how many networks train at each of so many rungs and then by the protocol, the first rung first.

    The mean over random orders of networks that every rung ranks alike; of more than `MOST` networks the shares are as of so many.
    """
    few, rng = max(1, min(trials, MOST)), np.random.default_rng(0)
    counts = np.mean([_climbed(rng.permutation(few).tolist(), factor, rungs) for _ in range(ORDERS)], axis=0)
    return tuple(round(trials / few * count) for count in counts)


def _climbed(places: Sequence[int], factor: int, rungs: int) -> list[int]:
    """How many networks come to each rung and to the protocol, where one slot trains them. places: among all, as they come."""
    came: list[list[int]] = [[] for _ in range(rungs + 1)]  # the best first
    went: list[set[int]] = [set() for _ in range(rungs)]

    def goes_on(rung: int, least: int) -> bool:
        best = came[rung][: max(least, len(came[rung]) // factor)]
        going = next((place for place in best if place not in went[rung]), None)
        if going is not None:
            went[rung].add(going)
            insort(came[rung + 1], going)
        return going is not None

    for place in places:
        insort(came[0], place)
        while any(goes_on(rung, 0) for rung in reversed(range(rungs))):
            pass
    while any(goes_on(rung, 1) for rung in range(rungs)):
        pass
    return [len(reached) for reached in came]


def epochs_text(epochs: int) -> str:
    """A number of epochs as people read it."""
    return f"{epochs} epoch{'' if epochs == 1 else 's'}"


def _needs_no_training(metric: str) -> bool:
    """Whether a metric says the same of a network, however long it trains."""
    return METRICS[metric].known or is_measured(metric)
