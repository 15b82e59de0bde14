"""What may be done to a study in which state, who is offered it, and what the events tell."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from dash.backends._fastapi import reset_current_request, set_current_request

from moonas.dashboard.actions import VERBS, buttons, dialogs, for_many, offered
from moonas.dashboard.catalogue import Catalogue
from moonas.dashboard.live import LiveStudy
from moonas.dashboard.overview import study_lines
from moonas.dashboard.pages import studies, study
from moonas.dashboard.readers import Reader, reader
from moonas.dashboard.views import events
from moonas.loop_log import log_path
from moonas.store.lease import new_holder
from moonas.store.states import Role, StudyState, TrialState
from moonas.store.store import Store
from tests.dashboard.conftest import asked
from tests.dashboard.test_pages import parts, texts
from tests.outer.fakes import Crash, FakePool, drive

WAITING, RUNNING, COMPLETE, FAIL = TrialState.WAITING, TrialState.RUNNING, TrialState.COMPLETE, TrialState.FAIL
DRIVEN = ["pause", "stop", "cancel"]


@contextmanager
def asking(name: str, role: Role) -> Iterator[None]:
    """As if a request of that caller was being answered."""
    token = set_current_request(SimpleNamespace(state=SimpleNamespace(caller=SimpleNamespace(name=name, role=role))))
    try:
        yield
    finally:
        reset_current_request(token)


@pytest.mark.parametrize(
    ("state", "driven", "trials", "expected"),
    [
        (StudyState.NEW, False, {}, ["resume", "delete"]),
        (StudyState.NEW, True, {}, DRIVEN),
        (StudyState.RUNNING, True, {RUNNING: 1, COMPLETE: 3}, DRIVEN),
        (StudyState.RUNNING, True, {FAIL: 1}, [*DRIVEN, "retry"]),
        (StudyState.RUNNING, False, {RUNNING: 1}, ["resume", "cancel", "delete"]),  # its process died
        (StudyState.PAUSED, False, {WAITING: 1}, ["resume", "cancel", "delete"]),
        (StudyState.STOPPED, False, {FAIL: 2}, ["resume", "retry", "delete"]),
        (StudyState.COMPLETE, False, {COMPLETE: 12}, ["delete"]),
        (StudyState.COMPLETE, False, {COMPLETE: 10}, ["resume", "delete"]),  # its file was extended
        (StudyState.COMPLETE, False, {COMPLETE: 11, FAIL: 1}, ["retry", "delete"]),
    ],
)
def test_what_makes_no_sense_in_a_state_is_not_offered(
    state: StudyState, driven: bool, trials: dict[TrialState, int], expected: list[str]
) -> None:
    assert sorted(offered(state, driven, trials, 12)) == sorted(expected)


def test_the_list_of_studies_offers_neither_retry_nor_delete() -> None:
    assert for_many(list(VERBS)) == ["pause", "resume", "stop", "cancel"]


def test_buttons_and_dialogs_are_for_operators_only(live: LiveStudy) -> None:
    assert (buttons({"pause": ["small"]}), dialogs(), study.verbs(live)) == ([], [], [])
    with asking("bob", Role.viewer):
        assert reader() == Reader("bob", served=True, drives=False)
        assert (buttons({"pause": ["small"]}), dialogs(), study.verbs(live)) == ([], [], [])
    with asking("", Role.operator):
        (button,) = buttons({"pause": ["small", 'a"b']}, counted=True)
        told = button.to_plotly_json()["props"]
        assert (told["children"], told["data-verb"], json.loads(told["data-studies"])) == ("Pause 2", "pause", ["small", 'a"b'])
        assert [dialog.id for dialog in dialogs()] == [f"ask-{verb}" for verb in VERBS]
        assert [button.children for button in study.verbs(live)] == ["Delete"]


def test_a_viewer_s_list_has_no_menus_and_nothing_to_choose(catalogue: Catalogue) -> None:
    for role, has_menu in ((Role.viewer, False), (Role.operator, True)):
        with asking("someone", role):
            table = next(one for one in parts(studies.page(catalogue, {}).content) if getattr(one, "id", None) == "studies")
        assert ("verbs" in [column["field"] for column in table.columnDefs]) is has_menu
        assert ("rowSelection" in table.dashGridOptions) is has_menu


def test_each_verb_is_for_those_of_the_chosen_that_it_makes_sense_for(catalogue: Catalogue) -> None:
    rows = [studies.row(line) for line in catalogue.lines()]
    assert [row["verbs"] for row in rows] == [[], [], ["resume"]]
    with asking("", Role.operator):
        told = texts(studies.with_chosen(rows))
    assert told == "3 chosen Resume 1"
    assert studies.with_chosen([]) == []


@pytest.fixture
def broken(tmp_path: Any) -> Iterator[tuple[Store, LiveStudy]]:
    """A study whose loop died, as after `kill -9`, on a connection that may write; and as the pages see it."""
    url = f"sqlite:///{tmp_path}/studies.db"
    with Store.open(url, create=True) as store:
        with pytest.raises(Crash):
            drive(store, asked(name="broken"), FakePool(crash_after=3))
        record = store.study("broken")
        store.release(record.id, record.lease_holder or "")
        yield store, Catalogue(url).live("broken")


def test_a_study_without_its_process_says_so_until_another_one_comes(broken: tuple[Store, LiveStudy]) -> None:
    store, live = broken
    assert "No process drives it any more" in study.remark(live)
    (line,) = study_lines(store)
    assert studies.row(line)["state"] == "NO PROCESS"
    with asking("", Role.operator):
        assert [button.children for button in study.verbs(live)] == ["Resume", "Cancel", "Delete"]
    before = live.now.text
    store.acquire(live.record.id, new_holder())
    live.refresh(store.study("broken"))
    assert live.now.text != before
    assert study.remark(live) == ""
    (line,) = study_lines(store)
    assert studies.row(line)["state"] == "RUNNING"
    with asking("", Role.operator):
        assert [button.children for button in study.verbs(live)] == ["Pause", "Stop", "Cancel"]


def test_events_tell_failed_trials_with_their_reason_and_what_a_failed_process_printed(broken: tuple[Store, LiveStudy]) -> None:
    store, live = broken
    holder = new_holder()
    store.acquire(live.record.id, holder)
    with store.ledger(live.record.id, holder) as ledger:
        ledger.add_event("warning", "<b>hot</b>\nand more")
        ledger.set_state(StudyState.PAUSED, "its data are not there")
    live.refresh(store.study("broken"))
    told = texts(events.content(live))
    assert "<b>hot</b>" in told  # as a text, like all that components are given
    assert "PAUSED: its data are not there" in told
    assert study.remark(live) == "Paused: its data are not there"
    assert "The process has failed" not in told
    path = log_path(live.store.database.shown, live.record.id)
    path.parent.mkdir()
    path.write_text("--- monday: moonas resume broken\nold\n--- exit code 1\n--- tuesday: moonas resume broken\nerror: no\n")
    assert "The process has failed" not in texts(events.content(live))
    with path.open("a") as log:
        log.write("--- exit code 1\n")
    told = texts(events.content(live))
    assert "The process has failed" in told
    assert "--- tuesday: moonas resume broken\nerror: no\n--- exit code 1" in told
    assert "old" not in told
    os.utime(path, (1, 1))  # before the study came to be in its state
    assert "The process has failed" not in texts(events.content(live))


def test_failed_trials_stand_among_the_events(broken: tuple[Store, LiveStudy]) -> None:
    from moonas import lifecycle

    _, live = broken
    lifecycle.cancel("broken", storage=live.store.database.shown)
    live.refresh(live.store.study("broken"))
    told = texts(events.content(live))
    assert "Trials that failed" in told
    assert "trial 0" in told
    assert "cancelled on request" in told
