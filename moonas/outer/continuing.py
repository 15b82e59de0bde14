"""Searches that start from the architecture parameters of a finished one: the variants of a study that say `continue_from`.

The source is chosen when a trial is asked for, among what is finished by then, and stored with the trial; a resumed study reads it
there. How near two searches are is our own choice: by their budgets, then by the final skeletons, then by open settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import dist, log
from typing import Any

from moonas.outer.plan import Design, Plan
from moonas.outer.surrogate.features import parameter_features
from moonas.outer.work import OpenTask
from moonas.specs import SearchSpec, Settings
from moonas.store.states import TaskState

ATTRIBUTE = "continue_from"  # of a trial: the key of the search that its own starts from
DIGITS = 12  # of a distance; what differs less is equally near


@dataclass(frozen=True)
class Asked:
    """A search that some trial has asked for. source: the key of the one it starts from, None where it starts from scratch."""

    design: Design
    replicate: int
    source: str | None
    key: str


def start_of(attributes: Mapping[str, Any]) -> Settings | None:
    """What the search of a trial starts from, by the attributes stored with it, as far as that is part of its identity."""
    return {"search": attributes[ATTRIBUTE]} if ATTRIBUTE in attributes else None


class Continuing:
    """The searches of a study that may be continued.

    tasks: the study's, by kind and key, as its loop knows them.
    """

    def __init__(self, plan: Plan, tasks: Mapping[tuple[str, str], OpenTask]) -> None:
        self.plan, self.tasks = plan, tasks
        self._asked: dict[str, Asked] = {}  # by the key that the search would have from scratch

    def add(self, params: Mapping[str, Any], replicate: int, attributes: Mapping[str, Any]) -> None:
        """Take in a trial, in the order of their numbers. attributes: as stored with it."""
        if self.plan.config.method(params["method"]).continue_from is None:
            return
        design, start = Design.from_params(params), start_of(attributes)
        key = self.plan.search_spec(design, replicate, start).key
        question = self.plan.search_spec(design, replicate).key if start else key
        self._asked.setdefault(question, Asked(design, replicate, attributes.get(ATTRIBUTE), key))

    def choose(self, design: Design, replicate: int) -> dict[str, str]:
        """What is to be stored with a trial that is being asked: where its search starts, nothing where that is from scratch.

        A trial that asks for a search of the study again shares that one, whatever it started from. Searches that failed or
        collapsed are no sources.
        """
        if self.plan.config.method(design.method).continue_from is None:
            return {}
        same = self._asked.get(self.plan.search_spec(design, replicate).key)
        if same is not None:
            return {ATTRIBUTE: same.source} if same.source else {}
        sources = [
            asked
            for asked in self._asked.values()
            if asked.design.method == design.method and asked.replicate == replicate and self._left(asked) is not None
        ]
        if not sources:
            return {}
        return {ATTRIBUTE: min(sources, key=lambda asked: self.distance(design, asked.design)).key}

    def spec(self, design: Design, replicate: int, attributes: Mapping[str, Any]) -> SearchSpec:
        """The search of a trial, with the architecture parameters that it starts from. attributes: as stored with it."""
        start = start_of(attributes)
        if start is None:
            return self.plan.search_spec(design, replicate)
        result = self.tasks["search", start["search"]].result
        assert result is not None, "a source is finished when it is chosen"
        left = result[self.plan.config.method(design.method).entry.leaves]
        return self.plan.search_spec(design, replicate, {**start, "parameters": left})

    def distance(self, one: Design, other: Design) -> tuple[float, float, float]:
        """Between the budgets, the final skeletons and the open settings of two trials of a variant; the first one decides.

        Euclidean in the logarithms of bounds, and of width and depth. A cost without a bound counts as bounded by what the study
        can reach. A setting counts by its place in its range, see `parameter_features`.
        """
        ranges = self.plan.config.method(one.method).open
        places = [_flat(parameter_features(design.settings, ranges)) for design in (one, other)]
        names = places[0].keys() | places[1].keys()
        return (
            round(dist(self._budget(one), self._budget(other)), DIGITS),
            round(dist((log(one.channels), log(one.cells)), (log(other.channels), log(other.cells))), DIGITS),
            round(dist(*([place.get(name, 0.0) for name in sorted(names)] for place in places)), DIGITS),
        )

    def _left(self, asked: Asked) -> Any:
        """What a search has left for others, None where it has not, or where its architecture parameters had collapsed."""
        task = self.tasks.get(("search", asked.key))
        if task is None or task.state is not TaskState.COMPLETE or task.result is None or task.result.get("collapse"):
            return None
        return task.result.get(self.plan.config.method(asked.design.method).entry.leaves)

    def _budget(self, design: Design) -> list[float]:
        """The logarithms of the lower and upper bounds on every cost that adds up."""
        bounds = self.plan.bounds(design.budget)
        found = []
        for metric, (low, high) in self.plan.spans.items():
            low = max(1, low)
            bound = {"lower": low, "upper": high, **bounds.get(metric, {})}
            found += [log(min(max(bound[end], low), max(low, high))) for end in ("lower", "upper")]
        return found


def _flat(features: Mapping[str, Mapping[str, float]]) -> dict[tuple[str, str], float]:
    return {(group, name): value for group, names in features.items() for name, value in names.items()}
