"""What chooses the next trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from moonas.outer.plan import Design
from moonas.registry import load_object
from moonas.seeds import canonical_json
from moonas.study.samplers import SAMPLERS


@dataclass(frozen=True)
class Proposal:
    """One trial to run. attributes: what the sampler must find again after a resume, stored with the trial."""

    design: Design
    replicate: int
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Told:
    """One trial as a sampler sees it: its parameters and, once complete, its objectives, minimised."""

    params: Mapping[str, Any]
    replicate: int
    state: str
    values: Sequence[float] | None
    attributes: Mapping[str, Any]


class History:
    """The study's trials so far, in the order of their numbers."""

    def __init__(self) -> None:
        self.trials: list[Told] = []
        self._asked: set[tuple[str, int]] = set()

    def add(self, trial: Told) -> None:
        self.trials.append(trial)
        self._asked.add((canonical_json(dict(trial.params)), trial.replicate))

    def tell(self, number: int, trial: Told) -> None:
        """Replace trial `number` by what is known of it now."""
        self.trials[number] = trial

    def has(self, design: Design, replicate: int) -> bool:
        return (canonical_json(design.to_params()), replicate) in self._asked


class Sampler(Protocol):
    """Chooses trials one at a time, from the plan, the history and the study's seed alone.

    It keeps nothing between asks that the history does not give it again, so a study resumed from its database asks the same
    trials as one that ran through.
    """

    total: int
    """How many trials there will be."""

    def ask(self, history: History) -> Proposal | None:
        """The next trial, or None where there is none."""


def make_sampler(plan: Any) -> Sampler:
    """The sampler that the plan's study names."""
    return load_object(SAMPLERS[plan.config.sampler.name].load)(plan)
