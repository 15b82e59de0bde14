"""Device tables in study files: read from their files, kept whole in the resolved study, checked against what they are for."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from moonas.errors import StudyFileError
from moonas.outer.plan import Plan
from moonas.study.changes import changes, scientific_hash
from moonas.study.loading import load_study, study_from
from tests.outer.studies import SMALL
from tests.study.files import complaints

SPACE = {"name": "darts-cnn", **{key: value for key, value in SMALL["space"].items() if key != "name"}}
BY_PREDICTION = {"objectives": ["accuracy", "predicted_latency_us"], "budgets": {"predicted_latency_us": ["50%", 2500]}}


def skeleton(channels: int) -> dict[str, Any]:
    return {"space": "darts-cnn", "channels": channels, "cells": 3, "input_shape": [1, 8, 8], "classes": 10, "stem": "cifar"}


def table(**changed: Any) -> dict[str, Any]:
    """2,000 us and, for a separable convolution, 100 us in normal and 300 us in reduction cells; twice that at 4 channels."""
    fit = {"networks": 80, "held_out": 20, "error": 0.04, "rank_correlation": 0.97, "spread": 0.02}
    return {
        "format": 1,
        "metric": "latency_ms",
        "device": {"type": "cpu", "name": "Z80", "threads": 1, "torch": "2"},
        "space": SPACE,
        "settings": {"batch": None, "warmups": 10, "repeats": 50},
        "skeletons": [
            {
                "skeleton": skeleton(channels),
                "column": {"fixed": 2000 * scale, "edges": {"normal": [[0, 100 * scale]] * 2, "reduce": [[0, 300 * scale]] * 2}},
                "fit": fit,
            }
            for channels, scale in ((2, 1), (4, 2))
        ],
        **changed,
    }


def with_tables(*tables: Any, **changed: Any) -> dict[str, Any]:
    return {**SMALL, "device_tables": list(tables), **changed}


def test_predicted_costs_are_budgets_and_objectives_like_exact_ones() -> None:
    plan = Plan(study_from(with_tables(table(), **BY_PREDICTION)))
    assert plan.spans["predicted_latency_us"] == (2000, 2 * (2000 + 200 + 600))
    assert plan.budgets == [{"predicted_latency_us": {"upper": 3800}}, {"predicted_latency_us": {"upper": 2500}}]
    assert [(size, budget["predicted_latency_us"]["upper"]) for budget, size in plan.pairs] == [((2, 3), 3800), ((2, 3), 2500)]
    architecture = (
        plan.decoders[2, 3]
        .decode({"normal": [[0, 1]] * 2, "reduce": [[0, 1.1]] * 2}, {"predicted_latency_us": {"upper": 2499}})
        .architecture
    )
    assert plan.costs(architecture, plan.final_skeleton((2, 3))) == {
        "params": 524 + 52 + 320,  # one separable convolution in each cell
        "macs": 8912 + 2816 + 2240,
        "predicted_latency_us": 2000 + 100 + 300,
    }


def test_a_search_that_knows_its_budget_knows_the_table_and_another_does_not() -> None:
    handled = with_tables(table(), methods=["random", "darts", {"name": "darts", "label": "penalty", "handler": "penalty"}])
    plan = Plan(study_from(handled | BY_PREDICTION))
    specs = {design.method: plan.search_spec(design, 0) for design in plan.designs({m.label: [{}] for m in plan.config.methods})}
    assert specs["darts"].predicted is None
    for method in ("random", "penalty"):
        assert specs[method].predicted == {"predicted_latency_us": table()["skeletons"][0]["column"]}


def test_a_file_is_read_beside_the_study_file_and_its_content_kept(tmp_path: Path) -> None:
    (tmp_path / "latency.json").write_text(json.dumps(table()))
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(with_tables("latency.json", **BY_PREDICTION)))
    config = load_study(tmp_path / "study.yaml")
    (tmp_path / "latency.json").unlink()
    stored = json.loads(json.dumps(config.to_json()))
    assert study_from(stored) == config
    assert stored["device_tables"] == [table()]


def test_another_content_is_another_study() -> None:
    one, other = study_from(with_tables(table())), study_from(with_tables(table(device={**table()["device"], "name": "6502"})))
    assert scientific_hash(one) != scientific_hash(other)
    (change,) = changes(one, other)
    assert (change.path, change.kind) == ("device_tables", "refused")
    assert len(str(change)) < 1200


def test_mistakes_about_files_say_what_would_do(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(with_tables("gone.json")))
    with pytest.raises(StudyFileError, match=r"device_tables: there is no file .*gone\.json; make it with: moonas device-table"):
        load_study(tmp_path / "study.yaml")
    (tmp_path / "gone.json").write_text("{")
    with pytest.raises(StudyFileError, match=r"gone\.json cannot be read"):
        load_study(tmp_path / "study.yaml")


def test_content_from_elsewhere_names_no_file() -> None:
    assert "only a study file on disk" in complaints(device_tables=["/etc/passwd"])["device_tables[0]"]


@pytest.mark.parametrize(
    ("changed", "path", "message"),
    [
        ({"device_tables": [table(), table()]}, "device_tables[1]", "gives predicted_latency_us, which a table before it gives"),
        ({"device_tables": [table(space={"name": "darts-cnn"})]}, "device_tables[0]", "was fitted for the space"),
        ({"device_tables": [table(metric="memory_mib")]}, "device_tables[0].metric", "there are no device tables of 'memory_mib'"),
        ({"device_tables": [table(format=2)]}, "device_tables[0].format", "must be 1"),
        ({"objectives": ["accuracy", "predicted_energy_uj"]}, "objectives", "predicted_energy_uj is read off a device table"),
        ({"budgets": {"predicted_latency_us": [5]}, "device_tables": []}, "budgets", "predicted_latency_us is read off"),
        ({"constraints": ["predicted_latency_us<=5"], "device_tables": []}, "constraints", "predicted_latency_us is read off"),
        ({"budgets": {"latency_ms": [5]}}, "budgets.latency_ms", "latency_ms cannot be a budget; costs that add up can"),
        ({"measure": {"metrics": ["params"]}}, "measure.metrics[0]", "params is not measured on a device"),
        ({"measure": {"metrics": ["latency"]}}, "measure.metrics[0]", "did you mean 'latency_ms'?"),
    ],
)
def test_what_does_not_fit_is_told_at_its_place(changed: dict[str, Any], path: str, message: str) -> None:
    told = complaints(**{**SMALL, "device_tables": [table()], **changed})
    assert message in told[path]


def test_a_table_must_cover_every_size_edge_and_operation() -> None:
    with pytest.raises(StudyFileError, match=r"device_tables\[0\]: was not fitted at the study's final skeleton .*'channels': 8"):
        Plan(study_from(with_tables(table(), final={"channels": [2, 8], "cells": 3})))
    short = table()
    short["skeletons"][1]["column"]["edges"]["reduce"] = [[0, 1]]
    with pytest.raises(StudyFileError, match=r"device_tables\[0\]: does not hold one number per edge and operation"):
        Plan(study_from(with_tables(short)))
