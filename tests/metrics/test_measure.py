"""The task `measure`, with real networks, and metrics of installed packages."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from moonas.errors import DeviceError, TaskError
from moonas.metrics.device import fingerprint
from moonas.metrics.measure import measure
from moonas.metrics.subject import Reading, Subject
from moonas.specs import MeasureSpec
from moonas.study.metrics import METRICS, MetricEntry
from moonas.worker.tasks import run_task
from tests.metrics.test_subject import ARCHITECTURE, SKELETON

SETTINGS = {"batch": None, "warmups": 1, "repeats": 5}


def run(metrics: tuple[str, ...], device: Mapping[str, Any] | None = None) -> dict[str, Any]:
    spec = MeasureSpec(architecture=ARCHITECTURE, skeleton=SKELETON, metrics=metrics, settings=SETTINGS, device=device, threads=1)
    assert MeasureSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
    return run_task(json.loads(json.dumps(spec.to_json())), lambda progress: None)


def test_a_network_is_measured_and_the_device_told() -> None:
    result = run(("latency_ms", "memory_mib"))
    json.dumps(result, allow_nan=False)
    assert set(result["metrics"]) == {"latency_ms", "latency_ms_iqr", "memory_mib"}
    assert 0.1 < result["metrics"]["latency_ms"] < 10_000
    assert result["metrics"]["latency_ms_iqr"] >= 0
    assert result["device"] == fingerprint("cpu", 1)
    assert set(result["device"]) == {"type", "name", "threads", "torch"}


def test_a_spec_for_another_device_is_refused_with_both_named() -> None:
    here = fingerprint("cpu", 1)
    assert run(("memory_mib",), here)["device"] == here
    with pytest.raises(DeviceError, match=r"memory_mib is measured on cpu Z80 \(2 threads, torch 9\), not on cpu "):
        run(("memory_mib",), {"type": "cpu", "name": "Z80", "threads": 2, "torch": "9"})


def test_a_metric_may_give_a_number_or_a_reading_but_a_finite_one(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {"plain": 3, "spread": Reading(4.0, 0.5), "broken": float("nan")}
    for name in given:
        entry = MetricEntry(direction="minimize", label=name, unit="", load=f"{__name__}:{name}")
        monkeypatch.setitem(METRICS._entries, name, entry)  # as an installed package's entry would be
        monkeypatch.setitem(globals(), name, lambda subject, name=name: given[name])
    subject = Subject.make(ARCHITECTURE, SKELETON, "cpu", 1, 0, 1)
    assert measure(subject, ["plain", "spread"]) == {"plain": 3.0, "spread": 4.0, "spread_iqr": 0.5}
    with pytest.raises(TaskError, match="measuring broken gave nan"):
        measure(subject, ["broken"])
