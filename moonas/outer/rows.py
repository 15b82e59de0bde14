"""Trials as people write them, in a table or on a command line: a row of text read as a design of a study."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from moonas.errors import UsageError, nearest
from moonas.outer.plan import Design, Plan
from moonas.outer.samplers.parameters import Parameters
from moonas.study.budgets import budget_text, read_budget
from moonas.study.numbers import parse_number, parse_whole
from moonas.study.ranges import Range

Row = Mapping[str, Any]  # {column: cell}, the columns as of `Design.to_params`


class DesignReader:
    """Reads rows as designs of a plan. column: what stands before a column's name in a UsageError."""

    def __init__(self, plan: Plan, column: str = "") -> None:
        self.plan, self.parameters, self.column = plan, Parameters(plan), column
        self.budgets = [budget_text(budget) for budget in plan.budgets]
        self.settings = {f"{m.label}.{name}": f"setting.{name}" for m in plan.config.methods for name in m.open}

    def design(self, row: Row) -> Design:
        """What leaves no choice in the study may be absent. Raises UsageError naming the column."""
        design = self.parameters.design(partial(self._choose, row))
        if design is None:
            raise UsageError(f"{self.column}budget: does not fit the width and depth, or the space holds no such architecture")
        self._check_rest(row, design)
        return design

    def read(self, row: Row, column: str, read: Callable[[Any], Any]) -> Any:
        """A cell, by a function that raises ValueError or UsageError. Raises UsageError naming the column."""
        if row.get(column) in (None, ""):
            raise UsageError(f"{self.column}{column}: is missing")
        try:
            return read(row[column])
        except (ValueError, UsageError) as error:
            raise UsageError(f"{self.column}{column}: {error}") from error

    def place(self, row: Row, column: str, known: Iterable[Any]) -> int:
        """Which of the known values stands in a cell."""
        choices = list(known)
        if row.get(column) in (None, ""):
            raise UsageError(f"{self.column}{column}: is missing; the study has: {', '.join(map(str, choices))}")
        cell = self.read(row, column, self._budget if column == "budget" else lambda cell: cell)
        for place, choice in enumerate(choices):
            if _same(choice, cell):
                return place
        listed, near = ", ".join(map(str, choices)), nearest(cell, map(str, choices))
        raise UsageError(f"{self.column}{column}: {cell!r} is not in this study; it has: {listed}{near}")

    def _choose(self, row: Row, name: str, values: Range) -> Any:
        """The value of a parameter, as `Parameters` wants it: of channels, cells and budget the place in the study's list."""
        lists: dict[str, Any] = {"channels": self.parameters.widths, "cells": self.parameters.depths, "budget": self.budgets}
        if name in lists:
            return self.place(row, name, lists[name])
        column = self.settings.get(name) or (name if name == "method" else f"choice.{name}")
        if values.kind == "choice":
            return values.values[self.place(row, column, values.values)]
        value = self.read(row, column, parse_whole if values.kind == "int" else parse_number)
        low, high = values.values
        if not low <= value <= high:
            raise UsageError(f"{self.column}{column}: {value} lies outside of {low} to {high}")
        return value

    def _check_rest(self, row: Row, design: Design) -> None:
        """What leaves no choice in this study may stand in the row, but not with another value."""
        params = design.to_params()
        for column in row:
            if column in params:
                self.place(row, column, [params[column]])
            elif column.startswith(("setting.", "choice.")):
                near = nearest(column, (name for name in params if name.startswith(("setting.", "choice."))))
                raise UsageError(f"{self.column}{column}: {design.method} has no such parameter in this study{near}")

    def _budget(self, cell: Any) -> str:
        return budget_text(read_budget(str(cell), self.plan.spans))


def read_trial(plan: Plan, row: Row) -> tuple[Design, int]:
    """The design that a row asks for, and its replicate, 0 where absent. Raises UsageError naming the column."""
    reader, count = DesignReader(plan), plan.config.replicates
    design = reader.design({column: cell for column, cell in row.items() if column != "replicate"})
    replicate = reader.read(row, "replicate", parse_whole) if "replicate" in row else 0
    if not 0 <= replicate < count:
        raise UsageError(f"replicate: {replicate} lies outside of 0 to {count - 1}; `replicates` of the study file adds more")
    return design, replicate


def column_of(plan: Plan, name: str) -> str:
    """The column of a setting, or of one of the choices that make up an architecture, by its plain name."""
    is_setting = any(name in method.open for method in plan.config.methods)
    named = any(method.named and not method.fixed for method in plan.config.methods)
    return f"choice.{name}" if named and not is_setting else f"setting.{name}"


def _same(value: Any, cell: Any) -> bool:
    """Whether a cell, which may be text, means this value."""
    if str(value) == str(cell):
        return True
    try:
        return not isinstance(value, bool | str) and bool(parse_number(value) == parse_number(cell))
    except ValueError:
        return False
