"""One writer a study: who gets the lease, who loses it, and what a loser can still do."""

import os
import signal
import socket
import subprocess
import sys

import pytest
from sqlalchemy import text

from moonas.errors import LeaseError
from moonas.store.ledger import Ledger
from moonas.store.states import TaskState

ELSEWHERE = "elsewhere/1/a"


def test_a_held_lease_is_refused_saying_who_has_it_and_since_when(store, study):
    store.acquire(study.id, ELSEWHERE)
    with pytest.raises(LeaseError, match=r"'digits' is driven by process 1 on elsewhere since \d{4}-\d\d-\d\d .* in (60|59) s"):
        store.acquire(study.id, "here/2/b")
    assert store.study("digits").lease_holder == ELSEWHERE


def test_a_lease_that_ran_out_by_the_databases_clock_can_be_taken(store, study):
    store.acquire(study.id, ELSEWHERE, ttl=-1.0)
    store.acquire(study.id, "here/2/b")
    assert store.study("digits").lease_holder == "here/2/b"


def test_acquiring_ones_own_lease_again_prolongs_it_and_keeps_its_beginning(store, study):
    store.acquire(study.id, ELSEWHERE, ttl=10.0)
    before = store.study("digits")
    store.acquire(study.id, ELSEWHERE, ttl=100.0)
    after = store.study("digits")
    assert after.lease_since == before.lease_since
    assert after.lease_expires - before.lease_expires > 80


def test_a_released_lease_is_free_and_anothers_is_left_alone(store, study):
    store.acquire(study.id, ELSEWHERE)
    store.release(study.id, "here/2/b")
    assert store.study("digits").lease_holder == ELSEWHERE
    store.release(study.id, ELSEWHERE)
    record = store.study("digits")
    assert (record.lease_holder, record.lease_since, record.lease_expires) == (None, None, None)


def test_the_lease_of_a_process_that_died_on_this_host_is_free_at_once(store, study):
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    store.acquire(study.id, f"{socket.gethostname()}/{child.pid}/a")
    store.acquire(study.id, "here/2/b")
    assert store.study("digits").lease_holder == "here/2/b"


def test_a_living_process_of_this_host_keeps_its_lease(store, study):
    store.acquire(study.id, f"{socket.gethostname()}/{os.getppid()}/a")
    with pytest.raises(LeaseError):
        store.acquire(study.id, "here/2/b")


def test_a_dead_pid_on_another_host_says_nothing(store, study):
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    store.acquire(study.id, f"elsewhere/{child.pid}/a")
    with pytest.raises(LeaseError):
        store.acquire(study.id, "here/2/b")


def test_a_ledger_that_lost_its_lease_writes_nothing_more(store, study):
    store.acquire(study.id, ELSEWHERE, ttl=-1.0)
    old = Ledger(store.database, study.id, ELSEWHERE)
    with store.ledger(study.id) as new:
        new.add_trial(0, {}, 0)
        task = new.add_task("search", "k", {}, [])
        writes = [
            lambda: old.add_trial(1, {}, 0),
            lambda: old.start_attempt(task.id, "slot 0", "cpu:0"),
            lambda: old.add_event("note", "still here"),
            lambda: old.reset_running(),
            lambda: old.delete_study(),
            lambda: store.renew(study.id, ELSEWHERE),
        ]
        for write in writes:
            with pytest.raises(LeaseError):
                write()
    assert [trial.number for trial in store.trials(study.id)] == [0]
    assert [task.state for task in store.tasks(study.id)] == [TaskState.WAITING]


