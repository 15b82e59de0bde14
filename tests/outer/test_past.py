"""What a sampler learns before the first trial: from another study, from a CSV file, and after a resume."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from moonas import api
from moonas.cli import app
from moonas.errors import MoonasError, StudyConflictError, StudyFileError, UnknownStudyError, UsageError
from moonas.outer.past import history_of, past_draws, with_past
from moonas.outer.plan import Plan
from moonas.outer.samplers.sampler import History, Told, make_sampler
from moonas.store.store import Store
from moonas.study.loading import load_study, study_from
from moonas.terminal.studies import print_study
from tests.outer.fakes import Crash, FakePool, drive, small_study

DARTS = {"name": "darts", "alpha_lr": {"log": [1e-4, 1e-2]}}


def pilot(**changes: Any) -> dict[str, Any]:
    return small_study(**{"name": "pilot", "methods": ["random", DARTS], "sampler": "random", "trials": 8, **changes})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    with Store.open(f"sqlite:///{tmp_path}/study.db", create=True) as opened:
        yield opened


def taken(store: Store, **changes: Any) -> Plan:
    """The plan of a study with the trials of `pilot` looked up."""
    plan = Plan(study_from(pilot(**{"name": "next", "history": [{"study": "pilot"}], **changes})))
    raw = plan.config.to_json() | {"history": [vars(past) for past in with_past(plan, store)]}
    return Plan(study_from(raw))


def test_each_design_of_another_study_is_one_draw_with_the_mean_over_its_replicates(store: Store) -> None:
    drive(store, pilot(methods=[DARTS]), FakePool(1))
    trials = store.trials(store.study("pilot").id)
    draws = past_draws(taken(store, methods=[DARTS]))
    assert [draw.design.to_params() for draw in draws] == [trial.params for trial in trials[::2]]
    for draw, first, second in zip(draws, trials[::2], trials[1::2], strict=True):
        by_hand = [(first.values[name] + second.values[name]) / 2 for name in ("accuracy", "params")]
        assert draw.values == pytest.approx([-by_hand[0], by_hand[1]])
        assert (draw.imported, draw.state, draw.violation) == (True, "COMPLETE", 0.0)


def test_violations_are_those_of_the_study_that_learns(store: Store) -> None:
    drive(store, pilot(replicates=1, methods=[DARTS]), FakePool(1))
    accuracies = [trial.values["accuracy"] for trial in store.trials(store.study("pilot").id)]
    limit = max(accuracies)
    draws = past_draws(taken(store, methods=[DARTS], constraints=[f"accuracy>={limit}"]))
    assert [draw.violation for draw in draws] == pytest.approx([(limit - accuracy) / limit for accuracy in accuracies])
    assert 0 < sum(draw.violation > 0 for draw in draws) < len(draws)


def test_trials_that_the_study_has_no_place_for_are_left_out(store: Store) -> None:
    drive(store, pilot(replicates=1), FakePool(1))
    trials = store.trials(store.study("pilot").id)
    narrow = [{**DARTS, "alpha_lr": {"log": [1e-3, 1e-2]}}]
    fitting = [t.params for t in trials if t.params["method"] == "darts" and t.params["setting.alpha_lr"] >= 1e-3]
    assert 0 < len(fitting) < sum(trial.params["method"] == "darts" for trial in trials)
    assert [draw.design.to_params() for draw in past_draws(taken(store, methods=narrow))] == fitting
    other = [{**DARTS, "label": "other"}]
    with pytest.raises(UsageError, match=r"history\[0\]: no complete trial of study pilot fits .* is not a method of this study"):
        taken(store, methods=other)


def test_a_study_that_measures_otherwise_is_refused(store: Store) -> None:
    drive(store, pilot(replicates=1, trials=1), FakePool(1))
    with pytest.raises(UsageError, match=r"history\[0\]: study pilot measures otherwise.*protocol.epochs: 20 -> 3"):
        taken(store, protocol={"name": "short", "epochs": 3})
    with pytest.raises(UnknownStudyError, match=r"history\[0\]: there is no study 'pilt'.*did you mean 'pilot'"):
        taken(store, history=[{"study": "pilt"}])


def test_draws_of_elsewhere_count_as_draws_and_not_as_trials(store: Store) -> None:
    drive(store, pilot(replicates=1, methods=[DARTS]), FakePool(1))
    plan = taken(store, methods=[DARTS])
    history = history_of(plan)
    assert (history.drawn, history.changes, history.trials) == (8, list(range(8)), [])
    design = history.draw(3).design
    assert not history.has(design, 0)
    history.add(Told(design.to_params(), 0, "RUNNING", None, {}))
    assert (history.drawn, history.draw(8).imported, history.draw(3).imported) == (9, False, True)
    history.tell(0, Told(design.to_params(), 0, "COMPLETE", [-0.5, 7.0], {}))
    assert (history.draw(8).values, history.changes[-2:]) == ((-0.5, 7.0), [8, 8])


class Greedy:
    """A sampler that learns: it repeats the design of the best draw so far, so that every trial betrays what it knew."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def propose(self, history: History, index: int) -> Any:
        known = [history.draw(number) for number in range(index)]
        complete = [draw for draw in known if draw.values is not None]
        return min(complete, key=lambda draw: draw.values or ()).design, {}


