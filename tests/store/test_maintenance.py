"""What `check` finds: each fault planted by hand, and none in a sound database."""

import pytest

from moonas.store.checks import BACKUP
from moonas.store.maintenance import check
from moonas.store.states import StudyState
from tests.store.conftest import architecture, candidate, evaluate, front, member, on_files


def test_a_sound_database_has_no_faults(store, study, url, ledger, tmp_path):
    weights = tmp_path / "with blank.safetensors"
    weights.touch()
    trial_id = evaluate(
        ledger,
        0,
        front=front(member(0, 0.9, 1000)),
        artifacts=[{"kind": "weights", "url": weights.as_uri()}, {"kind": "log", "url": "s3://b/k"}],
    )
    ledger.complete_trial(trial_id, {"accuracy": 0.9})
    ledger.fail_trial(ledger.add_trial(1, {}, 0), "NaN")
    ledger.start_attempt(ledger.add_task("search", "k", {}, [ledger.add_trial(2, {}, 0)]).id, "slot 0", "cpu:0")
    assert check(url) == []


def test_a_missing_artifact_is_found(study, url, ledger, tmp_path):
    evaluate(ledger, 0, artifacts=[{"kind": "weights", "url": (tmp_path / "gone").as_uri()}])
    assert check(url) == [
        f"study 'digits': the weights file://{tmp_path}/gone is missing; "
        "moonas db check --fix forgets it, and what still needs it is done again"
    ]


def test_tasks_left_running_by_a_dead_loop_are_found(store, study, url):
    with store.ledger(study.id) as ledger:
        ledger.start_attempt(ledger.add_task("search", "k", {}, []).id, "slot 0", "cpu:0")
        assert check(url) == []
    assert check(url) == ["study 'digits': 1 tasks are RUNNING but nobody drives the study; moonas resume digits goes on with them"]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ("state = 'COMPLETE', finished = 1", "is COMPLETE but has no values"),
        ("state = 'FAIL', finished = 1", "has failed without a reason"),
        ("state = 'PRUNED'", "has ended but is not finished"),
        ("finished = 1", "is finished but has not ended"),
        ("state = 'RUNNING'", "is RUNNING but never began"),
    ],
)
def test_trials_in_impossible_states_are_found(url, ledger, plant, change, fault):
    ledger.add_trial(0, {}, 0)
    plant(f"UPDATE moonas_trial SET {change}")
    assert check(url) == [f"study 'digits': trial 0 {fault}; {BACKUP}"]


def test_an_open_trial_of_a_complete_study_is_found(url, ledger):
    ledger.add_trial(0, {}, 0)
    ledger.set_state(StudyState.COMPLETE)
    assert check(url) == ["study 'digits': trial 0 is open, but the study is COMPLETE; moonas resume digits puts that right"]


def test_a_dominated_member_is_found_with_signs_turned(url, ledger):
    ledger.add_candidates(ledger.add_trial(0, {}, 0), [candidate(number) for number in range(3)])
    ledger.replace_front(front(member(0, 0.9, 1000), member(1, 0.8, 1000), member(2, 0.7, 900)))
    assert check(url) == [f"study 'digits', front by short: {architecture(1).key} is dominated by another member; {BACKUP}"]


def test_members_with_other_objectives_or_unknown_ones_are_found(url, ledger):
    ledger.add_candidates(ledger.add_trial(0, {}, 0), [candidate(0), candidate(1)])
    key, skeleton, _ = member(1, 0, 0)
    ledger.replace_front(front(member(0, 0.9, 1000), (key, skeleton, {"accuracy": 0.95})))
    (problem,) = check(url)
    assert "differ in their objectives" in problem
    ledger.replace_front(front((key, skeleton, {"acuracy": 0.95})))
    (problem,) = check(url)
    assert "'acuracy' is not a metric" in problem


def test_rows_without_their_owner_are_found(url, ledger, plant):
    ledger.add_candidates(ledger.add_trial(0, {}, 0), [candidate(0)])
    plant("DELETE FROM moonas_candidate")
    (found,) = check(url)
    assert found.startswith(f"architecture {architecture(0).key} belongs to no trial; ")


