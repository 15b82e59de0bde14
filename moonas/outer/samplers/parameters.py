"""What a study leaves to its sampler, as named parameters: some always there, some only with the method that has them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property, partial
from typing import Any, TypeVar

from moonas.errors import ArchitectureError
from moonas.outer.plan import Design, Plan
from moonas.spaces.parameters import parameters as choices_in
from moonas.study.bounds import total_violation
from moonas.study.ranges import Range

Tried = TypeVar("Tried")
Choose = Callable[[str, Range], Any]  # (name of a parameter, what it can be) -> its value


class Parameters:
    """The parameters of a study's trials, in the order in which they are chosen.

    `method`; then the open settings of the method chosen, as `label.setting`; then `channels`, `cells` and `budget` as places in
    the lists of the study; a method that names its architecture itself has, instead of a budget, the choices that make it up.
    What leaves no choice is no parameter.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.widths, self.depths = plan.config.final.channels, plan.config.final.cells

    @cached_property
    def choices(self) -> Mapping[str, tuple[str, ...]]:
        """Those of an architecture, whether or not any method names one."""
        return choices_in(self.plan.space)

    @cached_property
    def ranges(self) -> dict[str, Range]:
        """Every parameter of any trial."""
        found: dict[str, Range] = {}

        def note(label: str, name: str, values: Range) -> Any:
            found.setdefault(name, values)
            return label if name == "method" else values.values[0]

        for method in self.plan.config.methods:
            self._draw(partial(note, method.label))
        return found

    def design(self, choose: Choose) -> Design | None:
        """The design that `choose` makes, asked for the parameters one by one.

        None where there is no such design: the budget does not fit the size, or the space holds no such architecture.
        """
        design = self._draw(choose)
        if self._named(design):
            try:
                self.plan.architecture(design)
            except ArchitectureError:
                return None
            return design
        fits = (design.budget, (design.channels, design.cells)) in self.plan.pairs
        return design if fits else None

    def values(self, design: Design) -> dict[str, Any]:
        """The parameters that `design` has, in the order in which they are chosen; the inverse of `design`.

        Of a function that was called elsewhere, a design need not have all.
        """
        fixed = {
            "method": design.method,
            "channels": self.widths.index(design.channels),
            "cells": self.depths.index(design.cells),
            **design.choices,
        }
        if not self._named(design):
            fixed["budget"] = self.plan.budgets.index(design.budget)
        fixed |= {f"{design.method}.{name}": value for name, value in design.settings.items()}
        found: dict[str, Any] = {}

        def read(name: str, _: Range) -> Any:
            if name in fixed:
                found[name] = fixed[name]
            return fixed.get(name)

        self._draw(read)
        return found

    def violation(self, design: Design) -> float:
        """By how much what is known of a design before anything is run misses the study's constraints; 0 where nothing does."""
        constraints = self.plan.config.constraints
        return total_violation(constraints, self.plan.known_costs(design)) if constraints and self._named(design) else 0.0

    def fitting(self, tries: Iterable[tuple[Tried, Design | None]]) -> Tried:
        """The first of what is tried whose design keeps to the constraints; if none does, the one that misses them least.

        tries: each with the design that it makes, None where it makes none; at least one makes one.
        """
        least: tuple[float, Tried] | None = None
        for tried, design in tries:
            if design is None:
                continue
            violation = self.violation(design)
            if least is None or violation < least[0]:
                least = violation, tried
            if not violation:
                break
        assert least is not None, "a study with no design at all is refused"
        return least[1]

    def _named(self, design: Design) -> bool:
        return self.plan.config.method(design.method).named

    def _draw(self, choose: Choose) -> Design:
        def place(name: str, count: int) -> int:
            return choose(name, Range("int", (0, count - 1))) if count > 1 else 0

        labels = tuple(method.label for method in self.plan.config.methods)
        method = self.plan.config.method(choose("method", Range("choice", labels)) if len(labels) > 1 else labels[0])
        settings = {name: choose(f"{method.label}.{name}", values) for name, values in method.open.items()}
        size = self.widths[place("channels", len(self.widths))], self.depths[place("cells", len(self.depths))]
        if method.named:
            open_choices = self.choices if not method.fixed else {}
            chosen = {name: choose(name, Range("choice", values)) for name, values in open_choices.items()}
            return Design(method.label, {}, *size, settings, chosen)
        return Design(method.label, self.plan.budgets[place("budget", len(self.plan.budgets))], *size, settings)
