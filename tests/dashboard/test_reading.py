"""What the pages read: lines of studies, trials in columns, and one study that others go on changing."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import insert

from moonas.dashboard.catalogue import Catalogue
from moonas.dashboard.live import LiveStudy
from moonas.errors import StorageError, UnknownStudyError
from moonas.outer.plan import Plan
from moonas.results.study import Study
from moonas.store.states import StudyState, TrialState
from moonas.store.store import Store
from moonas.store.tables import Event
from moonas.study.loading import study_from
from moonas.study.schema import SCHEMA
from tests.dashboard.conftest import asked
from tests.outer.fakes import Crash, FakePool, drive

PLANNED = 2 * 3 * 2  # methods, budgets, replicates


def test_each_study_is_told_in_one_line(catalogue: Catalogue) -> None:
    small, other, waiting = catalogue.lines()
    assert (small.name, small.state, small.finished, small.planned) == ("small", StudyState.COMPLETE, PLANNED, PLANNED)
    assert (other.finished, other.planned) == (4, 4)
    assert (waiting.state, waiting.finished, waiting.planned, waiting.accuracy) == (StudyState.NEW, 0, PLANNED, None)
    history = catalogue.store.front_history(catalogue.store.study("small").id)
    assert small.hypervolume == tuple(step.hypervolume for step in history)
    assert small.device_seconds == catalogue.store.device_seconds(catalogue.store.study("small").id)
    assert small.seconds_left is None  # nothing runs
    assert not any(line.driven for line in (small, other, waiting))


def test_a_study_that_cannot_be_read_here_stands_in_the_list_with_the_others(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/studies.db"
    stored = {"schema": SCHEMA, "seed": 3, "version": "test"}
    with Store.open(url, create=True) as store:
        config = Plan(study_from(asked())).config.to_json()
        store.create_study("foreign", {**config, "methods": [{"name": "of-another-package"}]}, config_hash="1", **stored)
        store.create_study("small", config, config_hash="2", **stored)
    foreign, small = Catalogue(url).lines()
    assert (foreign.name, foreign.planned) == ("foreign", 0)
    assert (small.name, small.planned) == ("small", PLANNED)


def test_where_there_is_no_database_there_are_no_studies(tmp_path: Path) -> None:
    nowhere = Catalogue(f"sqlite:///{tmp_path}/none.db")
    assert (nowhere.lines(), nowhere.names(), nowhere.holds("small")) == ([], [], False)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_study_is_named_with_its_nearest(catalogue: Catalogue) -> None:
    with pytest.raises(UnknownStudyError, match=r"smal.*did you mean 'small'"):
        catalogue.live("smal")


def test_the_dashboard_s_connection_cannot_write(catalogue: Catalogue) -> None:
    with pytest.raises(StorageError, match="readonly"), catalogue.store.database.write() as session:
        session.execute(insert(Event).values(study_id=1, kind="note", text="written"))


def test_trials_in_columns_are_what_the_store_has(live: LiveStudy) -> None:
    trials = live.store.trials(live.record.id)
    assert live.trials.numbers("number").tolist() == [trial.number for trial in trials]
    assert live.trials.words("method").tolist() == [trial.params["method"] for trial in trials]
    for name in ("accuracy", "params", "latency_ms"):
        assert live.trials.numbers(name).tolist() == [(trial.values or {})[name] for trial in trials]
    assert set(live.trials.groups("width")) == {"4×5"}
    assert live.trials.word_of(3, "state") == "COMPLETE"
    assert np.isnan(live.trials.numbers("no such thing")).all()


def test_a_study_that_goes_on_is_read_by_increments(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/studies.db"
    with Store.open(url, create=True) as store:
        with pytest.raises(Crash):
            drive(store, asked(), FakePool(crash_after=40))
        live = Catalogue(url).live("small")
        before, stamp = len(live.trials), live.now
        assert 0 < before < PLANNED
        first = live.trials.numbers("finished").max()
        drive(store, asked(), FakePool())
        live.refresh(store.study("small"))
        assert live.now != stamp
        assert len(live.trials) == PLANNED
        assert (live.trials.numbers("finished") > first).sum() == PLANNED - before
        assert [n.to_json() for n in live.members()] == [n.to_json() for n in Study(store, "small").front()]


def test_what_is_costly_is_worked_out_once_until_the_study_changes(live: LiveStudy) -> None:
    made: list[int] = []
    for _ in range(3):
        live.once("costly", lambda: made.append(1))
        live.refresh(live.record)
    assert made == [1]


def test_what_takes_long_holds_up_nobody_else(live: LiveStudy) -> None:
    begun, enough = threading.Event(), threading.Event()

    def long() -> bool:
        begun.set()
        return enough.wait(10)

    thread = threading.Thread(target=live.once, args=("long", long))
    thread.start()
    assert begun.wait(10)
    live.refresh(live.record)
    assert live.once("short", lambda: 1) == 1
    assert thread.is_alive()
    enough.set()
    thread.join()


def test_a_past_front_has_the_values_its_members_had_then(live: LiveStudy) -> None:
    number = live.history[len(live.history) // 2].number
    then = {member.place: member.values for member in live.store.front(live.record.id, number)}
    assert {member.place for member in live.members(number)} == set(then)
    for member in live.members(number):
        assert {name: member.values[name] for name in then[member.place]} == then[member.place]


def test_counts_by_state_add_up(live: LiveStudy) -> None:
    assert live.count(TrialState.COMPLETE) == PLANNED
    assert live.count(TrialState.FAIL, TrialState.RUNNING) == 0