@on_files
def test_rows_that_refer_to_nothing_are_found(url, plant):
    plant("INSERT INTO moonas_trial_task (trial_id, task_id) VALUES (1, 99)")
    assert f"row 1 of moonas_trial_task refers to a row of moonas_task that is not there; {BACKUP}" in check(url)


@on_files
def test_a_damaged_file_is_found(store, study, url, ledger, tmp_path):
    for number in range(200):
        ledger.add_trial(number, {"text": "x" * 100}, 0)
    store.release(study.id, ledger.holder)
    store.close()  # the last connection moves all pages from the log to the file
    path = tmp_path / "study.db"
    pages = bytearray(path.read_bytes())
    pages[-4096:] = b"\x55" * 4096
    path.write_bytes(bytes(pages))
    assert any("damaged" in problem for problem in check(url))


@pytest.mark.parametrize(
    ("holder", "since", "expires"),
    [("NULL", "1", "2"), ("'host/1/x'", "NULL", "2"), ("'host/1/x'", "1", "NULL"), ("'somebody'", "1", "2e12")],
)
def test_a_lease_that_is_half_set_is_found_and_can_be_taken(store, study, url, plant, holder, since, expires):
    plant(f"UPDATE moonas_study SET lease_holder = {holder}, lease_since = {since}, lease_expires = {expires}")
    (found,) = check(url)
    assert "its lease makes no sense" in found
    assert "moonas resume digits takes it anew" in found
    with store.ledger(study.id):
        assert check(url) == []


def test_a_hole_in_the_numbers_of_trials_or_fronts_is_found(url, ledger, plant):
    for number in range(3):
        evaluate(ledger, number, front=front(member(number, 0.9 + number / 100, 1000)))
    assert check(url) == []
    plant("DELETE FROM moonas_trial_task WHERE trial_id = 2")
    plant("DELETE FROM moonas_candidate WHERE trial_id = 2")
    plant("DELETE FROM moonas_trial WHERE number = 1")
    plant("DELETE FROM moonas_front WHERE number = 1")
    found = check(url)
    assert f"study 'digits': its 2 trials are numbered 0 to 2, not 0 to 1; {BACKUP}" in found
    assert f"study 'digits': its 2 fronts are numbered 2 to 3, not 1 to 2; {BACKUP}" in found


@pytest.mark.parametrize("change", ["entered = 4", "left_front = 9", "left_front = entered"])
def test_a_stay_on_fronts_that_never_were_is_found(url, ledger, plant, change):
    evaluate(ledger, 0, front=front(member(0, 0.9, 1000)))
    plant(f"UPDATE moonas_front_member SET {change}")
    (found,) = check(url)
    assert found.startswith(f"study 'digits': {architecture(0).key} entered with front ")
    assert "which the history does not have" in found


def test_an_evaluation_of_a_network_without_costs_is_found(url, ledger, plant):
    evaluate(ledger, 0)
    plant("UPDATE moonas_evaluation SET skeleton = 'another'")
    assert check(url) == [
        f"the evaluation of {architecture(0).key} by short, replicate 0, is of a network whose costs are not stored; {BACKUP}"
    ]
    plant("UPDATE moonas_evaluation SET source = 'a search'")  # with inherited weights it is the search network that is evaluated
    assert check(url) == []


def test_attempts_and_tasks_that_disagree_are_found_and_put_right_by_a_loop(url, ledger, plant):
    task = ledger.add_task("search", "k", {}, [ledger.add_trial(0, {}, 0)])
    attempt = ledger.start_attempt(task.id, "slot 0", "cpu:0")
    mends = "moonas resume digits puts that right"
    plant("UPDATE moonas_task SET state = 'WAITING'")
    assert check(url) == [f"study 'digits': attempt {attempt} is RUNNING, but its task {task.id} is WAITING; {mends}"]
    plant("UPDATE moonas_task SET state = 'RUNNING'")
    plant("UPDATE moonas_attempt SET state = 'LOST'")
    assert check(url) == [f"study 'digits': task {task.id} is RUNNING with 0 running attempts; {mends}"]
    ledger.reset_running()
    assert check(url) == []
