"""Metrics by name: direction, unit, and how a value is come by.

The accuracies are learned by training. Parameters and multiply-adds are exact. Metrics with a `load` are measured on a device;
those that `predict` one are read off a table fitted on a device.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Literal

from moonas.errors import UsageError
from moonas.registry import Registry


@dataclass(frozen=True, kw_only=True)
class MetricEntry:
    """One number per architecture.

    label: how it is written for people. known: had for every architecture without training it.
    reference: the worst value that counts in the hypervolume, in the metric's own sign; None where the study works it out or
    must give it. best: the best value there can be; where less is better, 0 unless given.
    load: of a measured metric, "module:function", called with a `moonas.metrics.subject.Subject`; returns a number, or a `Reading`.
    predicts: the measured metric that a table stands in for, in a thousandth of its unit.
    protocols: those that alone give it; every one where empty.
    Raises ValueError where more is better and no best value is given.
    """

    direction: Literal["maximize", "minimize"]
    label: str
    unit: str
    known: bool = False
    reference: float | None = None
    best: float | None = None
    reported_only: bool = False
    protocols: tuple[str, ...] = ()
    load: str | None = None
    predicts: str | None = None

    @property
    def heading(self) -> str:
        """The label, with the unit in brackets."""
        return f"{self.label} [{self.unit}]" if self.unit else self.label

    def __post_init__(self) -> None:
        if self.direction == "maximize" and self.best is None:
            raise ValueError("a metric that is maximised needs `best`, the best value there can be")


METRICS: Registry[MetricEntry] = Registry(
    "metric",
    "metric",
    {
        "accuracy": MetricEntry(direction="maximize", label="accuracy", unit="", reference=0.0, best=1.0),
        "test_accuracy": MetricEntry(direction="maximize", label="test accuracy", unit="", best=1.0, reported_only=True),
        "params": MetricEntry(direction="minimize", label="parameters", unit="", known=True),
        "macs": MetricEntry(direction="minimize", label="multiply-adds", unit="", known=True),
        "train_seconds": MetricEntry(direction="minimize", label="training time", unit="s", protocols=("short",)),
        "tabular_latency_ms": MetricEntry(direction="minimize", label="latency in the table", unit="ms", protocols=("tabular",)),
        "latency_ms": MetricEntry(direction="minimize", label="latency", unit="ms", load="moonas.metrics.latency:latency_ms"),
        "memory_mib": MetricEntry(direction="minimize", label="memory", unit="MiB", load="moonas.metrics.memory:memory_mib"),
        "energy_mj": MetricEntry(direction="minimize", label="energy", unit="mJ", load="moonas.metrics.energy:energy_mj"),
        "predicted_latency_us": MetricEntry(
            direction="minimize", label="predicted latency", unit="µs", known=True, predicts="latency_ms"
        ),
        "predicted_energy_uj": MetricEntry(
            direction="minimize", label="predicted energy", unit="µJ", known=True, predicts="energy_mj"
        ),
    },
)
ALIASES = {"flops": "macs"}
COSTS = ("params", "macs")
PREDICTED = ("predicted_latency_us", "predicted_energy_uj")
ADDITIVE = (*COSTS, *PREDICTED)  # sums of whole numbers over an architecture's edges: these can be budgets


def declare_metric(name: str, direction: Literal["minimize", "maximize"]) -> None:
    """Make a metric known that only some function returned elsewhere. Raises UsageError where the name means something else."""
    if name not in METRICS:
        METRICS.declare(
            name,
            MetricEntry(
                direction=direction, label=name, unit="", best=inf if direction == "maximize" else None, protocols=("function",)
            ),
        )
    entry = METRICS[name]
    if entry.direction != direction:
        raise UsageError(f"{name} is a metric already, to {entry.direction} and not to {direction}; it needs another name")
    if entry.load or entry.predicts or entry.reported_only:
        raise UsageError(f"{name} is a metric of moonas that no function returns; it needs another name")


def metric_name(name: str) -> str:
    """The registry's name of a metric; `flops` is accepted for `macs`. Raises UnknownNameError."""
    name = ALIASES.get(name, name)
    METRICS[name]
    return name


def selectable_metric(name: str) -> str:
    """`metric_name` of a metric that may choose between architectures. Raises UsageError for test metrics."""
    name = metric_name(name)
    if METRICS[name].reported_only:
        raise UsageError(f"{name} is reported and never selected on; use {name.removeprefix('test_')}")
    return name


def is_measured(name: str) -> bool:
    """Whether a metric is measured on a device."""
    return METRICS[name].load is not None


def spread_name(name: str) -> str:
    """Under which name a measured value's interquartile range stands beside it."""
    return f"{name}_iqr"
