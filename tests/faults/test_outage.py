"""A database that goes away under a running study: at any write, at any moment of it, for a while or for good."""

import random
import socket
import sqlite3
import threading
from collections import Counter
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from moonas.errors import StorageError
from moonas.outer import outage
from moonas.store import database
from moonas.store.states import AttemptState, StudyState
from moonas.store.store import Store
from tests.outer.fakes import FakePool, Notes, drive, small_study
from tests.postgres import Postgres

FEW = small_study(methods=["random", {"name": "darts", "epochs": 3}], budgets={"params": ["10%", "none"]}, replicates=1)
MOMENTS = ("at the first statement", "before COMMIT", "while COMMIT is under way", "after COMMIT")


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outage, "FIRST_PAUSE", 0.0)


class Cutter:
    """Cuts the connections of a store at those writes that `cuts` names: {number of the write: moment}."""

    def __init__(self, store: Store, cuts: dict[int, str]) -> None:
        self.cuts, self.writes, self.done = cuts, 0, Counter[str]()
        engine = store.database.engine
        self._commit = engine.dialect.do_commit
        engine.dialect.do_commit = self._do_commit
        sa.event.listen(engine, "begin", self._begin)

    def _begin(self, connection: sa.Connection) -> None:
        if connection.get_execution_options().get("writes"):
            self.writes += 1
            if self._now("at the first statement"):
                cut(connection.connection.driver_connection)

    def _do_commit(self, connection: Any) -> None:
        driver = connection.driver_connection if hasattr(connection, "driver_connection") else connection
        if self._now("before COMMIT"):
            cut(driver)
        if self._now("while COMMIT is under way"):
            driver.pgconn.send_query(b"COMMIT")
            driver.pgconn.flush()
            cut(driver)
            driver.close()
            raise driver.OperationalError("the connection was cut before the answer came")
        self._commit(connection)
        if self._now("after COMMIT"):
            cut(driver)
            driver.execute("SELECT 1")  # finds the connection dead, as a lost answer would be found

    def _now(self, moment: str) -> bool:
        if self.cuts.get(self.writes) != moment:
            return False
        del self.cuts[self.writes]
        self.done[moment] += 1
        return True


def cut(driver: Any) -> None:
    """End a connection to PostgreSQL without a word."""
    with socket.socket(fileno=driver.pgconn.socket) as broken:
        broken.shutdown(socket.SHUT_RDWR)
        broken.detach()


def left(store: Store) -> dict[str, Any]:
    """All that a study has left, but for times, ids and what shows that it was disturbed: attempts that were lost."""
    study = store.study(FEW["name"])
    attempts = Counter(attempt.task_id for attempt in store.attempts(study.id) if attempt.state is not AttemptState.LOST)
    tasks = store.tasks(study.id)
    return {
        "state": study.state,
        "trials": [(t.number, t.state, t.params, t.replicate, t.values, t.violation) for t in store.trials(study.id)],
        "tasks": [(task.kind, task.key, task.state, task.result) for task in tasks],
        "attempts": [attempts[task.id] for task in tasks],
        "steps": [[(step.step, step.metrics) for step in store.progress(task.id)] for task in tasks],
        "candidates": [(c.trial, c.architecture, c.origin, c.params) for c in store.candidates(study.id)],
        "evaluations": [(e.key, e.metrics) for e in store.evaluations(study.id)],
        "front": [(m.architecture, m.values, m.entered) for m in store.front(study.id)],
        "history": [(f.number, f.cause, f.hypervolume, f.evaluations) for f in store.front_history(study.id)],
        "events": [(event.kind, event.text) for event in store.events(study.id)],
    }


@contextmanager
def opened(server: Postgres):
    url = server.take()
    with Store.open(url) as store:
        yield store
    server.empty(url)


def undisturbed(server: Postgres) -> tuple[dict[str, Any], int]:
    """What the study leaves, and with how many writes."""
    with opened(server) as store:
        counted = Cutter(store, {})
        assert drive(store, FEW, FakePool(slots=1)) is StudyState.COMPLETE
        return left(store), counted.writes


