"""Bounds on metrics, in one grammar everywhere: `params<=2M`, `10k<=params<=2M`; `params=2M` in `--under`.

An end belongs to its bound; `<` and `>` are refused, because for a whole number they would mean another bound.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import Any

from moonas.errors import UsageError
from moonas.specs import Bounds
from moonas.study.metrics import METRICS, selectable_metric
from moonas.study.numbers import parse_number

_ONE_SIDED = re.compile(r"\s*([A-Za-z_]\w*)\s*(<=|>=|<|>|=)\s*([^<>=\s]+)\s*")
_BAND = re.compile(r"\s*([^<>=\s]+)\s*<=\s*([A-Za-z_]\w*)\s*<=\s*([^<>=\s]+)\s*")


@dataclass(frozen=True)
class Bound:
    """Limits of one metric, in the metric's own sign and unit; an absent end does not limit."""

    metric: str
    lower: float | None = None
    upper: float | None = None

    def ends(self) -> dict[str, float]:
        """The ends that limit, by "lower" and "upper"."""
        return {name: end for name, end in (("lower", self.lower), ("upper", self.upper)) if end is not None}

    def violation(self, value: float) -> float:
        """By how much `value` misses the bound; 0 where it meets it. Not normalised."""
        below = 0.0 if self.lower is None else max(0.0, self.lower - value)
        above = 0.0 if self.upper is None else max(0.0, value - self.upper)
        return max(below, above)

    def to_json(self) -> str:
        """The text that reads as this bound."""
        return str(self)

    def __str__(self) -> str:
        ends = {name: str(parse_number(end)) for name, end in self.ends().items()}
        if len(ends) == 2:
            return f"{ends['lower']}<={self.metric}<={ends['upper']}"
        return f"{self.metric}>={ends['lower']}" if "lower" in ends else f"{self.metric}<={ends['upper']}"


def total_violation(bounds: Iterable[Bound], metrics: Mapping[str, float]) -> float:
    """Sum over the bounds on these metrics of how far each is missed, relative to its limit; 0 where all are met."""
    total = 0.0
    for bound in bounds:
        if bound.metric in metrics:
            limit = bound.upper if bound.upper is not None else bound.lower
            total += bound.violation(metrics[bound.metric]) / max(abs(limit or 0.0), 1e-12)
    return total


def parse_bound(text: Any) -> Bound:
    """Read `params<=2M`, `accuracy>=0.9` or `10k<=params<=2M`. Raises UsageError."""
    if isinstance(text, Bound):
        return text
    if not isinstance(text, str):
        raise UsageError(f"expected a bound such as params<=2M, got {text!r}")
    if band := _BAND.fullmatch(text):
        metric, lower, upper = selectable_metric(band[2]), _number(band[1]), _number(band[3])
        if lower > upper:
            raise UsageError(f"{text!r}: the lower end lies above the upper end")
        return Bound(metric, lower, upper)
    match = _ONE_SIDED.fullmatch(text)
    if match is None:
        raise UsageError(f"{text!r} is not a bound; write it like params<=2M, accuracy>=0.9 or 10k<=params<=2M")
    metric, sign, value = selectable_metric(match[1]), match[2], _number(match[3])
    if sign not in ("<=", ">="):
        raise UsageError(f"{text!r}: write {match[1]}<={match[3]} or {match[1]}>={match[3]}; an end belongs to its bound")
    return Bound(metric, upper=value) if sign == "<=" else Bound(metric, lower=value)


def parse_under(text: str) -> list[Bound]:
    """Read `--under`: a list such as `params=2M,latency_ms=5`, where `=` means "no worse than". Raises UsageError."""
    bounds = []
    for part in filter(str.strip, text.split(",")):
        equality = re.fullmatch(r"\s*([A-Za-z_]\w*)\s*=([^=]*)", part)
        bounds.append(no_worse_than(equality[1], _number(equality[2])) if equality else parse_bound(part))
    if not bounds:
        raise UsageError("expected bounds such as params=2M or params=2M,macs=600e6")
    return bounds


def no_worse_than(name: str, value: float) -> Bound:
    """The bound that keeps a metric from being worse than `value`. Raises UnknownNameError or UsageError."""
    metric = selectable_metric(name)
    return Bound(metric, upper=value) if METRICS[metric].direction == "minimize" else Bound(metric, lower=value)


def as_spec(bounds: Iterable[Bound]) -> Bounds:
    """Whole-number bounds in the form that specs and decoding use."""
    return {bound.metric: {name: whole_end(name, end) for name, end in bound.ends().items()} for bound in bounds}


def whole_end(end: str, value: float | Fraction) -> int:
    """The whole number that limits a whole-number cost just as `value` does: up for the "lower" end, down for the "upper"."""
    return ceil(value) if end == "lower" else floor(value)


def _number(text: str) -> float:
    try:
        return parse_number(text)
    except ValueError as error:
        raise UsageError(str(error)) from error