def test_a_sampler_learns_it_and_a_resumed_study_knows_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    for deaths in ((), (3, 4)):
        with Store.open(f"sqlite:///{tmp_path}/{len(deaths)}.db", create=True) as store:
            drive(store, pilot(replicates=1), FakePool(1))
            best = max(store.trials(store.study("pilot").id), key=lambda trial: trial.values["accuracy"])
            raw = taken(store, replicates=1, trials=5).config.to_json()
            store.delete_study("pilot")
            with monkeypatch.context() as greedy:
                greedy.setattr("moonas.outer.samplers.sampler.load_object", lambda name: Greedy)
                for crash_after in deaths:
                    with pytest.raises(Crash):
                        drive(store, raw, FakePool(1, crash_after=crash_after))
                drive(store, raw, FakePool(1))
            trials = store.trials(store.study("next").id)
            assert trials[0].params == best.params
            asked.append([(trial.number, trial.params) for trial in trials])
    assert asked[0] == asked[1]
    assert len(asked[0]) == 5


@pytest.mark.parametrize("name", ["nsga2", "pymoo:nsga2"])
def test_evolution_goes_on_from_the_generations_that_were_learned(store: Store, name: str) -> None:
    drive(store, pilot(replicates=1, methods=[DARTS]), FakePool(1))
    plan = taken(store, methods=[DARTS], sampler={"name": name, "population_size": 4})
    history = history_of(plan)
    proposal = make_sampler(plan).ask(history)
    assert proposal is not None
    generation = {"nsga2": 1, "pymoo:nsga2": 2}[name]  # eight draws learned: one generation, or two of four
    assert generation in [*proposal.attributes.values(), *proposal.attributes.get("trial", {}).values()]
    assert make_sampler(plan).ask(history_of(plan)) == proposal
    fresh = make_sampler(Plan(replace(plan.config, history=()))).ask(History())
    assert fresh is not None
    assert fresh.design != proposal.design


