"""The JSON schema of study files: it accepts what is valid, and refuses what an editor should underline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from moonas.cli import app
from moonas.study.json_schema import json_schema
from moonas.study.loading import study_from

STUDIES = [path for path in sorted((Path(__file__).parents[2] / "studies").glob("*.yaml")) if path.stem != "function"]
LEAST: dict[str, Any] = {
    "name": "least",
    "data": "digits",
    "space": "darts-cnn",
    "search": {"channels": 4, "cells": 3},
    "final": {"channels": 4, "cells": 3},
    "objectives": ["accuracy", "params"],
    "methods": ["random"],
}


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = json_schema()
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_study_of_the_repository_fits(path: Path, validator: Draft202012Validator) -> None:
    assert [error.message for error in validator.iter_errors(yaml.safe_load(path.read_text(encoding="utf-8")))] == []


@pytest.mark.parametrize(
    "part",
    [
        {"final": {"channels": [4, "1k"], "cells": 3}},
        {
            "methods": [{"name": "darts", "alpha_lr": {"log": ["1e-4", 0.01]}, "order": [1, 2], "handler": "penalty"}],
            "budgets": {"macs": "2M"},
        },
        {
            "methods": [{"name": "darts", "handler": "penalty", "continue_from": {"name": "nearest", "epochs": 0.5}}],
            "budgets": {"params": "30%"},
        },
        {"budgets": {"params": ["10%", 20000, {"lower": "20%"}, "none", "geometric(6k, 24k, 3)"], "flops": "600e6"}},
        {"objectives": ["accuracy", {"metric": "latency_ms", "known": True, "reference": 20}]},
        {"constraints": ["params<=30k"], "workers": {"devices": [0, 1]}, "limits": {"hours": 0.5}},
        {"sampler": {"name": "tpe", "n_startup_trials": 4}, "trials": "1k"},
        {"data": {"name": "digits", "fractions": {"train_w": 0.1}}, "performance": {"channels_last": True}},
    ],
)
def test_what_is_valid_fits(part: dict[str, Any], validator: Draft202012Validator) -> None:
    study_from({**LEAST, **part})
    assert [error.message for error in validator.iter_errors({**LEAST, **part})] == []


def test_a_study_of_a_function_needs_neither_data_nor_space(validator: Draft202012Validator) -> None:
    study = {"name": "f", "objectives": ["accuracy"], "methods": [{"name": "function", "function": "f", "x": {"uniform": [0, 1]}}]}
    assert validator.is_valid(study)


@pytest.mark.parametrize(
    "part",
    [
        {"name": "-"},
        {"colour": "red"},
        {"data": "digit"},
        {"data": {"name": "digits", "sise": 8}},
        {"data": None},
        {"final": {"channels": 0, "cells": 3}},
        {"final": {"channels": 4}},
        {"methods": [{"name": "darts", "epochs": "many"}]},
        {"methods": [{"name": "darts", "handler": "reward"}]},
        {"methods": [{"name": "darts", "alpha_lr": {"logarithmic": [1, 2]}}]},
        {"methods": ["fixed"]},
        {"budgets": {"accuracy": [0.9]}},
        {"objectives": ["test_accuracy"]},
        {"constraints": ["params<2M"]},
        {"sampler": {"name": "tpe", "population_size": 20}},
        {"workers": {"devices": "gpu"}},
        {"replicates": 0},
    ],
)
def test_what_is_wrong_by_itself_does_not_fit(part: dict[str, Any], validator: Draft202012Validator) -> None:
    assert not validator.is_valid({**LEAST, **part})


@pytest.mark.parametrize("key", LEAST)
def test_what_is_required_may_not_be_absent(key: str, validator: Draft202012Validator) -> None:
    assert not validator.is_valid({name: value for name, value in LEAST.items() if name != key})


def test_the_command_prints_it_with_what_settings_mean() -> None:
    done = CliRunner().invoke(app, ["schema"])
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert found == json_schema()
    assert found["properties"]["seed"]["description"] == "all random streams and the split of the data follow from it"
