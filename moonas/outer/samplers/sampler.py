"""What chooses the next trial."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import Any, Protocol

from moonas.errors import UsageError
from moonas.outer.plan import Design, Plan
from moonas.registry import load_object
from moonas.seeds import canonical_json
from moonas.study.samplers import SAMPLERS

ENQUEUED = "enqueued"  # the attribute of a trial that the user chose; the sampler learns from it all the same


@dataclass(frozen=True)
class Proposal:
    """One trial to run. attributes: what the sampler must find again after a resume, stored with the trial."""

    design: Design
    replicate: int
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Told:
    """One trial as a sampler sees it: its parameters and, once complete, its objectives, minimised.

    violation: how far the study's constraints are missed, once that is known. limited: of a complete trial the metric of each
    constraint, in their order.
    """

    params: Mapping[str, Any]
    replicate: int
    state: str
    values: Sequence[float] | None
    attributes: Mapping[str, Any]
    violation: float | None = None
    limited: Sequence[float] | None = None


@dataclass(frozen=True)
class Draw:
    """One design and all trials of it that its sampler asked for in a row: its replicates; or one trial that the user chose.

    state: RUNNING until every one is finished, then COMPLETE where any is, else the state of the last. values: mean over those that
    are complete, and so is limited. violation: their worst. attributes: of the first. imported: whether it comes from elsewhere, so
    that no trial of this study belongs to it.
    """

    design: Design
    state: str
    values: tuple[float, ...] | None
    violation: float | None
    attributes: Mapping[str, Any]
    imported: bool = False
    limited: tuple[float, ...] | None = None

    @classmethod
    def of(cls, trials: Sequence[Told]) -> Draw:
        complete = [trial.values for trial in trials if trial.state == "COMPLETE" and trial.values is not None]
        limited = [trial.limited for trial in trials if trial.state == "COMPLETE" and trial.limited is not None]
        running = any(trial.state in ("WAITING", "RUNNING") for trial in trials)
        violations = [trial.violation for trial in trials if trial.violation is not None]
        return cls(
            design=Design.from_params(trials[0].params),
            state="RUNNING" if running else "COMPLETE" if complete else trials[-1].state,
            values=_means(complete),
            violation=max(violations, default=None),
            attributes=trials[0].attributes,
            limited=_means(limited),
        )


def _identity(trial: Told) -> tuple[str, int]:
    """What tells a trial from all others of its study, as `Design.key` and the replicate do."""
    return canonical_json(dict(trial.params)), trial.replicate


def _kept_once(value: Any) -> Any:
    """Many trials share their texts, which would take most of the memory of a long study."""
    return sys.intern(value) if isinstance(value, str) else value


def _means(values: Sequence[Sequence[float]]) -> tuple[float, ...] | None:
    """Of every column; None where there are no rows."""
    return tuple(sum(column) / len(values) for column in zip(*values, strict=True)) if values else None


class History:
    """The study's trials so far, in the order of their numbers, and the draws they make up, after those learned from elsewhere.

    changes: numbers of draws, one entry for each time that something became known of one; whoever follows a study reads on from
    where it stopped.
    """

    def __init__(self) -> None:
        self.trials: list[Told] = []
        self.changes: list[int] = []
        self._asked: dict[tuple[str, int], int] = {}  # what `number_of` looks up, of the first `_looked_at` trials
        self._looked_at = 0
        self._failed: set[tuple[str, int]] = set()
        self._members: list[list[int]] = []  # of each draw, the numbers of its trials
        self._draw_of: list[int] = []
        self._draws: dict[int, Draw] = {}
        self.last_asked: int | None = None  # the number of the last trial that the sampler chose itself

    def learn(self, draw: Draw) -> None:
        """Take in a draw of elsewhere, which counts as a draw and not as a trial; before the first trial only."""
        assert not self.trials, "draws of elsewhere come first"
        self._draws[self.drawn] = draw
        self._members.append([])
        self.changes.append(self.drawn - 1)

    def add(self, trial: Told) -> None:
        trial = replace(trial, params={sys.intern(name): _kept_once(value) for name, value in trial.params.items()})
        number, draw = len(self.trials), self.drawn
        if not trial.attributes.get(ENQUEUED):
            last = self.last_asked
            if trial.replicate > 0 and last is not None and self.trials[last].params == trial.params:
                draw = self._draw_of[last]
            self.last_asked = number
        if draw == self.drawn:
            self._members.append([])
        self._members[draw].append(number)
        self._draw_of.append(draw)
        self.trials.append(trial)
        self._changed(draw)
        self._note_failure(trial)

    def tell(self, number: int, trial: Told) -> None:
        """Replace trial `number` by what is known of it now."""
        self.trials[number] = trial
        self._changed(self._draw_of[number])
        self._note_failure(trial)

    def has(self, design: Design, replicate: int) -> bool:
        """Whether a trial of the study is just this."""
        return self.number_of(design, replicate) is not None

    def number_of(self, design: Design, replicate: int) -> int | None:
        """The first trial of a design and replicate."""
        for number in range(self._looked_at, len(self.trials)):
            self._asked.setdefault(_identity(self.trials[number]), number)
        self._looked_at = len(self.trials)
        return self._asked.get((design.key, replicate))

    def failed(self, design: Design, replicate: int) -> bool:
        """Whether a trial of just this has failed."""
        return (design.key, replicate) in self._failed

    @property
    def drawn(self) -> int:
        """How many draws there are."""
        return len(self._members)

    def draw(self, number: int) -> Draw:
        if number not in self._draws:
            self._draws[number] = Draw.of([self.trials[trial] for trial in self._members[number]])
        return self._draws[number]

    def _note_failure(self, trial: Told) -> None:
        if trial.state == "FAIL":
            self._failed.add(_identity(trial))
        elif self._failed:  # it may have been tried again
            self._failed.discard(_identity(trial))

    def _changed(self, draw: int) -> None:
        self._draws.pop(draw, None)
        self.changes.append(draw)


class Sampler(Protocol):
    """Chooses trials one at a time, from the plan, the history and the study's seed alone.

    It keeps nothing between asks that the history does not give it again, so a study resumed from its database asks the same
    trials as one that ran through.
    """

    total: int
    """How many trials there will be."""

    def ask(self, history: History) -> Proposal | None:
        """The next trial, or None where there is none, or none before something that runs is finished."""


class Proposer(Protocol):
    """Chooses designs from the draws so far; `Replicated` makes a sampler of it."""

    def propose(self, history: History, index: int) -> tuple[Design, Mapping[str, Any]] | None:
        """Draw number `index` with its attributes, from the draws before it alone; None where it has to wait for some of them."""


class Replicated:
    """Gives each design of a proposer to `replicates` trials in a row; `trials` counts them all."""

    def __init__(self, plan: Plan, proposer: Proposer) -> None:
        self.proposer, self.replicates, self.total = proposer, plan.config.replicates, plan.config.trials or 0

    def ask(self, history: History) -> Proposal | None:
        """The next replicate of the last draw, or a new draw; None once there are `total` trials, and where a draw has to wait."""
        if len(history.trials) >= self.total:
            return None
        last = None if history.last_asked is None else history.trials[history.last_asked]
        if last and last.replicate + 1 < self.replicates:
            return Proposal(Design.from_params(last.params), last.replicate + 1)
        proposed = self.proposer.propose(history, history.drawn)
        return Proposal(proposed[0], 0, proposed[1]) if proposed else None


def make_sampler(plan: Plan) -> Sampler:
    """The sampler that the plan's study names; unless it is one that asks each thing once, see `NotAgain`.

    Raises UsageError where it is not installed.
    """
    from moonas.outer.samplers.not_again import NotAgain

    check_installed(plan)
    entry = SAMPLERS[plan.config.sampler.name]
    made = load_object(entry.load)(plan)
    sampler = made if hasattr(made, "ask") else Replicated(plan, made)
    return sampler if entry.finite else NotAgain(plan, sampler)


def check_installed(plan: Plan) -> None:
    """Raise UsageError where nothing can be asked for: the sampler needs a package, or a function was only called elsewhere."""
    for method in plan.config.methods:
        if method.returns:
            raise UsageError(
                f"the trials of {plan.config.name!r} were made elsewhere, and moonas does not have what made them. "
                f"To go on, publish it in a package as function.{method.function}, with the parameters {', '.join(method.open)} "
                f"and the metrics {', '.join(method.returns)}, and run a new study of it with "
                f"`history: [{{study: {plan.config.name}}}]`"
            )
    name = plan.config.sampler.name
    package = SAMPLERS[name].needs
    if package and find_spec(package) is None:
        raise UsageError(f"sampler {name!r} needs the package {package}, which is not installed: pip install 'moonas[{package}]'")
