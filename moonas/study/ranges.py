"""Ranges: settings left open for the outer layer: `{log: [1e-4, 1e-2]}`, `{uniform: [0, 1]}`, `{int: [4, 16]}` or a list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from moonas.errors import UsageError, nearest
from moonas.study.numbers import parse_number, parse_whole

KINDS = ("choice", "int", "log", "uniform")


@dataclass(frozen=True)
class Range:
    """An open setting.

    kind: "choice" (one of `values`), or "int", "log", "uniform" between the two `values`, both included.
    """

    kind: str
    values: tuple[Any, ...]

    def to_json(self) -> dict[str, list[Any]]:
        return {self.kind: list(self.values)}

    def grid(self) -> tuple[Any, ...]:
        """The values a grid tries: every choice; of an interval its ends and its middle, the geometric one where it is "log"."""
        if self.kind == "choice":
            return self.values
        low, high = self.values
        middle = (low * high) ** 0.5 if self.kind == "log" else (low + high) / 2
        return tuple(dict.fromkeys((low, round(middle) if self.kind == "int" else middle, high)))

    def with_values(self, values: list[Any]) -> Range:
        """The same kind of range over converted values."""
        return replace(self, values=tuple(values))


def as_range(value: Any) -> Range | None:
    """The range that `value` describes, or None where it is an ordinary value. Raises UsageError for a malformed one."""
    if isinstance(value, Range):
        return value
    if isinstance(value, list | tuple):
        return _choice(value)
    if not isinstance(value, Mapping):
        return None
    if len(value) != 1:
        raise UsageError(
            f"a range is one of {', '.join(KINDS)} with its values, such as {{log: [1e-4, 1e-2]}}, got {dict(value)!r}"
        )
    kind, values = next(iter(value.items()))
    if kind not in KINDS:
        raise UsageError(f"{kind!r} is not a kind of range{nearest(kind, KINDS)}\nKnown: {', '.join(KINDS)}.")
    if kind == "choice":
        return _choice(values)
    if not isinstance(values, list | tuple) or len(values) != 2:
        raise UsageError(f"{kind}: expected [lowest, highest], got {values!r}")
    try:
        low, high = (parse_whole(end) if kind == "int" else parse_number(end) for end in values)
    except ValueError as error:
        raise UsageError(f"{kind}: {error}") from error
    if not low < high:
        raise UsageError(f"{kind}: the lowest value must be below the highest, got {low} and {high}")
    if kind == "log" and low <= 0:
        raise UsageError(f"log: the lowest value must be above 0, got {low}")
    return Range(kind, (low, high))


def _choice(values: Any) -> Range:
    if not isinstance(values, list | tuple) or not values or any(isinstance(value, list | tuple | Mapping) for value in values):
        raise UsageError(f"choice: expected a list of values, got {values!r}")
    return Range("choice", tuple(values))
