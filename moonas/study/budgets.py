"""Budgets: which bounds the study sweeps, as written and as resolved against what the space can reach.

`budgets: {params: [10%, 35%, 2M], macs: "geometric(1M, 5M, 3)"}`; several metrics are crossed. `30%` lies 30 % of the way from the
smallest to the largest reachable cost, over all open widths and depths.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from moonas.errors import UsageError
from moonas.specs import Bounds
from moonas.study.bounds import Bound, as_spec, parse_bound
from moonas.study.numbers import parse_number

_GEOMETRIC = re.compile(r"\s*geometric\(\s*([^,()]+?)\s*,\s*([^,()]+?)\s*,\s*([^,()]+?)\s*\)\s*")
_PERCENT = re.compile(r"\s*([\d.]+)\s*%\s*")


@dataclass(frozen=True)
class Level:
    """One entry of a budget list: an end is a number, or a fraction of the reachable span; neither end means no bound."""

    lower: float | None = None
    upper: float | None = None
    lower_share: float | None = None
    upper_share: float | None = None

    def resolve(self, span: tuple[int, int]) -> dict[str, int]:
        """The whole-number bound, with `span` the smallest and largest reachable value."""
        low, high = span
        ends = {
            "lower": self.lower if self.lower_share is None else low + self.lower_share * (high - low),
            "upper": self.upper if self.upper_share is None else low + self.upper_share * (high - low),
        }
        return {name: int(value) for name, value in ends.items() if value is not None}


@dataclass(frozen=True)
class Budgets:
    """What the file says, by metric: `texts` as written (for the record), `levels` as read."""

    texts: Mapping[str, Any]
    levels: Mapping[str, tuple[Level, ...]]

    def to_json(self) -> dict[str, Any]:
        return {metric: list(text) if isinstance(text, list | tuple) else text for metric, text in self.texts.items()}

    def resolve(self, spans: Mapping[str, tuple[int, int]]) -> list[Bounds]:
        """Every combination of levels as whole-number bounds, each once, in the order written."""
        resolved: list[Bounds] = []
        for combination in product(*self.levels.values()):
            bounds = {metric: level.resolve(spans[metric]) for metric, level in zip(self.levels, combination, strict=True)}
            bounds = {metric: bound for metric, bound in bounds.items() if bound}
            if bounds not in resolved:
                resolved.append(bounds)
        return resolved


def parse_levels(value: Any) -> tuple[Level, ...]:
    """A budget list: numbers, percentages, `none`, `{lower: 1M, upper: 2M}`, or `geometric(first, last, count)`.

    Raises UsageError.
    """
    values = value if isinstance(value, list | tuple) else [value]
    if not values:
        raise UsageError("expected at least one budget; write [none] for a sweep without a bound")
    levels: list[Level] = []
    for item in values:
        levels += _geometric(item) if isinstance(item, str) and "geometric" in item else [_level(item)]
    return tuple(levels)


def budget_text(bounds: Bounds | None) -> str:
    """A resolved budget as people write it: `params<=30000`, joined by `, `; `none` where nothing is bounded."""
    if not bounds:
        return "none"
    return ", ".join(str(Bound(metric, bound.get("lower"), bound.get("upper"))) for metric, bound in bounds.items())


def parse_budget(text: str) -> Bounds:
    """Read what `budget_text` wrote."""
    if text == "none":
        return {}
    return as_spec([parse_bound(part) for part in text.split(",")])


def _level(value: Any) -> Level:
    if value is None or (isinstance(value, str) and value.strip().lower() == "none"):
        return Level()
    if isinstance(value, Mapping):
        if not value or set(value) - {"lower", "upper"}:
            raise UsageError(f"a band is {{lower: ..., upper: ...}}, got {dict(value)!r}")
        ends: dict[str, float] = {}
        for name, end in value.items():
            number, share = _amount(end)
            ends[name if share is None else f"{name}_share"] = number if share is None else share
        return Level(**ends)
    number, share = _amount(value)
    return Level(upper=number) if share is None else Level(upper_share=share)


def _amount(value: Any) -> tuple[float, float | None]:
    """(number, share): one of them counts."""
    if isinstance(value, str) and (match := _PERCENT.fullmatch(value)):
        share = float(match[1]) / 100
        if not 0 <= share <= 1:
            raise UsageError(f"{value!r}: a share of the reachable span lies between 0% and 100%")
        return 0.0, share
    try:
        number = parse_number(value)
    except ValueError as error:
        raise UsageError(f"{error}; a budget may also be a share such as 30%, none, or geometric(1M, 5M, 5)") from error
    if number <= 0:
        raise UsageError(f"a budget must be above 0, got {value!r}")
    return number, None


def _geometric(text: str) -> list[Level]:
    match = _GEOMETRIC.fullmatch(text)
    if match is None:
        raise UsageError(f"{text!r}: write geometric(first, last, count), such as geometric(1M, 5M, 5)")
    first, last, count = (_amount(part)[0] for part in match.groups())
    if count != int(count) or count < 2 or first <= 0 or last <= 0:
        raise UsageError(f"{text!r}: first and last must be numbers above 0 and the count a whole number of at least 2")
    return [Level(upper=float(round(first * (last / first) ** (step / (count - 1))))) for step in range(int(count))]
