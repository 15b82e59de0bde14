"""Asking a study for something from another process: answered by its loop, done here where there is none, or left standing."""

import os
import socket
import threading
import time
from pathlib import Path

import pytest

import moonas
from moonas.errors import LeaseError, UnknownStudyError, UsageError
from moonas.outer.plan import Plan
from moonas.outer.rows import column_of, read_trial
from moonas.outer.samplers.parameters import Parameters
from moonas.store.ledger import Ledger
from moonas.store.states import StudyState, TrialState
from moonas.store.store import Store
from moonas.study.loading import study_from
from tests.outer.fakes import Crash, FakePool, drive, small_study
from tests.outer.test_direct import DIRECT

LIVING = f"{socket.gethostname()}/{os.getppid()}/another"  # a loop in a process that lives, and never answers


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/study.db"


@pytest.fixture
def store(url: str) -> Store:
    with Store.open(url, create=True) as opened:
        yield opened


def test_where_no_loop_is_the_change_is_made_at_once_and_resume_is_named(store: Store, url: str) -> None:
    raw = small_study(replicates=1, methods=["random"], sampler="random", trials=2)
    assert drive(store, raw, FakePool()) is StudyState.COMPLETE
    free = next(
        budget
        for budget in map(str, ("params=10%", "params=40%", "none"))
        if not any(trial.params["budget"] == budget_in(raw, budget) for trial in moonas.load_study("small", url).trials())
    )
    text = moonas.enqueue("small", url, budget=free)
    assert text.startswith("trial 2 enqueued: random, ")
    assert text.endswith("Go on with: moonas resume small")
    study = moonas.load_study("small", url)
    assert (study.state, study.trials()[2].state, study.is_driven) == (StudyState.PAUSED, TrialState.WAITING, False)
    assert study.trials()[2].sampler_attrs["enqueued"] is True
    assert drive(store, raw, FakePool()) is StudyState.COMPLETE
    assert moonas.load_study("small", url).trials()[2].state is TrialState.COMPLETE


def budget_in(raw: dict, text: str) -> str:
    """A budget as it is stored with a trial."""
    return read_trial(Plan(study_from(raw)), {"budget": text})[0].to_params()["budget"]


def test_a_study_left_running_by_a_loop_that_died_is_paused_from_then_on(store: Store, url: str) -> None:
    with pytest.raises(Crash):
        drive(store, small_study(), FakePool(crash_after=9))
    assert store.study("small").state is StudyState.RUNNING
    assert moonas.pause("small", url) == "no process drives small; it is PAUSED now. Go on with: moonas resume small"
    assert moonas.pause("small", url) == "no process drives small; it is PAUSED"
    assert moonas.stop("small", url) == "no process drives small; it is PAUSED"
    assert {attempt.state.value for attempt in store.attempts(store.study("small").id)} <= {"COMPLETE", "LOST"}


def test_all_that_had_begun_when_its_loop_died_is_cancelled(store: Store, url: str) -> None:
    with pytest.raises(Crash):
        drive(store, small_study(), FakePool(crash_after=9))
    begun = [trial.number for trial in moonas.load_study("small", url).trials() if trial.state is TrialState.RUNNING]
    assert begun
    assert "cancelled" in moonas.cancel("small", storage=url)
    study = moonas.load_study("small", url)
    assert study.state is StudyState.STOPPED
    assert [trial.number for trial in study.trials() if trial.state is TrialState.FAIL] == begun
    assert "opened again" in moonas.retry("small", storage=url)


def test_a_retry_that_finds_nothing_to_do_leaves_the_study_complete(store: Store, url: str) -> None:
    drive(store, small_study(), FakePool())
    assert moonas.retry("small", storage=url) == "no trial has failed"
    assert moonas.cancel("small", storage=url) == "no trial was running"
    assert store.study("small").state is StudyState.COMPLETE


def test_a_loop_that_does_not_answer_leaves_the_request_standing_and_the_message_says_who_it_is(store: Store, url: str) -> None:
    drive(store, small_study(), FakePool())
    study_id = store.study("small").id
    store.acquire(study_id, LIVING)
    with pytest.raises(
        LeaseError, match=rf"(?s)driven by process {os.getppid()} on .*not answered within 0.3 s. The request stands"
    ):
        moonas.pause("small", url, wait=0.3)
    assert moonas.stop("small", url, wait=0).startswith(f"asked; study 'small' is driven by process {os.getppid()} on ")
    assert [request.kind for request in store.requests(study_id)] == ["pause", "stop"]


def test_a_request_is_taken_back_and_done_here_where_the_loop_ends_without_taking_it_up(store: Store, url: str) -> None:
    with pytest.raises(Crash):
        drive(store, small_study(), FakePool(crash_after=9))
    study_id = store.study("small").id
    store.acquire(study_id, LIVING)

    def end_later() -> None:
        time.sleep(0.4)
        store.release(study_id, LIVING)

    ending = threading.Thread(target=end_later)
    ending.start()
    assert "cancelled" in moonas.cancel("small", storage=url)
    ending.join()
    assert store.requests(study_id) == []
    assert store.study("small").state is StudyState.STOPPED


def test_a_loop_that_refuses_a_request_is_quoted(store: Store, url: str) -> None:
    drive(store, small_study(), FakePool())
    study_id = store.study("small").id
    store.acquire(study_id, LIVING)

    def refuse() -> None:
        while not store.requests(study_id):
            time.sleep(0.02)
        request = store.requests(study_id)[0]
        ledger = Ledger(store.database, study_id, LIVING)
        ledger.take_request(request.id)
        ledger.add_event("request", "retry: no", {"request": request.id, "text": "trial 3 is COMPLETE", "refused": True})

    refusing = threading.Thread(target=refuse)
    refusing.start()
    with pytest.raises(UsageError, match="trial 3 is COMPLETE"):
        moonas.retry("small", [3], url)
    refusing.join()


def test_what_is_no_study_or_no_trial_of_it_is_refused_whoever_drives_it(store: Store, url: str) -> None:
    drive(store, small_study(), FakePool())
    with pytest.raises(UnknownStudyError, match="did you mean 'small'"):
        moonas.pause("smal", url)
    store.acquire(store.study("small").id, LIVING)
    with pytest.raises(UsageError, match="it has: random, darts; did you mean 'darts'"):
        moonas.enqueue("small", url, method="dart")
    assert store.requests(store.study("small").id) == []


def test_settings_and_operations_are_set_by_their_plain_names() -> None:
    plan = Plan(study_from({**DIRECT, "trials": 3}))
    names = list(Parameters(plan).choices)
    row = {column_of(plan, name): "none" for name in names[1:]} | {column_of(plan, names[0]): "nor_conv_3x3"}
    assert all(column.startswith("choice.") for column in row)
    design, replicate = read_trial(plan, row)
    assert (design.choices[names[0]], design.choices[names[1]], replicate) == ("nor_conv_3x3", "none", 0)
    with pytest.raises(UsageError, match=r"it has: .*; did you mean 'nor_conv_3x3'"):
        read_trial(plan, {**row, column_of(plan, names[0]): "nor_conv_3x"})
    open_setting = Plan(study_from(small_study(methods=[{"name": "darts", "alpha_lr": {"log": [1e-4, 1e-2]}}], sampler="grid")))
    assert column_of(open_setting, "alpha_lr") == "setting.alpha_lr"
