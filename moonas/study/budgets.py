"""Budgets: which bounds the study sweeps, as written and as resolved against what the space can reach.

`budgets: {params: [10%, 35%, 2M], macs: "geometric(1M, 5M, 3)"}`; several metrics are crossed. `30%` lies 30 % of the way from the
smallest to the largest reachable cost, over all open widths and depths.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import product
from typing import Any

from moonas.errors import UsageError
from moonas.specs import Bounds
from moonas.study.bounds import Bound, as_spec, parse_bound, parse_under, whole_end
from moonas.study.numbers import parse_number

_GEOMETRIC = re.compile(r"\s*geometric\(\s*([^,()]+?)\s*,\s*([^,()]+?)\s*,\s*([^,()]+?)\s*\)\s*")
_SHARE = re.compile(r"\s*([A-Za-z_]\w*)\s*<?=\s*([\d.]+\s*%)\s*")
_PERCENT = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*%\s*")
MOST_LEVELS = 100  # of one geometric(...): our own choice, against a slip of the pen


@dataclass(frozen=True)
class Level:
    """One entry of a budget list. An end is a number, or as a Fraction a share of the reachable span; no end means no bound."""

    lower: float | Fraction | None = None
    upper: float | Fraction | None = None

    def resolve(self, span: tuple[int, int]) -> dict[str, int]:
        """The whole-number bound, with `span` the smallest and largest reachable value; a lower end is rounded up."""
        low, high = span
        ends = {name: end for name, end in (("lower", self.lower), ("upper", self.upper)) if end is not None}
        return {name: whole_end(name, low + end * (high - low) if isinstance(end, Fraction) else end) for name, end in ends.items()}


@dataclass(frozen=True)
class Budgets:
    """What the file says, by metric: `texts` as written (for the record), `levels` as read, which alone are compared."""

    texts: Mapping[str, Any] = field(compare=False)
    levels: Mapping[str, tuple[Level, ...]]

    def to_json(self) -> dict[str, Any]:
        return {metric: list(text) if isinstance(text, list | tuple) else text for metric, text in self.texts.items()}

    def resolve(self, spans: Mapping[str, tuple[int, int]]) -> list[Bounds]:
        """Every combination of levels as whole-number bounds, each once, in the order written."""
        resolved: dict[str, Bounds] = {}
        for combination in product(*self.levels.values()):
            bounds = {metric: level.resolve(spans[metric]) for metric, level in zip(self.levels, combination, strict=True)}
            bounds = {metric: bound for metric, bound in bounds.items() if bound}
            resolved.setdefault(budget_text(bounds), bounds)
        return list(resolved.values())


def parse_levels(value: Any) -> tuple[Level, ...]:
    """One entry of a budget list: a number, a percentage, `none`, `{lower: 1M, upper: 2M}`, or `geometric(first, last, count)`.

    Raises UsageError.
    """
    return tuple(_geometric(value)) if isinstance(value, str) and "geometric" in value else (_level(value),)


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


def read_budget(text: str, spans: Mapping[str, tuple[int, int]]) -> Bounds:
    """One budget as people write it: what `parse_budget` reads, with `=` for `<=`, and shares of the spans: `params=20%`.

    Raises UsageError.
    """
    if text.strip().lower() == "none":
        return {}
    found: Bounds = {}
    for part in text.split(","):
        share = _SHARE.fullmatch(part)
        if share is not None and share[1] in spans:
            found = {**found, share[1]: _level(share[2]).resolve(spans[share[1]])}
        else:
            found = {**found, **as_spec(parse_under(part))}
    return found


def _level(value: Any) -> Level:
    if value is None or (isinstance(value, str) and value.strip().lower() == "none"):
        return Level()
    if isinstance(value, Mapping):
        if not value or set(value) - {"lower", "upper"}:
            raise UsageError(f"a band is {{lower: ..., upper: ...}}, got {dict(value)!r}")
        ends = {name: _amount(end) for name, end in value.items()}
        alike = len({isinstance(end, Fraction) for end in ends.values()}) == 1
        if alike and len(ends) == 2 and ends["lower"] > ends["upper"]:
            raise UsageError(f"{dict(value)!r}: the lower end lies above the upper end")
        return Level(**ends)
    return Level(upper=_amount(value))


def _amount(value: Any) -> float | Fraction:
    """A number, or a share of the reachable span as a Fraction: exact, so that 29% of 100 is 29."""
    if isinstance(value, str) and (match := _PERCENT.fullmatch(value)):
        share = Fraction(match[1]) / 100
        if share > 1:
            raise UsageError(f"{value!r}: a share of the reachable span lies between 0% and 100%")
        return share
    try:
        number = parse_number(value)
    except ValueError as error:
        raise UsageError(f"{error}; a budget may also be a share such as 30%, none, or geometric(1M, 5M, 5)") from error
    if number <= 0:
        raise UsageError(f"a budget must be above 0, got {value!r}")
    return number


def _geometric(text: str) -> list[Level]:
    match = _GEOMETRIC.fullmatch(text)
    if match is None:
        raise UsageError(f"{text!r}: write geometric(first, last, count), such as geometric(1M, 5M, 5)")
    first, last, count = map(_amount, match.groups())
    if isinstance(first, Fraction) or isinstance(last, Fraction):
        raise UsageError(f"{text!r}: first and last must be numbers, not shares")
    if isinstance(count, Fraction) or count not in range(2, MOST_LEVELS + 1):
        raise UsageError(f"{text!r}: the count must be a whole number from 2 to {MOST_LEVELS}")
    return [Level(upper=float(round(first * (last / first) ** (step / (count - 1))))) for step in range(int(count))]
