"""The Python API and the command line over a whole study, on workers that run no torch."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

import moonas
from moonas import api
from moonas.architecture import Architecture
from moonas.cli import app
from moonas.errors import StudyConflictError, StudyFileError, UnknownStudyError, UsageError
from moonas.skeleton import Skeleton
from tests.outer.fakes import FakePool, small_study


@pytest.fixture(autouse=True)
def no_torch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("moonas.worker.local.LocalPool", lambda devices, *more: FakePool(len(devices)))
    monkeypatch.setenv("MOONAS_STORAGE", f"sqlite:///{tmp_path}/study.db")
    monkeypatch.setenv("COLUMNS", "200")


def cli(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output


def test_run_returns_the_study_and_running_it_again_changes_nothing() -> None:
    study = moonas.run(small_study())
    assert study.state == "COMPLETE"
    again = moonas.run(small_study())
    assert [m.to_json() for m in again.front()] == [m.to_json() for m in study.front()]
    assert len(again.trials()) == len(study.trials()) == 12


def test_a_changed_scientific_field_is_refused_field_by_field() -> None:
    moonas.run(small_study())
    changed = small_study(seed=4, methods=["random", {"name": "darts", "epochs": 9}], protocol={"name": "short", "epochs": 3})
    with pytest.raises(StudyConflictError) as caught:
        moonas.run(changed)
    for path in ("seed: 3 -> 4", "methods:", "protocol.epochs: 20 -> 3"):
        assert path in str(caught.value)
    assert "moonas delete small" in str(caught.value)


def test_additions_need_extend_and_are_recorded() -> None:
    moonas.run(small_study(replicates=1))
    with pytest.raises(StudyConflictError, match="--extend"):
        moonas.run(small_study(replicates=2))
    study = moonas.run(small_study(replicates=2, budgets={"params": ["10%", "40%", "none", "70%"]}), extend=True)
    assert len(study.trials()) == 2 * 4 * 2
    assert any(event.kind == "config" for event in study.store.events(study.record.id))


def test_workers_and_limits_may_change_without_extend() -> None:
    moonas.run(small_study())
    assert moonas.run(small_study(workers={"tasks_per_device": 4}, limits={"hours": 2})).config.limits.hours == 2
    with pytest.raises(StudyConflictError, match="threads_per_task"):
        moonas.run(small_study(workers={"threads_per_task": 2}))


def test_resume_needs_the_database_alone() -> None:
    stopped = moonas.run(small_study(limits={"device_hours": 1e-9}))
    assert stopped.state == "STOPPED"
    moonas.run(small_study(limits={}))
    assert moonas.resume("small").state == "COMPLETE"
    with pytest.raises(UnknownStudyError, match="small"):
        moonas.resume("smal")


def test_reading_a_database_that_is_not_there_makes_none(tmp_path: Path) -> None:
    assert moonas.list_studies() == []
    with pytest.raises(UnknownStudyError):
        moonas.load_study("small")
    assert list(tmp_path.iterdir()) == []


def test_deleting_a_study_leaves_the_others() -> None:
    moonas.run(small_study())
    moonas.run(small_study(name="other"))
    before = [m.to_json() for m in moonas.load_study("other").front()]
    moonas.delete_study("small")
    assert [summary.name for summary in moonas.list_studies()] == ["other"]
    assert [m.to_json() for m in moonas.load_study("other").front()] == before


def test_to_frame_gives_one_row_per_record() -> None:
    pandas = pytest.importorskip("pandas")
    study = moonas.run(small_study())
    frame = study.archive().to_frame()
    assert isinstance(frame, pandas.DataFrame)
    assert len(frame) == len(study.archive())
    assert {"key", "accuracy", "params", "macs", "on_front"} <= set(frame.columns)
    assert len(study.trials().to_frame()) == 12


def test_a_search_without_a_database_decodes_at_every_budget() -> None:
    result = moonas.search(small_study())
    assert [row["budget"] for row in result["decoded"]][-1] == "none"
    for row in result["decoded"]:
        limit = row["budget"].partition("<=")[2]
        assert row["params"] <= int(limit or 10**9)
        assert moonas.cost(Architecture.from_json(row["genotype"]), Skeleton(**row["skeleton"])) == (row["params"], row["macs"])
    with pytest.raises(UsageError, match="has no method 'dart'"):
        moonas.search(small_study(), "dart")
    with pytest.raises(UsageError, match="leaves alpha_lr open"):
        moonas.search(small_study(methods=[{"name": "darts", "alpha_lr": [1e-3, 1e-2]}]))


def test_an_impossible_budget_is_refused_before_any_worker_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("a worker was started")

    monkeypatch.setattr("moonas.worker.local.LocalPool", never)
    with pytest.raises(StudyFileError, match=r"budgets.*params<=10: params reaches from [\d,]+ to [\d,]+"):
        moonas.run(small_study(budgets={"params": [10]}))


def test_front_as_json_holds_what_programs_need(tmp_path: Path) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(yaml.safe_dump(small_study()))
    assert "Pareto front of small" in cli("run", str(file), "--quiet")
    members = json.loads(cli("front", "small", "--format", "json"))
    assert members
    for member in members:
        assert set(member) >= {"key", "genotype", "skeleton", "trial", "method", "budget", "metrics"}
        architecture, skeleton = Architecture.from_json(member["genotype"]), Skeleton(**member["skeleton"])
        assert architecture.key == member["key"]
        costs = moonas.cost(architecture, skeleton)
        assert member["metrics"]["params"]["value"] == costs.params
        assert member["metrics"]["macs"]["value"] == costs.macs
        assert set(member["metrics"]) == {"accuracy", "test_accuracy", "params", "macs"}
        assert member["metrics"]["accuracy"]["protocol"].startswith("short")
        assert member["budget"] is None or set(member["budget"]) == {"params"}


def test_a_front_of_the_history_is_printed_with_its_own_hypervolume() -> None:
    study = moonas.run(small_study())
    first = study.front_history()[0]
    assert f"front {first.number} of small: 1 network, hypervolume {first.hypervolume:.4f}" in cli(
        "front", "small", "--number", "1"
    )
    with pytest.raises(UsageError, match="has no front 999; it has fronts 1 to"):
        study.front(999)


def test_every_command_that_reads_works_in_every_format(tmp_path: Path) -> None:
    moonas.run(small_study())
    key = moonas.load_study("small").front()[0].key
    listed = json.loads(cli("list", "--format", "json"))
    assert [(row["name"], row["state"], row["trials"]) for row in listed] == [("small", "COMPLETE", {"COMPLETE": 12})]
    for command in (["show", "small"], ["trials", "small"], ["logs", "small", "3"], ["front", "small"], ["arch", "small", key[:6]]):
        assert "small" in cli(*command) or "trial 3" in cli(*command)
        assert json.loads(cli(*command, "--format", "json"))
    rows = list(csv.DictReader(io.StringIO(cli("trials", "small", "--format", "csv"))))
    assert len(rows) == 12
    assert {"number", "state", "budget", "metrics.accuracy"} <= set(rows[0])
    best = json.loads(cli("best", "small", "--under", "params=1e9", "--format", "json"))
    accuracies = [network.metrics["accuracy"].value for network in moonas.load_study("small").archive()]
    assert best["metrics"]["accuracy"]["value"] == max(accuracies)
    page = tmp_path / "report.html"
    cli("report", "small", "-o", str(page))
    assert "small" in page.read_text()
    cli("delete", "small", "--yes")
    assert json.loads(cli("list", "--format", "json")) == []


def test_cells_that_a_spreadsheet_would_run_are_defused() -> None:
    from moonas.cli.output import _flat

    assert _flat({"name": "=1+1", "metrics": {"a": -1.5}}) == {"name": "'=1+1", "metrics.a": -1.5}


def test_plan_counts_without_measuring(tmp_path: Path) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(yaml.safe_dump(small_study(final={"channels": [4, 8], "cells": 5}, budgets={"params": ["5%", "60%"]})))
    found = json.loads(cli("plan", str(file), "--no-measure", "--format", "json"))
    fitting = [row for row in found["budgets"] if not row["left_out"]]
    assert found["trials"] == 2 * len(fitting) * 2
    assert found["searches"] == 2
    assert len(found["budgets"]) == 4
    for row in fitting:
        assert row["params"][0] <= row["params"][1] <= int(row["budget"].partition("<=")[2])
        assert row["architectures"] > 0


def test_a_study_whose_every_trial_fails_is_not_a_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from moonas.worker.local import Event

    def spoil(spec: Any) -> Event:
        return Event(0, "error", {"reason": "NonFiniteLossError: NaN", "traceback": "Traceback"})

    monkeypatch.setattr("moonas.worker.local.LocalPool", lambda devices, *more: FakePool(len(devices), spoil=spoil))
    file = tmp_path / "small.yaml"
    file.write_text(yaml.safe_dump(small_study()))
    assert "12 trials failed" in cli("run", str(file), "--quiet", code=1)
    assert "NaN" in cli("logs", "small", "0")


def test_the_version_is_that_of_the_package() -> None:
    assert cli("--version").strip() == f"moonas {moonas.__version__}"
    assert api.list_studies() == []


def test_the_report_counts_evaluations_whatever_the_order_of_the_objectives() -> None:
    from moonas.report.collect import report_data

    few = {"name": "darts-cnn", "nodes": 1, "operations": ["skip_connect", "sep_conv_3x3"]}
    counted = set()
    for name, objectives in {"one": ["accuracy", "params"], "other": ["params", "accuracy"]}.items():
        raw = small_study(
            name=name, objectives=objectives, space=few, methods=["random"], budgets={"params": ["none"]}, replicates=30
        )
        study = moonas.run(raw)
        assert len(study.archive()) < 30
        assert study.front_history()[-1].evaluations < 30
        counted.add(report_data(study).history[-1].evaluations)
    assert counted == {30}
