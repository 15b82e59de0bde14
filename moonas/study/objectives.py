"""Objectives: what a study trades off. Everything is minimised inside; signs turn here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from moonas.errors import UsageError, nearest
from moonas.study.metrics import METRICS, MetricEntry, selectable_metric
from moonas.study.numbers import parse_number


@dataclass(frozen=True)
class Objective:
    """One objective.

    known: its value is exact before any training. reference, best: the worst value that counts in the hypervolume, and the best
    there can be, in its own sign; None for what the metric or the space says.
    """

    metric: str
    known: bool
    reference: float | None = None
    best: float | None = None

    @property
    def entry(self) -> MetricEntry:
        return METRICS[self.metric]

    @property
    def sign(self) -> int:
        """What a value is multiplied by to be minimised."""
        return 1 if self.entry.direction == "minimize" else -1

    def to_json(self) -> dict[str, Any]:
        best = {} if self.best is None else {"best": self.best}
        return {"metric": self.metric, "known": self.known, "reference": self.reference, **best}


def parse_objective(value: Any) -> Objective:
    """Read `accuracy` or `{metric: latency_ms, known: true, reference: 20}`. Raises UsageError."""
    if isinstance(value, Objective):
        return value
    fields = {"metric": value} if isinstance(value, str) else value
    if not isinstance(fields, Mapping) or "metric" not in fields:
        raise UsageError(f"expected a metric such as accuracy, or {{metric: accuracy, reference: 0}}, got {value!r}")
    for name in fields:
        if name not in (settings := ("metric", "known", "reference", "best")):
            raise UsageError(f"{name!r} is not a setting of an objective{nearest(name, settings)}")
    if not isinstance(fields["metric"], str):
        raise UsageError(f"expected the name of a metric, got {fields['metric']!r}")
    name = selectable_metric(fields["metric"])
    entry = METRICS[name]
    known = fields.get("known", entry.known)
    if not isinstance(known, bool):
        raise UsageError(f"known must be true or false, got {known!r}")
    return Objective(name, known, _end(fields, "reference", entry.reference), _end(fields, "best", None))


def _end(fields: Mapping[str, Any], name: str, default: float | None) -> float | None:
    value = fields.get(name, default)
    try:
        return None if value is None else float(parse_number(value))
    except ValueError as error:
        raise UsageError(f"{name}: {error}") from error


def parse_weights(text: str) -> dict[str, float]:
    """Read `--weights`: a list such as `accuracy=2,params=1`. Raises UsageError."""
    weights: dict[str, float] = {}
    for part in filter(str.strip, text.split(",")):
        name, equals, value = part.partition("=")
        metric = selectable_metric(name.strip())
        if not equals or metric in weights:
            raise UsageError(f"expected one weight per objective, such as accuracy=2,params=1, got {text!r}")
        try:
            weights[metric] = parse_number(value.strip())
        except ValueError as error:
            raise UsageError(f"the weight of {metric}: {error}") from error
    if not weights:
        raise UsageError("expected weights such as accuracy=2,params=1")
    return weights


def minimised(objectives: Sequence[Objective], metrics: Mapping[str, float]) -> list[float]:
    """The values of `metrics` in the order of `objectives`, signs turned so that smaller is better."""
    return [objective.sign * metrics[objective.metric] for objective in objectives]


def values_text(objectives: Sequence[Objective], metrics: Mapping[str, float]) -> str:
    """The values of `metrics` in the order of `objectives`, as people read them."""
    return ", ".join(f"{objective.metric} {metrics[objective.metric]:,.6g}" for objective in objectives)


def worst_value(objective: Objective, spans: Mapping[str, tuple[int, int]]) -> float | None:
    """The hypervolume's reference, minimised: the file's, else 1.01 times the largest reachable cost; None where there is neither.

    spans: the smallest and largest reachable value of each exact cost.
    """
    if objective.reference is not None:
        return objective.sign * objective.reference
    return 1.01 * spans[objective.metric][1] if objective.metric in spans else None


def best_value(objective: Objective, spans: Mapping[str, tuple[int, int]]) -> float:
    """The ideal, minimised: the file's, else the smallest reachable cost, else the best that the metric can be."""
    if objective.best is not None:
        return objective.sign * objective.best
    if objective.metric in spans:
        return float(spans[objective.metric][0])
    return objective.sign * (objective.entry.best or 0.0)
