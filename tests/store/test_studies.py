"""Studies: making, finding, listing, changing and deleting them."""

import pytest

from moonas.errors import LeaseError, StudyConflictError, UnknownStudyError
from moonas.store.states import StudyState, TrialState
from tests.store.conftest import architecture, candidate, evaluate, evaluation_key, front, member


def test_a_study_comes_back_as_it_was_stored(store):
    config = {"methods": [{"name": "darts", "alpha_lr": 3e-4}], "text": "naïve – 探索"}
    stored = store.create_study("digits", config, schema=1, config_hash="abc", seed=2**62, version="0.1.0")
    assert stored == store.study("digits")
    assert (stored.config, stored.seed, stored.config_hash, stored.schema) == (config, 2**62, "abc", 1)
    assert (stored.state, stored.version, stored.lease_holder) == (StudyState.NEW, "0.1.0", None)


def test_a_name_is_taken_once(new_study):
    new_study("digits")
    with pytest.raises(StudyConflictError, match="already holds a study 'digits'"):
        new_study("digits")


def test_an_unknown_study_gets_the_nearest_name(store, study):
    with pytest.raises(UnknownStudyError, match=r"no study 'digist'.*did you mean 'digits'\?.*Known: digits\."):
        store.study("digist")


def test_an_unknown_study_in_an_empty_database_says_so(store):
    with pytest.raises(UnknownStudyError, match="It holds none yet"):
        store.study("digits")


def test_the_list_counts_trials_by_state_and_gives_the_best_accuracy(store, study, new_study, ledger):
    new_study("empty")
    evaluate(ledger, 0)
    failed, _ = ledger.add_trial(1, {}, 0), ledger.add_trial(2, {}, 0)
    ledger.fail_trial(failed, "NaN")
    evaluate(ledger, 3, front=front(member(0, 0.9, 1000), member(3, 0.75, 900)))
    evaluate(ledger, 4, front=front(member(0, 0.8, 1000), member(3, 0.75, 900)))  # the mean of more replicates
    ledger.add_event("note", "hello")
    digits, empty = store.studies()
    assert digits.trials == {TrialState.RUNNING: 3, TrialState.FAIL: 1, TrialState.WAITING: 1}
    assert digits.accuracy == 0.8
    assert digits.last_event == store.events(study.id)[-1].time
    assert (empty.name, empty.trials, empty.accuracy) == ("empty", {}, None)


def test_a_changed_state_and_configuration_are_events(store, study, ledger):
    ledger.set_state(StudyState.RUNNING)
    ledger.update_study_config({"budgets": [1, 2]}, "1" * 16, "added a budget")
    changed = store.study("digits")
    assert (changed.state, changed.config, changed.config_hash) == (StudyState.RUNNING, {"budgets": [1, 2]}, "1" * 16)
    events = store.events(study.id)
    assert [(event.kind, event.text) for event in events[1:]] == [("state", "RUNNING"), ("config", "added a budget")]
    assert events[2].data == {"from": "0" * 16, "to": "1" * 16}
    assert store.events(study.id, after=events[1].id) == [events[2]]


def test_requests_are_given_in_order_until_they_are_taken(store, study, ledger):
    first = store.add_request(study.id, "cancel", {"trial": 3})
    store.add_request(study.id, "pause")
    waiting = store.requests(study.id)
    assert [(request.kind, request.payload) for request in waiting] == [("cancel", {"trial": 3}), ("pause", {})]
    ledger.take_request(first)
    assert [request.kind for request in store.requests(study.id)] == ["pause"]


def test_a_request_can_be_taken_back_until_it_is_taken_up(store, study, ledger):
    first, second = store.add_request(study.id, "stop"), store.add_request(study.id, "pause")
    assert store.withdraw(first)
    assert not store.withdraw(first)
    ledger.take_request(second)
    assert not store.withdraw(second)
    assert store.requests(study.id) == []


def test_the_answer_to_a_request_is_the_event_that_names_it(store, study, ledger):
    first, second = store.add_request(study.id, "stop"), store.add_request(study.id, "pause")
    assert store.answer(study.id, second) is None
    ledger.add_event("request", "pause: pausing", {"request": second})
    assert store.answer(study.id, second).text == "pause: pausing"
    assert store.answer(study.id, first) is None


def test_deleting_keeps_what_other_studies_need_and_nothing_else(store, study, new_study):
    other = new_study("other")
    with store.ledger(study.id) as ledger:
        evaluate(ledger, 0, front=front(member(0, 0.9, 1000)), artifacts=[{"kind": "weights", "url": "file:///w0"}])
        evaluate(ledger, 1)
        task = ledger.add_task("search", "s", {}, [])
        ledger.record_progress(task.id, ledger.start_attempt(task.id, "w", "cpu:0"), 0, {}, {"url": "file:///c0"})
    with store.ledger(other.id) as ledger:
        ledger.add_candidates(ledger.add_trial(0, {}, 0), [candidate(0)])
    assert sorted(store.delete_study("digits")) == ["file:///c0", "file:///w0"]
    assert [summary.name for summary in store.studies()] == ["other"]
    assert [record.architecture for record in store.candidates(other.id)] == [architecture(0).key]
    kept = store.known_evaluation(evaluation_key(0))
    assert (kept.metrics, kept.task_id) == ({"accuracy": 0.9}, None)
    assert store.known_evaluation(evaluation_key(1)) is None
    store.delete_study("other")
    with store.database.engine.connect() as connection:
        for table in ("architecture", "cost", "evaluation", "trial", "task", "front_member", "front", "progress", "event"):
            assert connection.exec_driver_sql(f"SELECT count(*) FROM moonas_{table}").scalar() == 0, table


def test_a_study_that_is_driven_cannot_be_deleted(store, study):
    store.acquire(study.id, "elsewhere/1/a")
    with pytest.raises(LeaseError, match="process 1 on elsewhere"):
        store.delete_study("digits")
    assert store.study("digits").id == study.id
