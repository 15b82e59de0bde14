"""Trials, tasks, attempts, checkpoints, candidates and evaluations, as the loop writes them."""

import math
from itertools import pairwise

import pytest

from moonas.errors import UsageError
from moonas.store.states import AttemptState, TaskState, TrialState
from tests.store.conftest import MEASURED, SKELETON, architecture, candidate, evaluate, evaluation_key


def checkpoint(step):
    return {"id": f"{step:032x}", "url": f"file:///checkpoint-{step}", "sha256": "0" * 64, "bytes": 10}


@pytest.fixture
def running(ledger):
    """A running search task: (task id, attempt id)."""
    task = ledger.add_task("search", "key", {"kind": "search"}, [ledger.add_trial(0, {}, 0)])
    return task.id, ledger.start_attempt(task.id, "slot 0", "cpu:0")


def only_task(store, study):
    (task,) = store.tasks(study.id)
    return task


def test_a_trial_goes_from_waiting_over_running_to_complete(store, study, ledger):
    trial_id = ledger.add_trial(0, {"method": "darts", "alpha_lr": 3e-4}, 1, {"grid_id": 5})
    added = store.trial(study.id, 0)
    assert (added.state, added.params, added.replicate) == (TrialState.WAITING, {"method": "darts", "alpha_lr": 3e-4}, 1)
    assert (added.sampler_attrs, added.values, added.started) == ({"grid_id": 5}, None, None)
    task = ledger.add_task("search", "key", {}, [trial_id])
    ledger.start_attempt(task.id, "slot 0", "cpu:0")
    assert store.trial(study.id, 0).state == TrialState.RUNNING
    ledger.complete_trial(trial_id, {"accuracy": 0.1 + 0.2, "params": 12345}, 0.0)
    done = store.trial(study.id, 0)
    assert (done.state, done.values, done.violation) == (TrialState.COMPLETE, {"accuracy": 0.1 + 0.2, "params": 12345}, 0.0)
    assert done.created <= done.started <= done.finished


def test_a_failed_trial_keeps_its_reason_and_no_values(store, study, ledger):
    ledger.fail_trial(ledger.add_trial(0, {}, 0), "the loss became NaN in epoch 3")
    trial = store.trial(study.id, 0)
    assert (trial.state, trial.reason, trial.values) == (TrialState.FAIL, "the loss became NaN in epoch 3", None)


def test_trials_come_by_number_by_state_and_in_pages(store, study, ledger):
    ids = [ledger.add_trial(number, {}, 0) for number in (2, 0, 1, 3)]
    ledger.complete_trial(ids[0], {})
    assert [trial.number for trial in store.trials(study.id)] == [0, 1, 2, 3]
    assert [trial.number for trial in store.trials(study.id, offset=1, limit=2)] == [1, 2]
    assert [trial.number for trial in store.trials(study.id, TrialState.COMPLETE)] == [2]


def test_an_unknown_trial_is_refused_with_their_number(store, study, ledger):
    ledger.add_trial(0, {}, 0)
    with pytest.raises(UsageError, match="no trial 7; the study has 1 trials"):
        store.trial(study.id, 7)


def test_equal_searches_are_one_task_that_serves_several_trials(store, study, ledger):
    trials = [ledger.add_trial(number, {}, 0) for number in range(3)]
    first = ledger.add_task("search", "key", {"epochs": 5}, trials[:1])
    second = ledger.add_task("search", "key", {"epochs": 5}, [trials[0], trials[1]])
    ledger.link(trials[2], first.id)
    assert first.id == second.id
    assert only_task(store, study).trial_ids == tuple(trials)
    assert ledger.add_task("evaluate", "key", {}, []).id != first.id
    assert [task.kind for task in store.tasks(study.id, trial=1)] == ["search"]


def test_a_replayed_step_overwrites(store, ledger, running):
    task, attempt = running
    ledger.record_progress(task, attempt, 0, {"loss": 2.0})
    ledger.record_progress(task, attempt, 1, {"loss": 1.0})
    ledger.record_progress(task, attempt, 1, {"loss": 1.5})
    assert [(record.step, record.metrics) for record in store.progress(task)] == [(0, {"loss": 2.0}), (1, {"loss": 1.5})]