def test_a_connection_cut_at_any_moment_of_many_writes_changes_nothing(postgres: Postgres) -> None:
    whole, writes = undisturbed(postgres)
    assert set(whole["attempts"]) == {1}
    rng, done = random.Random(0), Counter[str]()
    for _ in range(4):
        with opened(postgres) as store:
            # A study that is cut makes more writes; the first two take the lease and create the study, before its loop is there.
            cutter = Cutter(store, {number: rng.choice(MOMENTS) for number in range(3, 2 * writes) if rng.random() < 0.45})
            notes = Notes()
            assert drive(store, FEW, FakePool(slots=1), notes) is StudyState.COMPLETE
            assert left(store) == whole
            done += cutter.done
    assert all(done[moment] >= 5 for moment in MOMENTS), done
    assert sum("the database is back after" in line for line in notes.lines) >= 3


@pytest.mark.slow
def test_a_connection_cut_at_every_moment_of_every_write_changes_nothing(postgres: Postgres) -> None:
    whole, writes = undisturbed(postgres)
    for number in range(3, writes):  # the last one gives the lease back
        for moment in MOMENTS:
            with opened(postgres) as store:
                cutter = Cutter(store, {number: moment})
                assert drive(store, FEW, FakePool(slots=1)) is StudyState.COMPLETE
                assert left(store) == whole, (number, moment)
                assert cutter.done == {moment: 1}


def test_what_other_slots_run_goes_on_while_the_database_is_away(postgres: Postgres) -> None:
    whole, writes = undisturbed(postgres)
    with opened(postgres) as store:
        pool = FakePool(slots=3)
        drive(store, FEW, pool)
        started = len(pool.started)
    with opened(postgres) as store:
        Cutter(store, {number: MOMENTS[number % 4] for number in range(5, writes, 5) if number % 4 != 3})
        pool = FakePool(slots=3)
        drive(store, FEW, pool)
        assert left(store)["trials"] == whole["trials"]
        assert left(store)["front"] == whole["front"]
        assert len(pool.started) == started, "no task was started twice"


def test_a_database_that_stays_away_stops_the_study_with_the_way_to_go_on(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = undisturbed(postgres)
    monkeypatch.setattr(outage, "PATIENCE", 0.3)
    monkeypatch.setattr(outage, "FIRST_PAUSE", 0.1)
    with opened(postgres) as store:
        cutter = Cutter(store, dict.fromkeys(range(9, 99), "at the first statement"))
        notes = Notes()
        with pytest.raises(StorageError, match=r"(?s)away for .* What it holds is safe.*moonas resume small"):
            drive(store, FEW, FakePool(slots=1), notes)
        assert "trying again for" in notes.lines[-1]
        cutter.cuts.clear()
        assert store.study("small").lease_holder is not None, "nobody could give it back"
        store.release(store.study("small").id, store.study("small").lease_holder)
        assert drive(store, FEW, FakePool(slots=1)) is StudyState.COMPLETE
        assert left(store)["front"] == whole["front"]


def test_a_file_locked_for_longer_than_a_writer_waits_loses_nothing(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.02)
    monkeypatch.setattr(outage, "FIRST_PAUSE", 0.02)
    fronts = []
    for name, disturbed in (("whole", False), ("locked", True)):
        with Store.open(f"sqlite:///{tmp_path}/{name}.db", create=True) as store:
            notes = Notes()
            pool = Locking(tmp_path / f"{name}.db") if disturbed else FakePool(slots=1)
            assert drive(store, FEW, pool, notes) is StudyState.COMPLETE
            fronts.append(left(store))
            if disturbed:
                assert sum("database is locked" in line for line in notes.lines) >= 3
    assert fronts[0] == fronts[1]


class Locking(FakePool):
    """Holds the lock of a file for a while, before every fifth event."""

    def __init__(self, path: Any) -> None:
        super().__init__(slots=1)
        self.path, self.told = path, 0

    def next_event(self, timeout: float) -> Any:
        self.told += 1
        if self.told % 5 == 0:
            other = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=10)
            other.execute("BEGIN IMMEDIATE")
            threading.Timer(0.15, other.close).start()
        return super().next_event(timeout)
