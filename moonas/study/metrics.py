"""Metrics by name: direction, unit, and whether a value is known before any training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from moonas.errors import UsageError
from moonas.registry import Registry


@dataclass(frozen=True, kw_only=True)
class MetricEntry:
    """One number per architecture.

    label: how it is written for people. known: exact for every architecture without training it.
    reference: the worst value that counts in the hypervolume, in the metric's own sign; None where the study works it out or
    must give it. protocols: those that alone give it; every one where empty.
    """

    direction: Literal["maximize", "minimize"]
    label: str
    unit: str
    known: bool
    reference: float | None = None
    reported_only: bool = False
    protocols: tuple[str, ...] = ()


METRICS: Registry[MetricEntry] = Registry(
    "metric",
    "metric",
    {
        "accuracy": MetricEntry(direction="maximize", label="accuracy", unit="", known=False, reference=0.0),
        "test_accuracy": MetricEntry(direction="maximize", label="test accuracy", unit="", known=False, reported_only=True),
        "tabular_latency_ms": MetricEntry(
            direction="minimize", label="latency in the table", unit="ms", known=False, protocols=("tabular",)
        ),
        "params": MetricEntry(direction="minimize", label="parameters", unit="", known=True),
        "macs": MetricEntry(direction="minimize", label="multiply-adds", unit="", known=True),
    },
)
ALIASES = {"flops": "macs"}
COSTS = ("params", "macs")


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
