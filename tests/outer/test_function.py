"""Studies of an installed function: multi-objective optimization of settings, without networks, data or torch in the loop."""

import json
import os
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from moonas.errors import StudyFileError, TaskError
from moonas.report.collect import report_data
from moonas.report.html import render
from moonas.results.study import Study
from moonas.store.states import StudyState, TrialState
from moonas.store.store import Store
from moonas.study.functions import FUNCTIONS, FunctionEntry
from moonas.study.loading import study_from
from moonas.study.metrics import METRICS
from moonas.worker.functions import checked, run_function
from moonas.worker.outcome import TaskInterrupted
from tests.outer.fakes import FakePool, drive

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "tests" / "packages" / "moonas_zdt"
METHOD: dict[str, Any] = {"name": "function", "function": "zdt1", "x1": [0, 0.25, 1], "x2": [0, 1]}
ZDT: dict[str, Any] = {"name": "function", "objectives": ["zdt_f1", "zdt_f2"], "methods": [METHOD]}


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the example package publishes, for the time of a test."""
    monkeypatch.syspath_prepend(str(PACKAGE))
    from moonas_zdt import entries

    monkeypatch.setitem(FUNCTIONS._entries, "zdt1", entries.ZDT1)
    monkeypatch.setitem(METRICS._entries, "zdt_f1", entries.F1)
    monkeypatch.setitem(METRICS._entries, "zdt_f2", entries.F2)


class Calling(FakePool):
    """Runs functions at once; progress and result as a worker would tell them."""

    def start(self, slot: int, task: dict[str, Any]) -> None:
        from moonas.specs import EvaluateSpec

        self.started.append(dict(task))
        spec = EvaluateSpec.from_json(task["spec"])
        result = run_function(spec, lambda progress: self._tell(slot, "progress", progress))
        self._tell(slot, "result", {"result": json.loads(json.dumps(result))})


def driven(tmp_path: Path, raw: dict[str, Any], name: str = "study") -> tuple[Study, Calling]:
    store, pool = Store.open(f"sqlite:///{tmp_path}/{name}.db", create=True), Calling()
    assert drive(store, raw, pool) is StudyState.COMPLETE
    return Study(store, raw["name"]), pool


def test_the_front_of_a_grid_is_that_of_the_function(tmp_path: Path) -> None:
    study, pool = driven(tmp_path, ZDT)
    assert len(pool.started) == 6
    assert {task["spec"]["kind"] for task in pool.started} == {"evaluate"}
    found = {(n.settings["x1"], n.settings["x2"]): (n.metrics["zdt_f1"].value, n.metrics["zdt_f2"].value) for n in study.front()}
    assert found == {(0.0, 0.0): (0.0, 1.0), (0.25, 0.0): (0.25, 0.5), (1.0, 0.0): (1.0, 0.0)}, "f2 = 1 - sqrt(f1), by hand"
    assert set(study.archive()[0].metrics) == {"zdt_f1", "zdt_f2"}, "there is no network to have parameters"
    assert study.best(under={"zdt_f2": 0.5}).settings == {"x1": 0.25, "x2": 0.0}


def test_a_study_of_a_function_names_no_data_space_skeleton_or_protocol() -> None:
    config = study_from(ZDT)
    assert study_from(config.to_json()) == config
    assert (config.data.name, config.space.name, config.protocol.name) == ("none", "none", "function")
    assert config.methods[0].recipe({"x1": 0.5, "x2": 1.0}) == {"function": "zdt1", "params": {"x3": 0.0, "x1": 0.5, "x2": 1.0}}


def test_constraints_keep_settings_off_the_front(tmp_path: Path) -> None:
    study, _ = driven(tmp_path, {**ZDT, "constraints": ["zdt_f2<=0.9"]})
    assert {network.settings["x1"] for network in study.front()} == {0.25, 1.0}


def test_what_one_study_has_called_another_does_not_call_again(tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path}/study.db", create=True)
    drive(store, ZDT, Calling())
    again = Calling()
    drive(store, {**ZDT, "name": "second"}, again)
    assert again.started == []
    other = Calling()
    drive(store, {**ZDT, "name": "third", "replicates": 2}, other)
    assert len(other.started) == 6


def test_reports_become_the_progress_of_the_task(tmp_path: Path) -> None:
    study, _ = driven(tmp_path, {**ZDT, "methods": [{**METHOD, "x1": 0.5, "x2": 1}]})
    (task,) = study.store.tasks(study.record.id)
    assert [(step.step, step.metrics) for step in study.store.progress(task.id)] == [(1, {"g": 5.5})]


def entry(function: str, metrics: tuple[str, ...] = ("zdt_f1", "zdt_f2")) -> FunctionEntry:
    return FunctionEntry(config=FUNCTIONS["zdt1"].config, metrics=metrics, load=f"{__name__}:{function}")


def interrupted(params: Any, report: Any) -> dict[str, float]:
    report({"g": 1.0})
    raise AssertionError("the report was answered with a pause")


def seeds(params: Any, report: Any) -> dict[str, float]:
    return {"zdt_f1": params["seed"], "zdt_f2": params["x1"]}


def test_a_report_that_is_answered_with_pause_interrupts_the_function(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _, pool = driven(tmp_path, ZDT)
    from moonas.specs import EvaluateSpec

    monkeypatch.setitem(FUNCTIONS._entries, "zdt1", entry("interrupted"))
    with pytest.raises(TaskInterrupted):
        run_function(EvaluateSpec.from_json(pool.started[0]["spec"]), lambda progress: "pause")


def test_each_replicate_and_setting_gets_a_seed_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(FUNCTIONS._entries, "zdt1", entry("seeds"))
    study, _ = driven(tmp_path, {**ZDT, "replicates": 2})
    values = [trial.values["zdt_f1"] for trial in study.trials() if trial.values]
    assert len(set(values)) == 12
    again, _ = driven(tmp_path, {**ZDT, "replicates": 2}, "again")
    assert [trial.values["zdt_f1"] for trial in again.trials() if trial.values] == values


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        (3, "returned 3, not a mapping with a, b"),
        ({"a": 1}, "returned no 'b'; it returned: a"),
        ({"a": 1, "b": "much"}, "b must be a number, got 'much'"),
        ({"a": float("nan"), "b": 1}, "a is nan"),
    ],
)
def test_what_is_no_number_for_every_metric_fails_the_task(returned: Any, words: str) -> None:
    with pytest.raises(TaskError, match=words):
        checked("f", ("a", "b"), returned)


def test_more_than_the_metrics_is_ignored() -> None:
    assert checked("f", ("a",), {"a": True, "other": "text"}) == {"a": 1.0}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"methods": [METHOD, "random"]}, "do not compare: make two studies"),
        ({"data": "digits"}, "data: a function reads none"),
        ({"space": "darts-cnn"}, "space: a function reads none"),
        ({"protocol": "short"}, "leave `protocol` out"),
        ({"budgets": {"params": ["10%"]}}, "budgets: speaks of networks"),
        ({"objectives": ["zdt_f1", "params"]}, r"objectives\[1\]: params is nothing that zdt1 returns; it returns: zdt_f1, zdt_f2"),
        ({"methods": [{"name": "function", "function": "zdt2"}]}, "'zdt2' is not a function; did you mean 'zdt1'?"),
        ({"methods": [{"name": "function"}]}, r"methods\[0\].function: is missing"),
        ({"methods": [{**METHOD, "x4": 1}]}, r"methods\[0\].x4: 'x4' is not known here"),
        ({"methods": [{**METHOD, "x1": {"uniform": [0, 2]}}]}, r"methods\[0\].x1"),
        ({"methods": [{"name": "function", "function": "zdt1"}]}, r"methods\[0\].x1: is missing"),
    ],
)
def test_what_does_not_go_with_a_function_is_refused_at_its_place(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(StudyFileError, match=words):
        study_from({**ZDT, **changed})


@pytest.mark.parametrize("changed", [{"data": "none"}, {"protocol": "function"}, {"space": "none"}])
def test_what_stands_for_no_network_is_refused_where_networks_are_looked_for(changed: dict[str, Any]) -> None:
    from tests.outer.studies import SMALL

    with pytest.raises(StudyFileError):
        study_from({**SMALL, **changed})


def test_a_trial_whose_function_fails_does_so_alone(tmp_path: Path) -> None:
    from moonas.worker.local import Event

    def spoil(spec: Any) -> Event | None:
        wrong = spec["protocol"]["params"]["x1"] == 1 and spec["protocol"]["params"]["x2"] == 0
        return Event(0, "error", {"reason": "ValueError: boom", "traceback": "..."}, "fake/0") if wrong else None

    class Spoiled(Calling):
        def start(self, slot: int, task: dict[str, Any]) -> None:
            spoiled = spoil(task["spec"])
            if spoiled is None:
                super().start(slot, task)
            else:
                self._tell(slot, spoiled.kind, spoiled.message)

    store = Store.open(f"sqlite:///{tmp_path}/study.db", create=True)
    drive(store, ZDT, Spoiled())
    states = [trial.state for trial in Study(store, "function").trials()]
    assert sorted(states) == sorted([TrialState.COMPLETE] * 5 + [TrialState.FAIL])


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The example package as an installer leaves it, for new processes."""
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    info = tmp_path / "site" / "moonas_zdt-0.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    points = [f"{name} = {value}" for name, value in project["entry-points"]["moonas.plugins"].items()]
    (info / "entry_points.txt").write_text("\n".join(["[moonas.plugins]", *points]) + "\n")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(info.parent), str(PACKAGE), str(ROOT)])}


