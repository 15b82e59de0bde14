"""A whole study of dense cells: TND-NAS and random over budgets, read back, reported and drawn."""

import pytest
from typer.testing import CliRunner

from moonas import api
from moonas.cli import app
from moonas.spaces.costs import cost

STUDY = {
    "name": "dense",
    "seed": 1,
    "data": {"name": "digits", "images": 120},
    "space": {"name": "tnd-cnn", "nodes": 2, "empty_nodes": True},
    "search": {"channels": 4, "cells": 3},
    "final": {"channels": [3, 4], "cells": 3},
    "objectives": ["accuracy", "params"],
    "methods": [
        "random",
        {"name": "tnd-nas", "epochs": 1, "warmup_epochs": 0, "deepen": 1, "batch": 64, "samples": 2},
        {"name": "tnd-nas", "label": "tnd-free", "handler": "none", "epochs": 1, "warmup_epochs": 0, "deepen": 0, "samples": 2},
    ],
    "budgets": {"params": ["0%", "40%"]},
    "protocol": {"name": "short", "epochs": 1},
    "workers": {"devices": "cpu", "tasks_per_device": 1},
}


@pytest.fixture(scope="module")
def storage(tmp_path_factory) -> str:
    url = f"sqlite:///{tmp_path_factory.mktemp('dense')}/moonas.db"
    assert api.run(STUDY, url).state.value == "COMPLETE"
    return url


def test_every_network_obeys_its_budget_and_costs_what_is_stored(storage):
    study = api.load_study("dense", storage)
    assert [trial.state.value for trial in study.trials()] == ["COMPLETE"] * len(study.trials())
    assert {trial.params["method"] for trial in study.trials()} == {"random", "tnd-nas", "tnd-free"}
    for network in study.archive():
        assert network.metrics["params"].value <= network.budget["params"]["upper"]
        assert cost(network.architecture, network.skeleton) == (network.metrics["params"].value, network.metrics["macs"].value)


def test_searches_without_a_handler_are_shared_by_budgets_and_widths_and_rewarded_ones_are_not(storage):
    tasks = api.load_study("dense", storage).store.tasks(api.load_study("dense", storage).record.id, kind="search")
    searches = [task.spec["handler"]["name"] for task in tasks if task.spec["method"]["name"] == "tnd-nas"]
    pairs = len(api.load_study("dense", storage).plan.pairs)
    assert sorted(searches) == ["none"] + ["reward"] * pairs


def test_trials_that_fell_back_are_marked(storage):
    study = api.load_study("dense", storage)
    fallen = study.fallbacks()
    assert set(fallen) <= {trial.number for trial in study.trials() if trial.params["method"] != "random"}
    listed = CliRunner().invoke(app, ["trials", "dense", "--storage", storage, "--format", "json"])
    assert listed.exit_code == 0
    assert listed.stdout.count('"fallback": "decoded by an earlier stage') == len(fallen)
    # 0 % of the span allows nothing but operations without weights, of which the last stage has none left on some edge
    assert fallen == {3: fallen[3], 6: fallen[6]}


def test_dense_cells_are_printed_and_drawn(storage, tmp_path):
    network = api.load_study("dense", storage).archive()[0]
    shown = CliRunner().invoke(app, ["arch", "dense", network.key, "--storage", storage])
    assert shown.exit_code == 0, shown.output
    assert '"space": "tnd-cnn"' in shown.output
    assert "<svg" in api.write_report("dense", tmp_path / "report.html", storage).read_text()