def test_a_mixture_is_read_apart_from_the_metrics_and_a_replay_overwrites_it(store, ledger, running):
    task, attempt = running
    ledger.record_progress(task, attempt, 0, {"loss": 2.0}, None, {"cell": {"operations": [[0.5, 0.5]]}})
    ledger.record_progress(task, attempt, 0, {"loss": 2.0}, None, {"cell": {"operations": [[0.9, 0.1]]}})
    ledger.record_progress(task, attempt, 1, {"loss": 1.0})
    assert store.mixtures(task) == [(0, {"cell": {"operations": [[0.9, 0.1]]}})]
    assert [set(vars(record)) for record in store.progress(task)] == [{"task_id", "step", "attempt_id", "metrics", "time"}] * 2


def test_metrics_that_are_not_finite_become_null(store, ledger, running):
    ledger.record_progress(*running, 0, {"loss": math.nan, "norm": math.inf, "accuracy": 0.1})
    assert store.progress(running[0])[0].metrics == {"loss": None, "norm": None, "accuracy": 0.1}


def test_the_last_two_checkpoints_are_kept_and_older_ones_given_for_removal(store, study, ledger, running):
    dropped = [ledger.record_progress(*running, step, {}, checkpoint(step)) for step in range(4)]
    assert dropped == [[], [], ["file:///checkpoint-0"], ["file:///checkpoint-1"]]
    kept = only_task(store, study).checkpoints
    assert [(artifact.step, artifact.url) for artifact in kept] == [(3, "file:///checkpoint-3"), (2, "file:///checkpoint-2")]
    assert (kept[0].id, kept[0].sha256, kept[0].bytes) == (f"{3:032x}", "0" * 64, 10)


def test_a_step_replayed_from_an_older_checkpoint_replaces_the_newer_ones(store, study, ledger, running):
    for step in range(4):
        ledger.record_progress(*running, step, {}, checkpoint(step))
    again = {"url": "file:///again-3"}
    assert ledger.record_progress(*running, 3, {}, again) == ["file:///checkpoint-3"]
    assert [artifact.url for artifact in only_task(store, study).checkpoints] == ["file:///again-3", "file:///checkpoint-2"]
    # A file written over in place is not to be removed.
    assert ledger.record_progress(*running, 3, {}, again) == []


def test_a_task_begun_anew_forgets_the_checkpoints_it_could_not_read(store, study, ledger, running):
    for step in range(2):
        ledger.record_progress(*running, step, {}, checkpoint(step))
    assert sorted(ledger.drop_artifacts(running[0], "checkpoint")) == ["file:///checkpoint-0", "file:///checkpoint-1"]
    assert only_task(store, study).checkpoints == ()


def test_a_finished_search_leaves_its_result_weights_and_candidates(store, study, ledger, running):
    task, attempt = running
    trial_id = only_task(store, study).trial_ids[0]
    ledger.record_progress(task, attempt, 0, {}, checkpoint(0))
    budget = {"params": {"upper": 30000}}
    decoded = [candidate(5, score=-1.5, budget=budget), candidate(6, origin="extra", score=-2.5, budget=budget)]
    weights = {"kind": "weights", "url": "file:///weights", "sha256": "1" * 64}
    dropped = ledger.finish_search(task, attempt, {"scores": [0.1, -2.0]}, 7.5, [weights])
    ledger.add_candidates(trial_id, decoded)
    assert dropped == ["file:///checkpoint-0"]
    finished = only_task(store, study)
    assert (finished.state, finished.result) == (TaskState.COMPLETE, {"scores": [0.1, -2.0]})
    assert [(artifact.kind, artifact.url) for artifact in store.artifacts(task)] == [("weights", "file:///weights")]
    first, second = store.candidates(study.id)
    assert (first.trial, first.architecture, first.genotype) == (0, architecture(5).key, architecture(5).to_json())
    assert (first.skeleton, first.skeleton_json) == (SKELETON.key, SKELETON.to_json())
    assert (first.params, first.macs, first.score, first.budget) == (1005, 2005, -1.5, budget)
    assert [first.origin, second.origin] == ["primary", "extra"]
    (attempted,) = store.attempts(study.id)
    assert (attempted.state, attempted.seconds, attempted.kind) == (AttemptState.COMPLETE, 7.5, "search")