def test_who_lost_its_lease_is_told_who_drives_the_study_now_and_since_when(store, study):
    store.acquire(study.id, ELSEWHERE, ttl=-1.0)
    old = Ledger(store.database, study.id, ELSEWHERE)
    store.acquire(study.id, "there/7/b")
    with pytest.raises(LeaseError, match=r"'digits' is driven by process 7 on there since \d{4}-\d\d-\d\d .* written nothing more"):
        old.add_event("note", "still here")
    store.release(study.id, "there/7/b")
    with pytest.raises(LeaseError, match="taken up by another process, which has ended since"):
        old.add_event("note", "still here")
    store.delete_study("digits")
    with pytest.raises(LeaseError, match="was deleted"):
        old.add_event("note", "still here")


def shift_clock(store, seconds):
    """As if the database's clock had been moved: every time stored before looks as much older as that moved forward."""
    with store.database.write() as session:
        session.execute(
            text("UPDATE moonas_study SET lease_since = lease_since - :s, lease_expires = lease_expires - :s"), {"s": seconds}
        )
        session.execute(text("UPDATE moonas_attempt SET started = started - :s"), {"s": seconds})
        session.execute(text("UPDATE moonas_progress SET time = time - :s"), {"s": seconds})


def test_a_database_clock_put_forward_takes_nothing_from_a_loop_that_goes_on_writing(store, study):
    store.acquire(study.id, ELSEWHERE)
    loop = Ledger(store.database, study.id, ELSEWHERE)
    shift_clock(store, 3600)
    loop.add_trial(0, {}, 0)
    with pytest.raises(LeaseError):
        store.acquire(study.id, "there/7/b")


def test_a_database_clock_put_back_frees_no_lease_and_the_next_write_sets_it_right(store, study):
    store.acquire(study.id, ELSEWHERE)
    shift_clock(store, -3600)
    with pytest.raises(LeaseError, match=r"in 36\d\d s"):
        store.acquire(study.id, "there/7/b")
    Ledger(store.database, study.id, ELSEWHERE).add_trial(0, {}, 0)
    with pytest.raises(LeaseError, match=r"in (60|59) s"):
        store.acquire(study.id, "there/7/b")


def test_an_attempt_lost_while_the_clock_was_put_back_took_no_negative_time(store, study):
    with store.ledger(study.id) as ledger:
        task = ledger.add_task("search", "k", {}, [ledger.add_trial(0, {}, 0)])
        attempt = ledger.start_attempt(task.id, "w", "cpu")
        ledger.record_progress(task.id, attempt, 0, {})
        with store.database.write() as session:
            session.execute(text("UPDATE moonas_progress SET time = time - 3600"))
        ledger.reset_running()
    assert [attempt.seconds for attempt in store.attempts(study.id)] == [0.0]


def test_a_lease_that_ran_out_still_serves_until_somebody_takes_it(store, study):
    store.acquire(study.id, ELSEWHERE, ttl=-1.0)
    Ledger(store.database, study.id, ELSEWHERE).add_trial(0, {}, 0)
    with pytest.raises(LeaseError):  # the write renewed it
        store.acquire(study.id, "here/2/b")


def test_the_ledger_gives_its_lease_back_after_an_error(store, study):
    with pytest.raises(ZeroDivisionError), store.ledger(study.id):
        raise ZeroDivisionError
    assert store.study("digits").lease_holder is None


def test_a_killed_transaction_leaves_nothing_and_its_study_can_be_taken_over(store, study, url):
    script = (
        "import os, signal\n"
        "from moonas.store.store import Store\n"
        f"store = Store.open({url!r})\n"
        f"with store.ledger({study.id}) as ledger:\n"
        "    ledger.add_trial(0, {}, 0)\n"
        "    with ledger.together():\n"
        "        trial = ledger.add_trial(1, {}, 0)\n"
        "        ledger.add_task('search', 'k', {}, [trial])\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == -signal.SIGKILL
    assert store.study("digits").lease_holder is not None
    assert [trial.number for trial in store.trials(study.id)] == [0]
    assert store.tasks(study.id) == []
    with store.ledger(study.id) as ledger:
        ledger.add_trial(1, {}, 0)
    assert [trial.number for trial in store.trials(study.id)] == [0, 1]