def test_run_looks_the_trials_up_once(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr("moonas.worker.local.LocalPool", lambda devices, *more: FakePool(len(devices)))
    url = f"sqlite:///{tmp_path}/study.db"
    api.run(pilot(replicates=1, trials=3), url)
    learned = pilot(name="next", replicates=1, trials=2, history=[{"study": "pilot"}])
    study = api.run(learned, url)
    print_study(study)
    assert "3 trials of study pilot" in " ".join(capsys.readouterr().out.split())
    assert len(study.trials()) == 2
    api.run(pilot(replicates=1, trials=4), url, extend=True)
    assert len(api.run(learned, url).config.history[0].trials or {}) == 3
    assert len(api.resume("next", url).config.history[0].trials or {}) == 3
    with pytest.raises(StudyConflictError, match="history"):
        api.run({**learned, "history": []}, url)


# CSV files

HEAD = "method,budget,setting.alpha_lr,replicate,metrics.accuracy,metrics.params"
ROWS = ["random,none,,0,0.5,900", "darts,none,1e-3,0,0.75,1000", "darts,none,0.001,1,0.25,2000"]


def from_csv(tmp_path: Path, lines: list[str], **changes: Any) -> Plan:
    """The plan of a study file beside a CSV file with these lines."""
    (tmp_path / "earlier.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    file = tmp_path / "next.yaml"
    file.write_text(yaml.safe_dump(pilot(history=[{"csv": "earlier.csv"}], **changes)), encoding="utf-8")
    return Plan(load_study(file))


def test_rows_of_a_file_are_trials(tmp_path: Path) -> None:
    draws = past_draws(from_csv(tmp_path, [HEAD, *ROWS]))
    assert [(draw.design.method, dict(draw.design.settings), draw.values) for draw in draws] == [
        ("random", {}, (-0.5, 900.0)),
        ("darts", {"alpha_lr": 0.001}, (-0.5, 1500.0)),
    ]


def test_what_moonas_trials_prints_is_such_a_file(store: Store, tmp_path: Path) -> None:
    drive(store, pilot(final={"channels": [4, 8], "cells": 5}), FakePool(1))
    arguments = ["trials", "pilot", "--format", "csv", "--storage", f"sqlite:///{tmp_path}/study.db"]
    printed = CliRunner().invoke(app, arguments).stdout
    assert len(list(csv.DictReader(io.StringIO(printed)))) == 8
    final = {"channels": [4, 8], "cells": 5}
    assert past_draws(from_csv(tmp_path, printed.splitlines(), final=final)) == past_draws(taken(store, final=final))


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([HEAD.replace("budget", "budgt"), *ROWS], "line 1, column 'budgt': is not known; did you mean 'budget'?"),
        ([HEAD.replace("replicate", "method"), *ROWS], "line 1, column 'method': stands more than once"),
        ([HEAD, ROWS[0], "darts,none,1e-3,0,0.75"], "line 3: 5 cells under 6 columns"),
        ([HEAD, ROWS[0], "darts,none,1e-3,0,high,7"], "line 3, column metrics.accuracy: 'high' is not a number"),
        ([HEAD, ROWS[0], "darts,none,1e-3,0,0.75,"], "line 3, column metrics.params: is missing"),
        ([HEAD, "darts,none,0.1,0,0.75,7"], "line 2, column setting.alpha_lr: 0.1 lies outside of 0.0001 to 0.01"),
        ([HEAD, "darts,none,,0,0.75,7"], "line 2, column setting.alpha_lr: is missing"),
        ([HEAD, "random,none,1e-3,0,0.75,7"], "line 2, column setting.alpha_lr: random has no such parameter"),
        ([HEAD, "dart,none,1e-3,0,0.75,7"], "line 2, column method: 'dart' is not in this study; it has: random, darts"),
        ([HEAD, "random,params<=7,,0,0.75,7"], "line 2, column budget: 'params<=7' is not in this study"),
        ([HEAD + ",cells", "random,none,,0,0.75,7,9"], "line 2, column cells: '9' is not in this study; it has: 5"),
        ([], "earlier.csv is empty"),
    ],
)
def test_a_mistake_in_a_file_is_told_with_its_line_and_column(tmp_path: Path, lines: list[str], words: str) -> None:
    with pytest.raises(StudyFileError) as refusal:
        past_draws(from_csv(tmp_path, lines) if lines else from_csv(tmp_path, [""]))
    assert words in str(refusal.value)
    assert refusal.value.problems[0].path.startswith("history")


@pytest.mark.parametrize(
    ("history", "words"),
    [
        ([{"csv": "missing.csv"}], "there is no file"),
        ([{}], "expected either `study`"),
        ([{"study": "a", "csv": "b", "trials": {}}], "expected either `study`"),
        ([{"studdy": "a"}], "did you mean 'study'"),
    ],
)
def test_a_malformed_history_is_refused(tmp_path: Path, history: list[Any], words: str) -> None:
    file = tmp_path / "next.yaml"
    file.write_text(yaml.safe_dump(pilot(history=history)), encoding="utf-8")
    with pytest.raises(MoonasError, match=words):
        load_study(file)


def test_a_file_is_named_only_by_a_file() -> None:
    with pytest.raises(StudyFileError, match="only a study file on disk may do so"):
        study_from(pilot(history=[{"csv": "/etc/hosts"}]))