def test_two_trials_may_find_the_same_architecture(store, study, ledger):
    for number in range(2):
        ledger.add_candidates(ledger.add_trial(number, {}, 0), [candidate(3)])
    assert [record.trial for record in store.candidates(study.id, architectures=[architecture(3).key])] == [0, 1]
    assert [record.trial for record in store.candidates(study.id, trial=1)] == [1]


def test_an_evaluation_is_known_whichever_study_made_it(store, study, new_study, ledger):
    evaluate(ledger, 2, {"accuracy": 0.875, "test_accuracy": 0.85})
    found = store.known_evaluation(evaluation_key(2))
    assert (found.key, found.metrics, found.seconds) == (evaluation_key(2), {"accuracy": 0.875, "test_accuracy": 0.85}, 2.5)
    assert (found.device, found.versions, found.data_checksum) == ({"cpu": "x"}, {"torch": "2"}, "abc")
    for other in (evaluation_key(2, replicate=1), evaluation_key(2, source="s"), evaluation_key(3)):
        assert store.known_evaluation(other) is None
    later = new_study("later")
    with store.ledger(later.id) as ledger:
        ledger.add_candidates(ledger.add_trial(0, {}, 0), [candidate(2)])
    assert store.evaluations(later.id) == [found]
    assert store.evaluations(study.id, data="digits", protocol="short", architectures=[architecture(2).key]) == [found]
    assert store.evaluations(study.id, protocol="full") == []


def test_the_first_measurement_of_two_studies_stays(store, new_study):
    for name, accuracy in (("first", 0.9), ("second", 0.8)):
        with store.ledger(new_study(name).id) as ledger:
            evaluate(ledger, 0, {"accuracy": accuracy})
    assert store.known_evaluation(evaluation_key(0)).metrics == {"accuracy": 0.9}


def test_a_failed_attempt_is_tried_again_until_it_is_final(store, study, ledger, running):
    task, attempt = running
    ledger.record_progress(task, attempt, 0, {}, checkpoint(0))
    ledger.fail_attempt(task, attempt, "killed by signal 9", "", final=False)
    waiting = only_task(store, study)
    assert (waiting.state, waiting.checkpoints[0].step) == (TaskState.WAITING, 0)
    second = ledger.start_attempt(task, "slot 0", "cpu:0")
    ledger.fail_attempt(task, second, "NonFiniteLossError", "Traceback ...", final=True, seconds=1.5)
    assert only_task(store, study).state == TaskState.FAIL
    attempts = store.attempts(study.id, trial=0)
    assert [attempt.reason for attempt in attempts] == ["killed by signal 9", "NonFiniteLossError"]
    assert (attempts[1].error, attempts[1].seconds) == ("Traceback ...", 1.5)
    assert 0 <= attempts[0].seconds < 5


def test_a_paused_attempt_leaves_its_task_waiting_at_its_checkpoint(store, study, ledger, running):
    ledger.record_progress(*running, 0, {}, checkpoint(0))
    ledger.pause_attempt(*running, seconds=3.0)
    task = only_task(store, study)
    assert (task.state, task.checkpoints[0].step) == (TaskState.WAITING, 0)
    assert [(attempt.state, attempt.seconds) for attempt in store.attempts(study.id)] == [(AttemptState.PAUSED, 3.0)]


def test_an_attempt_ends_once(ledger, running):
    ledger.pause_attempt(*running)
    with pytest.raises(AssertionError, match="is not running"):
        ledger.finish_search(*running, {}, 1.0)


def test_resetting_marks_what_a_dead_loop_left_running(store, study, ledger, running):
    task, attempt = running
    ledger.record_progress(task, attempt, 0, {}, checkpoint(0))
    heard = store.progress(task)[0].time
    assert ledger.reset_running() == 1
    assert ledger.reset_running() == 0
    waiting = only_task(store, study)
    assert (waiting.state, waiting.checkpoints[0].url) == (TaskState.WAITING, "file:///checkpoint-0")
    (lost,) = store.attempts(study.id)
    assert (lost.state, lost.finished) == (AttemptState.LOST, heard)
    assert lost.seconds == pytest.approx(heard - lost.started)


