"""What stands in the way where nothing meets a study's bounds, and how far which bound would have to move."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from moonas.study.bounds import Bound, total_violation

DIGITS = 4  # of an end that is no whole number


@dataclass(frozen=True)
class Obstacle:
    """What one bound keeps out.

    excluded: how many points miss it. alone: how many of them miss no other bound. relaxed: the bound moved just far enough to
    admit the nearest of those, and admits: its index; None where there are none.
    """

    bound: Bound
    excluded: int
    alone: int
    relaxed: Bound | None
    admits: int | None


def obstacles(bounds: Sequence[Bound], points: Sequence[Mapping[str, float]]) -> list[Obstacle]:
    """One per bound, in their order. points: the metrics of each; a metric that a point lacks misses no bound."""
    misses = [missed(bounds, metrics) for metrics in points]
    found = []
    for bound in bounds:
        alone = [index for index, others in enumerate(misses) if others == [bound]]
        nearest = min(alone, key=lambda index: bound.violation(points[index][bound.metric]), default=None)
        relaxed = None if nearest is None else admitting(bound, points[nearest][bound.metric])
        found.append(Obstacle(bound, sum(bound in others for others in misses), len(alone), relaxed, nearest))
    return found


def admissions(bounds: Sequence[Bound], points: Sequence[Mapping[str, float]], names: Sequence[str]) -> list[str]:
    """What would admit a point, in words: one bound moved, or those that the least violating point misses where one is not enough.

    names: of the points. Empty where some point meets all bounds.
    """
    misses = [missed(bounds, metrics) for metrics in points]
    if not points or not all(misses):
        return []
    single = [(o.relaxed, o.admits) for o in obstacles(bounds, points) if o.relaxed is not None and o.admits is not None]
    if single:
        return [f"{relaxed} would admit {names[index]}" for relaxed, index in single]
    least = min(range(len(points)), key=lambda index: total_violation(bounds, points[index]))
    together = " with ".join(str(admitting(bound, points[least][bound.metric])) for bound in misses[least])
    return [f"{together} would admit {names[least]}"]


def missed(bounds: Sequence[Bound], metrics: Mapping[str, float]) -> list[Bound]:
    """The bounds that a point misses."""
    return [bound for bound in bounds if bound.metric in metrics and bound.violation(metrics[bound.metric])]


def admitting(bound: Bound, value: float) -> Bound:
    """The bound with its end moved just far enough for `value`; what is no whole number is rounded outwards, to four digits."""
    if bound.upper is not None and value > bound.upper:
        return replace(bound, upper=_outwards(value, ROUND_CEILING))
    if bound.lower is not None and value < bound.lower:
        return replace(bound, lower=_outwards(value, ROUND_FLOOR))
    return bound


def _outwards(value: float, direction: str) -> float:
    if float(value).is_integer():
        return int(value)
    exact = Decimal(repr(float(value)))
    return float(exact.quantize(Decimal(1).scaleb(exact.adjusted() - DIGITS + 1), direction))