def test_the_study_of_the_folder_runs_from_the_command_line(tmp_path: Path, environment: dict[str, str]) -> None:
    text = (ROOT / "studies" / "function.yaml").read_text(encoding="utf-8").replace("trials: 60", "trials: 6")
    (tmp_path / "study.yaml").write_text(text, encoding="utf-8")

    def moonas(*arguments: str) -> str:
        command = [sys.executable, "-m", "moonas", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True).stdout

    assert "6 trials, 0 distinct searches" in moonas("plan", "study.yaml")
    assert "state COMPLETE" in moonas("run", "study.yaml")
    front = json.loads(moonas("front", "function", "--format", "json"))
    assert front
    for member in front:
        x1, x2, x3 = (member["settings"][name] for name in ("x1", "x2", "x3"))
        g = 1 + 9 * (x2 + x3) / 2
        assert member["metrics"]["zdt_f2"]["value"] == pytest.approx(g * (1 - (x1 / g) ** 0.5))
    assert "f1" in moonas("trials", "function")
    moonas("report", "function", "-o", "report.html")
    assert (tmp_path / "report.html").stat().st_size > 10_000


@dataclass(frozen=True, kw_only=True)
class NamedConfig:
    """A parameter that is a name."""

    kind: str = "short"


def by_name(params: Any, report: Any) -> dict[str, float]:
    return {"zdt_f1": float(len(params["kind"])), "zdt_f2": 1.0}


def test_a_parameter_may_be_a_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    named = FunctionEntry(config=NamedConfig, metrics=("zdt_f1", "zdt_f2"), load=f"{__name__}:by_name")
    monkeypatch.setitem(FUNCTIONS._entries, "zdt1", named)
    method = {"name": "function", "function": "zdt1", "kind": ["adam", "<b>sgd</b>"]}
    study, _ = driven(tmp_path, {**ZDT, "methods": [method], "sampler": "moonas", "trials": 4})
    assert [network.settings for network in study.front()] == [{"kind": "adam"}]
    page = render(report_data(study))
    assert "adam" in page
    assert "<b>sgd</b>" not in page, "names are written as text"
