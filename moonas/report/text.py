"""Numbers, bounds and names as people read them."""

from __future__ import annotations

from datetime import UTC, datetime

from moonas.report.records import ReportData, Value
from moonas.specs import Bounds
from moonas.study.metrics import METRICS

FRACTIONS = ("accuracy", "test_accuracy")  # fractions of 1, written as percentages
STATES = {"FAIL": "failed"}  # the others are said in lower case
BLANK = "\N{EN DASH}"


def metric_label(data: ReportData, name: str) -> str:
    """How a metric is called: validation accuracy is told apart from test accuracy, units stand in brackets."""
    if name == "accuracy":
        return "validation accuracy"
    for objective in data.objectives:
        if objective.name == name:
            return f"{objective.label} [{objective.unit}]" if objective.unit else objective.label
    return METRICS[name].heading if name in METRICS else name


def reported_only(name: str) -> bool:
    """Whether a metric is shown for front members only, such as test accuracy."""
    return name in METRICS and METRICS[name].reported_only


def number(name: str, value: float) -> str:
    """A metric's value at full length: `98.06 %`, `30,210`, `4.217`."""
    if name in FRACTIONS:
        return f"{100 * value:.2f}\N{NO-BREAK SPACE}%"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.4g}"


def measured(name: str, value: Value | None) -> str:
    """A value with its standard error, `98.06 ± 0.21 %`; a dash where it was not measured."""
    if value is None:
        return BLANK
    if value.error is None:
        return number(name, value.value)
    if name in FRACTIONS:
        return f"{100 * value.value:.2f} ± {100 * value.error:.2f}\N{NO-BREAK SPACE}%"
    return f"{number(name, value.value)} ± {value.error:.2g}"


def setting(value: object) -> str:
    """A setting that a study varies: `0.0251`, `12`, `adam`."""
    return f"{value:.4g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def counted(count: int, noun: str) -> str:
    """`1 evaluation`, `1,024 evaluations`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def short(value: float) -> str:
    """Three digits and a suffix: `30.2k`, `1.25M`, `5`."""
    for suffix, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= 0.9995 * size:
            return f"{value / size:.3g}{suffix}"
    return f"{value:.3g}"


def bound(name: str, lower: float | None, upper: float | None) -> str:
    """`params ≤ 30k`, `20k ≤ params ≤ 30k`: one bound, in the file's word for its metric."""
    left = f"{short(lower)} ≤ " if lower is not None else ""
    right = f" ≤ {short(upper)}" if upper is not None else ""
    return left + name + right


def budget(bounds: Bounds | None) -> str:
    """A trial's budget in one line; `none` where it had none."""
    if not bounds:
        return "none"
    return ", ".join(bound(name, limits.get("lower"), limits.get("upper")) for name, limits in sorted(bounds.items()))


def duration(seconds: float | None) -> str:
    """`0.4 s`, `42 s`, `3 min 20 s`, `5 h 07 min`."""
    if seconds is None:
        return BLANK
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60:,} h {minutes % 60:02} min"


def states(data: ReportData) -> str:
    """How many trials are in each state, in their order: `12 complete, 1 failed`."""
    found = [trial.state for trial in data.trials]
    return ", ".join(f"{found.count(state)} {STATES.get(state, state.lower())}" for state in dict.fromkeys(found))


def moment(seconds: float) -> str:
    """A point in time, in UTC to the minute."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