def test_a_failed_trial_that_is_opened_again_waits_with_its_task_and_keeps_attempts_and_checkpoints(store, study, ledger):
    trial = ledger.add_trial(0, {}, 0)
    task = ledger.add_task("search", "key", {}, [trial])
    attempt = ledger.start_attempt(task.id, "slot 0", "cpu")
    ledger.record_progress(task.id, attempt, 0, {}, checkpoint(0))
    ledger.fail_attempt(task.id, attempt, "ValueError", "Traceback ...", final=True, seconds=1.5)
    ledger.fail_trial(trial, "its search failed: ValueError")
    ledger.reopen_trial(trial)
    reopened, waiting = store.trial(study.id, 0), only_task(store, study)
    assert (reopened.state, reopened.reason, reopened.finished) == (TrialState.WAITING, None, None)
    assert (waiting.state, waiting.finished, waiting.checkpoints[0].step) == (TaskState.WAITING, None, 0)
    assert [attempt.reason for attempt in store.attempts(study.id)] == ["ValueError"]
    ledger.complete_trial(trial, {"accuracy": 1.0})
    ledger.reopen_trial(trial)
    assert store.trial(study.id, 0).state is TrialState.COMPLETE


def test_device_seconds_are_those_of_all_attempts_of_the_study(store, study, new_study, ledger):
    evaluate(ledger, 0)
    evaluate(ledger, 1)
    with store.ledger(new_study("other").id) as ledger:
        evaluate(ledger, 2)
    assert store.device_seconds(study.id) == 5.0


def test_writes_made_together_count_together_or_not_at_all(store, study, ledger):
    def write_and_fail():
        with ledger.together():
            with ledger.together():
                ledger.add_trial(0, {}, 0)
            ledger.add_candidates(ledger.add_trial(1, {}, 0), [candidate(0)])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_fail()
    assert store.trials(study.id) == []
    ledger.add_trial(0, {}, 0)
    assert len(store.trials(study.id)) == 1


def test_an_evaluation_that_cannot_be_stored_leaves_its_task_running(store, study, ledger):
    task = ledger.add_task("evaluate", "key", {}, [])
    attempt = ledger.start_attempt(task.id, "slot 0", "cpu:0")
    with pytest.raises(KeyError, match=architecture(9).key):  # its architecture is unknown
        ledger.finish_evaluation(task.id, attempt, evaluation_key(9), {"accuracy": 1.0}, 1.0, **MEASURED)
    assert only_task(store, study).state == TaskState.RUNNING


def test_a_prefix_names_one_architecture_of_the_study(store, study, new_study, ledger):
    keys = sorted(architecture(number).key for number in range(16))
    for number in range(16):
        evaluate(ledger, number)
    assert store.architecture_by_prefix(study.id, keys[3]).genotype["space"] == "darts-cnn"
    alike = next(first for first, second in pairwise(keys) if first[0] == second[0])
    with pytest.raises(UsageError, match=f"several.*{alike}"):
        store.architecture_by_prefix(study.id, alike[0])
    shortest = next(n for n in range(1, 17) if sum(key.startswith(alike[:n]) for key in keys) == 1)
    assert store.architecture_by_prefix(study.id, alike[:shortest].upper()).key == alike
    for wrong in ("xyz", "%", "_"):
        with pytest.raises(UsageError, match="no architecture of this study"):
            store.architecture_by_prefix(study.id, wrong)
    with pytest.raises(UsageError, match="none yet"):
        store.architecture_by_prefix(new_study("empty").id, alike)


def test_text_that_a_worker_printed_is_stored_whatever_it_holds(store, study, ledger, running):
    log = "Traceback\x00 in \udcff binary \N{SNOWMAN}"
    ledger.fail_attempt(*running, "died\x00", log, final=True)
    ledger.add_event("warning", log, {"log": log})
    (attempt,) = store.attempts(study.id)
    assert attempt.error.startswith("Traceback")
    assert attempt.error.endswith("binary \N{SNOWMAN}")
    assert attempt.reason.startswith("died")
    assert store.events(study.id)[-1].text == attempt.error
