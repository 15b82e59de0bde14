"""What a study file says about a Ray cluster: where it is reached, and which settings of `workers` each backend has."""

from __future__ import annotations

import re
from typing import Any

from moonas.study.metrics import is_measured
from moonas.study.validation import Place

ADDRESSES = "local, auto, HOST:PORT or ray://HOST:PORT"
_ADDRESS = re.compile(r"local|auto|(?:ray://)?[\w.-]+:\d{1,5}")
_OF_LOCAL = ("tasks_per_device", "only_idle")
_OF_RAY = ("address", "gpus_per_task", "cpus_per_task", "max_tasks")


def parse_address(value: Any) -> str:
    """Where a cluster is reached; the one place that says what may be named there. Raises ValueError."""
    if not isinstance(value, str) or not _ADDRESS.fullmatch(value):
        raise ValueError(f"must be {ADDRESSES}, got {value!r}")
    return value


def check_backend(place: Place, workers: Any) -> None:
    """Each backend has settings of its own; those of the other would do nothing."""
    backend, other, foreign = ("ray", "local", _OF_LOCAL) if workers.backend == "ray" else ("local", "ray", _OF_RAY)
    for name in foreign:
        if getattr(workers, name) not in (None, False):
            (place / "workers" / name).wrong(f"belongs to `backend: {other}`; this study's backend is {backend}")
    if backend == "ray" and isinstance(workers.devices, tuple):
        (place / "workers" / "devices").wrong("names GPUs of one machine; with `backend: ray` it is auto or cpu")


def check_measured_at_home(place: Place, objectives: Any, constraints: Any, measure: Any, workers: Any) -> None:
    """A measurement runs alone on one device, the same for a whole study; a cluster's machines differ, and are shared."""
    asked = [*(objective.metric for objective in objectives), *(bound.metric for bound in constraints)]
    if workers.backend == "ray" and (measured := sorted({name for name in asked if is_measured(name)} | set(measure.metrics))):
        (place / "workers" / "backend").wrong(
            f"ray runs tasks on any machine of a cluster, but {', '.join(measured)} must be measured on one; use `backend: local`"
        )
