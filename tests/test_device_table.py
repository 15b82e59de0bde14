"""From measured networks to a device table, and a whole study over both: on made-up devices, and once for real."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

import moonas
from moonas.architecture import Architecture
from moonas.cli import app
from moonas.device_table import fit_device_table
from moonas.errors import TaskError, UsageError
from moonas.spaces.space import make_space
from moonas.study.loading import load_study
from moonas.worker.local import Event
from tests.outer.fakes import DEVICE, FakePool

TINY = {
    "name": "tiny",
    "data": {"name": "digits", "images": 200},
    "space": {"name": "darts-cnn", "nodes": 2, "operations": ["skip_connect", "sep_conv_3x3", "dil_conv_3x3"]},
    "search": {"channels": 2, "cells": 3},
    "final": {"channels": [2, 4], "cells": 3},
    "objectives": ["accuracy", {"metric": "latency_ms", "known": True, "reference": 1000}],
    "methods": ["random"],
    "budgets": {"predicted_latency_us": ["50%", "none"]},
    "device_tables": ["table.json"],
    "protocol": {"name": "short", "epochs": 1},
    "measure": {"warmups": 1, "repeats": 3},
    "workers": {"devices": "cpu", "tasks_per_device": 2},
}


class Additive(FakePool):
    """A device on which a network takes 1 ms, and more for every edge, by its operation and node; twice that at 4 channels."""

    def start(self, slot: int, task: Mapping[str, Any]) -> None:
        spec = task["spec"]
        if spec["kind"] != "measure":
            super().start(slot, task)
            return
        self.started.append(dict(task))
        operations = make_space(TINY["space"]).groups["normal"].operations
        architecture = Architecture.from_json(spec["architecture"])
        edges = [edge for kept in architecture.groups.values() for edge in kept]
        scale = spec["skeleton"]["channels"] / 2
        latency = scale * (1 + sum(0.1 * operations.index(name) + 0.01 * node for node, _, name in edges))
        result = {"kind": "measure", "metrics": {"latency_ms": latency, "latency_ms_iqr": 0.1 * latency}}
        self._tell(slot, "result", {"result": {**result, "device": DEVICE, "versions": {}}})


@pytest.fixture
def study_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MOONAS_STORAGE", f"sqlite:///{tmp_path}/study.db")
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    return tmp_path / "tiny.yaml"


@pytest.fixture
def additive(monkeypatch: pytest.MonkeyPatch) -> Additive:
    pool = Additive()
    for module in ("moonas.device_table", "moonas.worker.local"):
        monkeypatch.setattr(f"{module}.LocalPool", lambda devices, *more: pool)
    return pool


def test_an_additive_device_is_predicted_and_the_error_on_networks_held_out_told(study_file: Path, additive: Additive) -> None:
    counted: list[tuple[int, int]] = []
    table = fit_device_table(study_file, networks=75, report=lambda done, of: counted.append((done, of)))
    assert counted == [(number, 150) for number in range(1, 151)]
    assert table["device"] == DEVICE
    keys = {(json.dumps(t["spec"]["architecture"]), t["spec"]["skeleton"]["channels"]) for t in additive.started}
    assert len(keys) == 150  # all different
    for fitted in table["skeletons"]:
        fit = fitted["fit"]
        assert (fit["networks"], fit["held_out"]) == (60, 15)
        assert 0 <= fit["error"] < 0.009  # at most 8 edges and the fixed part of 1 ms, each rounded up to a microsecond
        assert fit["rank_correlation"] > 0.99
        assert fit["spread"] == pytest.approx(0.1)


def test_the_command_writes_a_table_that_the_study_file_then_reads(study_file: Path, additive: Additive) -> None:
    path = study_file.with_name("table.json")
    done = CliRunner().invoke(app, ["device-table", str(study_file), "-o", str(path), "--networks", "60"])
    assert done.exit_code == 0, done.output
    assert "120 of 120 networks measured" in done.output
    assert "rank correlation" in done.output
    assert [fitted.skeleton["channels"] for fitted in load_study(study_file).device_tables[0].skeletons] == [2, 4]
    study = moonas.run(study_file)
    path.unlink()
    for network in study.archive():
        predicted, measured = network.metrics["predicted_latency_us"].value, network.metrics["latency_ms"].value
        assert measured * 1000 - 0.01 <= predicted <= measured * 1000 + 9 * 1.01
        assert predicted <= (network.budget or {}).get("predicted_latency_us", {}).get("upper", predicted)
    assert moonas.resume("tiny").state == "COMPLETE"  # without the file
    front = CliRunner().invoke(app, ["front", "tiny"]).output
    assert "latency [ms]" in front
    assert "predicted latency [µs]" in front
    assert "interquartile range" in CliRunner().invoke(app, ["arch", "tiny", study.front()[0].key]).output


def test_a_report_shows_the_device_and_not_the_numbers_of_a_table(study_file: Path, additive: Additive) -> None:
    study_file.with_name("table.json").write_text(json.dumps(fit_device_table(study_file, networks=20)))
    moonas.run(study_file)
    page = moonas.write_report("tiny", study_file.with_name("report.html")).read_text()
    assert "predicted_latency_us, fitted on cpu fake (1 thread, torch 0), key " in page
    assert "rank_correlation" not in page
    assert "latency [ms]" in page


def test_what_has_no_table_and_too_few_networks_are_refused(study_file: Path, additive: Additive) -> None:
    with pytest.raises(UsageError, match="no device tables of 'memory_mib'"):
        fit_device_table(study_file, "memory_mib")
    with pytest.raises(UsageError, match="at least 13 networks, got 12"):
        fit_device_table(study_file, networks=12)
    assert additive.started == []


def test_a_metric_this_machine_lacks_stops_a_study_before_anything_runs(study_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_meter(spec: Mapping[str, Any]) -> Event:
        return Event(0, "unable", {"reason": f"{spec['metrics'][0]} is not available on this machine: no meter"})

    pool = FakePool(spoil=no_meter)
    monkeypatch.setattr("moonas.worker.local.LocalPool", lambda devices, *more: pool)
    lacking = {**TINY, "budgets": {}, "device_tables": [], "objectives": ["accuracy", {"metric": "energy_mj", "reference": 10}]}
    with pytest.raises(TaskError, match="energy_mj is not available on this machine: no meter"):
        moonas.run(lacking)
    assert [task["spec"]["kind"] for task in pool.started] == ["measure"]
    assert moonas.load_study("tiny").trials() == []


def test_a_tiny_study_measures_and_predicts_for_real(study_file: Path) -> None:
    small = {**TINY, "final": {"channels": 2, "cells": 3}, "workers": {"devices": "cpu", "tasks_per_device": 1}}
    table = fit_device_table(small, networks=13)
    assert table["device"]["type"] == "cpu"
    study = moonas.run({**small, "device_tables": [table]})
    assert study.state == "COMPLETE"
    assert len(study.archive()) == len(study.plan.pairs) == 2
    for network in study.archive():
        assert 0.05 < network.metrics["latency_ms"].value < 5000
        assert network.metrics["latency_ms"].device == table["device"]
        limit = (network.budget or {}).get("predicted_latency_us", {}).get("upper", 1e9)
        assert network.metrics["predicted_latency_us"].value <= limit
