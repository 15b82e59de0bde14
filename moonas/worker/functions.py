"""Evaluations by an installed function."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from moonas.errors import TaskError
from moonas.machine import cpu_name
from moonas.registry import load_object
from moonas.seeds import stream
from moonas.specs import EvaluateSpec
from moonas.study.functions import FUNCTIONS
from moonas.worker.outcome import Report, TaskInterrupted


def run_function(spec: EvaluateSpec, report: Report) -> dict[str, Any]:
    """The result of a task that calls the function that the spec's protocol names.

    What the function reports becomes the progress of the task. Started again, it starts anew. Raises TaskError where it returns
    something else than its entry says, TaskInterrupted where a report is answered so.
    """
    name, params = spec.protocol["function"], dict(spec.protocol["params"])
    entry, began, step = FUNCTIONS[name], time.perf_counter(), 0

    def tell(metrics: Mapping[str, float]) -> None:
        nonlocal step
        step += 1
        spent = time.perf_counter() - began
        action = report({"step": step, "of": None, "metrics": dict(metrics), "checkpoint": None, "seconds": spent})
        if action in ("stop", "prune", "pause"):
            raise TaskInterrupted(action)

    seed = stream(spec.seed, "function", name, params, spec.replicate) % 2**32
    found = load_object(entry.load)({**params, "seed": seed}, tell)
    return {
        "kind": "evaluate",
        "metrics": checked(name, entry.metrics, found),
        "train_seconds": time.perf_counter() - began,
        "data_checksum": "",
        "versions": {"moonas": version("moonas")},
        "device": {"type": "cpu", "name": cpu_name(), "threads": spec.threads},
    }


def checked(name: str, metrics: tuple[str, ...], found: Any) -> dict[str, float]:
    """What a function returned, as plain numbers. Raises TaskError."""
    if not isinstance(found, Mapping):
        raise TaskError(f"function {name} returned {found!r}, not a mapping with {', '.join(metrics)}")
    values: dict[str, float] = {}
    for metric in metrics:
        if metric not in found:
            raise TaskError(f"function {name} returned no {metric!r}; it returned: {', '.join(map(str, found)) or 'nothing'}")
        try:
            values[metric] = float(found[metric])
        except (TypeError, ValueError) as error:
            raise TaskError(f"function {name}: {metric} must be a number, got {found[metric]!r}") from error
        if not math.isfinite(values[metric]):
            raise TaskError(f"function {name}: {metric} is {values[metric]}")
    return values
