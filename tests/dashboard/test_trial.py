"""The page of a trial and the table of trials: what they say of searches that really ran, and of trials of every kind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from moonas.architecture import Architecture
from moonas.dashboard import courses
from moonas.dashboard.catalogue import Catalogue
from moonas.dashboard.live import LiveStudy
from moonas.dashboard.pages import trial as trial_page_module
from moonas.dashboard.shell import _routes, find_page
from moonas.dashboard.views import trials, workers
from moonas.errors import UsageError
from moonas.report.analysis import timeline_figure
from moonas.results.study import Study
from moonas.results.trial import trial_story
from moonas.store.pages import trial_stamp
from moonas.store.store import Store
from tests.dashboard.serving import application
from tests.dashboard.test_pages import named, parts, texts
from tests.outer.fakes import FakePool, drive, small_study


@pytest.fixture
def real(searched: str) -> LiveStudy:
    return Catalogue(searched).live("real")


def page_of(catalogue: Catalogue, address: str) -> list[Any]:
    return find_page(catalogue, _routes(), address, "").content


def figures(component: Any) -> dict[str, Any]:
    """The figures below a component, by the ids of their graphs."""
    return {one.id: one.figure for one in parts(component) if type(one).__name__ == "Graph"}


def test_a_finished_trial_s_page_holds_its_values_settings_and_attempts(searched: str, real: LiveStudy) -> None:
    content, story = page_of(Catalogue(searched), "/studies/real/trials/0"), trial_story(real.study, 0)
    told = texts(content)
    assert f"{100 * story.trial.values['accuracy']:.2f}\N{NO-BREAK SPACE}%" in told
    assert "shared with trial" in told
    candidate = real.store.candidates(real.record.id, trial=0)[0]
    hrefs = [getattr(one, "href", None) for one in parts(content)]
    assert f"/studies/real/networks/{candidate.architecture}" in hrefs
    assert {"/studies/real/trials/1"} <= set(hrefs)
    assert named(content, "trial-next").href == "/studies/real/trials/1"
    assert not any(getattr(one, "id", None) == "trial-previous" for one in parts(content))
    assert "0.05 0.0006" in told  # the file's alpha_lr beside the paper's
    assert all(attempt.worker in told for work in story.works for attempt in work.attempts)


def test_the_curves_are_those_that_the_tasks_reported(real: LiveStudy) -> None:
    story = trial_story(real.study, 0)
    drawn = figures(courses.learning(real, story, "light"))
    assert set(drawn) == {f"learning-{kind}-{what}" for kind in ("search", "evaluate") for what in ("loss", "accuracy")}
    reported = real.store.progress(story.search.id)
    train, valid = drawn["learning-search-loss"].data
    assert (list(train.x), list(train.y)) == ([1, 2, 3], [step.metrics["train_loss"] for step in reported])
    assert list(valid.x) == [2, 3]  # the first epoch is warm-up
    health = figures(courses.health(real, story, "dark"))
    entropy = next(figure for name, figure in health.items() if name.startswith("health-Entropy"))
    assert list(entropy.data[0].y) == [step.metrics["entropy"] for step in reported]
    assert entropy.data[0].y[0] == pytest.approx(np.log(8), abs=1e-3)  # eight operations, still alike after the warm-up


def test_the_heat_map_shows_what_the_search_said_and_marks_what_was_decoded(real: LiveStudy) -> None:
    story = trial_story(real.study, 0)
    figure = figures(courses.mixture(real, story, "normal", "light"))["mixture-figure"]
    heat, marks = figure.data
    rows = np.array(heat.z, dtype=float)
    assert rows.shape == (5 * 9, 3)  # two nodes have five edges, each with a heading and eight operations
    assert np.isnan(rows[::9]).all()
    np.testing.assert_allclose(np.delete(rows, np.s_[::9], axis=0).reshape(5, 8, 3).sum(axis=1), 1, atol=0.005)
    np.testing.assert_allclose(np.delete(rows, np.s_[::9], axis=0)[:, 0], 1 / 8, atol=0.002)  # after the warm-up
    said = np.exp(np.array(story.search.result["scores"]["normal"]))  # probability of the operation times that of the edge
    np.testing.assert_allclose(
        np.delete(rows, np.s_[::9], axis=0)[:, 2].reshape(5, 8), said / said.sum(axis=1)[:, None], atol=0.001
    )
    architecture = Architecture.from_json(real.store.candidates(real.record.id, trial=0)[0].genotype)
    group = real.study.plan.space.groups["normal"]
    chosen = {group.place(edge) for edge in architecture.groups["normal"]}
    assert {(row // 9, row % 9 - 1) for row in marks.y} == chosen
    edges = figures(courses.mixture(real, story, "normal:edges", "light"))["mixture-figure"].data[0]
    np.testing.assert_allclose(np.array(edges.z, dtype=float)[:, 2], said.sum(axis=1), atol=0.001)


def test_edges_are_a_choice_only_where_a_method_learns_them(live: LiveStudy, real: LiveStudy) -> None:
    darts = next(trial for trial in live.study.trials() if trial.params["method"] == "darts")
    shown = courses.shown_mixtures(live, trial_story(live.study, darts.number))
    assert [one["value"] for one in shown] == ["normal", "reduce"]
    shown = courses.shown_mixtures(real, trial_story(real.study, 0))
    assert [one["value"] for one in shown] == ["normal", "reduce", "normal:edges", "reduce:edges"]


def test_trainings_of_a_trial_are_named_by_what_tells_them_apart(real: LiveStudy) -> None:
    task = next(work.record for work in trial_story(real.study, 0).works if work.record.kind == "evaluate")
    key = Architecture.from_json(task.spec["architecture"]).key[:6]
    longer = replace(task, spec={**task.spec, "protocol": {**task.spec["protocol"], "epochs": 9}})
    assert courses.task_name(task) == f"evaluation of {key}, 2 epochs, replicate 0"
    assert courses.shortest_names([task]) == [key]
    assert courses.shortest_names([task, longer]) == ["2 epochs", "9 epochs"]
    other = replace(longer, spec={**longer.spec, "replicate": 1})
    assert courses.shortest_names([task, longer, other]) == [
        "2 epochs, replicate 0",
        "9 epochs, replicate 0",
        "9 epochs, replicate 1",
    ]


def test_a_failed_trial_tells_its_reason_and_its_traceback_as_text(searched: str, real: LiveStudy) -> None:
    failed = next(trial for trial in real.study.trials() if trial.params["method"] == "hot")
    content = page_of(Catalogue(searched), f"/studies/real/trials/{failed.number}")
    assert failed.reason in texts(content)
    shown = next(one for one in parts(content) if type(one).__name__ == "Pre").children
    assert shown.startswith("Traceback")
    assert "NonFiniteLossError" in shown


def test_a_trial_without_a_search_shows_none(catalogue: Catalogue, live: LiveStudy) -> None:
    random = next(trial for trial in live.study.trials() if trial.params["method"] == "random")
    content = page_of(catalogue, f"/studies/small/trials/{random.number}")
    health = next(one for one in parts(content) if getattr(one, "hidden", None) is not None)
    assert health.hidden
    assert "Search health" in texts(health)


def test_a_waiting_trial_says_so_and_a_page_of_it_sees_it_begin(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/study.db"
    with Store.open(url, create=True) as store:
        drive(store, small_study(), FakePool())
        record = store.study("small")
        with store.ledger(record.id) as ledger:
            trial_id = ledger.add_trial(12, {**store.trial(record.id, 0).params, "method": "darts"}, 0)
        content = page_of(Catalogue(url), "/studies/small/trials/12")
        waiting = Catalogue(url).live("small"), trial_story(Study(store, "small"), 12)
        assert texts(courses.learning(*waiting, "light")) == "No epoch has been reported yet."
        assert texts(courses.mixture(*waiting, "normal", "light")) == "No epoch has been reported yet."
        assert "Waiting since" in texts(content)
        assert "Nothing has run for it yet." in texts(content)
        stamps = [trial_stamp(store.database, trial_id)]
        with store.ledger(record.id) as ledger:
            task = ledger.add_task("search", "new", store.tasks(record.id, kind="search")[0].spec, [trial_id])
            stamps.append(trial_stamp(store.database, trial_id))
            attempt = ledger.start_attempt(task.id, "worker", "cpu")
            stamps.append(trial_stamp(store.database, trial_id))
            ledger.record_progress(task.id, attempt, 1, {"train_loss": 1.0})
            stamps.append(trial_stamp(store.database, trial_id))
            ledger.fail_attempt(task.id, attempt, "broken", "", final=True)
            stamps.append(trial_stamp(store.database, trial_id))
        assert len(set(stamps)) == len(stamps)
        assert trial_stamp(store.database, trial_id) == stamps[-1]


@pytest.mark.parametrize("number", ["12", "-1", "abc", "9" * 30, "²"])
def test_a_trial_that_is_not_there_is_answered_with_404_and_the_page_says_so(
    storage: str, catalogue: Catalogue, number: str
) -> None:
    client = TestClient(application(storage))
    assert client.get(f"/studies/small/trials/{number}").status_code == 404
    assert client.get("/studies/small/trials/11").status_code == 200
    with pytest.raises(UsageError, match="the study has 12 trials, counted from 0"):
        trial_page_module.page(catalogue, {}, "small", number)


def test_the_table_of_trials_is_paged_sorted_and_narrowed_by_the_database(live: LiveStudy) -> None:
    asked = {"startRow": 0, "endRow": 5, "sortModel": [{"colId": "accuracy", "sort": "desc"}], "filterModel": {}}
    found = trials.rows(live, asked)
    best = sorted((trial.values["accuracy"] for trial in live.study.trials()), reverse=True)
    assert [row["accuracy"] for row in found["rowData"]] == best[:5]
    assert found["rowCount"] == 12
    narrowed = {
        **asked,
        "startRow": 3,
        "sortModel": [],
        "filterModel": {"method": {"filter": "darts"}, "state": {"filter": "COMPLETE"}},
    }
    found = trials.rows(live, narrowed)
    darts = [trial.number for trial in live.study.trials() if trial.params["method"] == "darts"]
    assert ([row["number"] for row in found["rowData"]], found["rowCount"]) == (darts[3:5], 6)
    assert found["rowData"][0]["trialHref"] == f"/studies/small/trials/{darts[3]}"
    sortable = {column["field"] for column in trials.columns(live) if column.get("sortable", True)}
    for field in sortable:
        assert len(trials.rows(live, {**asked, "sortModel": [{"colId": field, "sort": "asc"}]})["rowData"]) == 5, field


def test_bars_of_the_timeline_name_their_trials(live: LiveStudy) -> None:
    bars, _ = workers.attempts(live)
    drawn = [number for trace in timeline_figure(bars).data for number in trace.customdata]
    assert sorted(drawn) == sorted(bar.trial for bar in bars)
    assert set(drawn) <= set(range(12))
