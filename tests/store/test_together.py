"""Several who use one database at the same moment: readers see one snapshot, and writers of two studies never harm each other."""

import threading
import time

import pytest
import sqlalchemy as sa

from moonas.errors import UnavailableError
from moonas.store.reads import Reads
from moonas.store.store import Store
from moonas.store.tables import Trial
from tests.store.conftest import candidate


def test_a_reader_sees_one_snapshot_however_many_queries_it_makes(store, study, ledger, url):
    counted = sa.select(sa.func.count()).select_from(Trial)
    ledger.add_trial(0, {}, 0)
    with Store.open(url, read_only=True) as reader:
        with reader.database.read() as session:
            assert session.scalar(counted) == 1
            ledger.add_trial(1, {}, 0)
            assert session.scalar(counted) == 1
        assert len(Reads(reader.database).trials(study.id)) == 2


def test_deleting_a_study_while_another_finds_its_architectures_harms_neither(store, url, new_study):
    """The other must keep what it found, even where it looked it up a moment before the deletion."""
    failed: list[BaseException] = []
    keeper, rounds = new_study("keeper"), 25
    goal = threading.Barrier(2, timeout=30)

    def keep():
        with Store.open(url) as mine, mine.ledger(keeper.id) as ledger:
            try:
                for number in range(rounds):
                    goal.wait()
                    ledger.add_candidates(ledger.add_trial(number, {}, 0), [candidate(number % 16)])
            except BaseException as error:
                failed.append(error)
                goal.abort()

    thread = threading.Thread(target=keep)
    thread.start()
    try:
        for number in range(rounds):
            other = new_study(f"other {number}")
            with store.ledger(other.id) as ledger:
                ledger.add_candidates(ledger.add_trial(0, {}, 0), [candidate(number % 16)])
            goal.wait()
            store.delete_study(f"other {number}")
    except threading.BrokenBarrierError:
        pass
    thread.join(timeout=60)
    assert failed == []
    assert len(store.candidates(keeper.id)) == rounds


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_two_writers_that_wait_for_each_other_are_told_apart_as_something_that_passes(store, url, new_study):
    """A file has one writer at a time; a server ends one of the two, whose loop begins again."""
    both, ended = threading.Barrier(2, timeout=30), []

    def meet(name, numbers):
        with Store.open(url) as mine, mine.ledger(mine.study(name).id) as ledger:
            try:
                with ledger.together():
                    trial = ledger.add_trial(0, {}, 0)
                    for number in numbers:
                        ledger.add_candidates(trial, [candidate(number)])
                        if number == numbers[0]:
                            both.wait()
            except UnavailableError as error:
                ended.append(str(error))

    for name in ("one", "other"):
        new_study(name)
    threads = [threading.Thread(target=meet, args=pair) for pair in (("one", (0, 1)), ("other", (1, 0)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert len(ended) == 1
    assert "deadlock" in ended[0]


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)  # for a file's lock see the tests of outages
def test_a_lock_that_is_not_to_be_had_in_time_is_something_that_passes(store, study, url):
    with store.ledger(study.id) as ledger, ledger.together(), Store.open(url) as other:
        began = time.monotonic()
        with pytest.raises(UnavailableError, match="lock"), other.database.write(lock_seconds=0.2) as session:
            session.execute(sa.text("UPDATE moonas_study SET seed = 1"))
        assert time.monotonic() - began < 10
