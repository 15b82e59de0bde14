"""Measuring a network by name of metric: moonas's own and those of installed packages alike."""

from __future__ import annotations

import math
from collections.abc import Sequence

from moonas.errors import TaskError
from moonas.metrics.subject import Reading, Subject
from moonas.registry import load_object
from moonas.study.metrics import METRICS, spread_name


def measure(subject: Subject, names: Sequence[str]) -> dict[str, float]:
    """Every metric by name and, where it has one, its spread as `NAME_iqr`.

    Raises DeviceError where a metric is not available on the machine, TaskError where it gives no finite number.
    """
    found: dict[str, float] = {}
    for name in names:
        load = METRICS[name].load
        assert load is not None, f"{name} is not measured"
        reading = load_object(load)(subject)
        value, spread = reading if isinstance(reading, Reading) else (reading, None)
        found[name] = float(value)
        if not math.isfinite(found[name]):
            raise TaskError(f"measuring {name} gave {value!r}, which is no finite number")
        if spread is not None:
            found[spread_name(name)] = float(spread)
    return found
