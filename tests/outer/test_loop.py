"""The loop on a pool without torch: what it runs, what it stores, and that dying anywhere changes nothing."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from moonas.errors import LeaseError, TaskError
from moonas.outer.loop import Loop
from moonas.outer.plan import Plan
from moonas.results.study import Study
from moonas.spaces.costs import cost
from moonas.store.states import AttemptState, StudyState, TaskState, TrialState
from moonas.store.store import Store
from moonas.study.loading import study_from
from moonas.worker.local import Event
from tests.outer.fakes import Crash, FakePool, Notes, drive, small_study


@pytest.fixture
def store(tmp_path: Path) -> Store:
    with Store.open(f"sqlite:///{tmp_path}/study.db", create=True) as opened:
        yield opened


def front_of(store: Store) -> str:
    return json.dumps([member.to_json() for member in Study(store, "small").front()], sort_keys=True)


def test_a_grid_runs_to_its_end_and_every_architecture_obeys_its_budget(store: Store) -> None:
    assert drive(store, small_study(), FakePool()) is StudyState.COMPLETE
    study = Study(store, "small")
    trials = study.trials()
    assert len(trials) == 2 * 3 * 2  # methods, budgets, replicates
    assert {trial.state for trial in trials} == {TrialState.COMPLETE}
    assert len(study.front()) >= 2
    for network in study.archive():
        costs = cost(network.architecture, network.skeleton)
        assert costs.params == network.metrics["params"].value
        assert costs.params <= (network.budget or {}).get("params", {}).get("upper", costs.params)


def test_trials_with_equal_search_keys_share_one_search(store: Store) -> None:
    pool = FakePool()
    drive(store, small_study(), pool)
    searches = [task["spec"] for task in pool.started if task["spec"]["kind"] == "search"]
    assert sum(spec["method"]["name"] == "darts" for spec in searches) == 2  # one a replicate, for three budgets
    assert sum(spec["method"]["name"] == "random" for spec in searches) == 6


def test_no_evaluation_is_ever_done_twice(store: Store) -> None:
    pool = FakePool()
    drive(store, small_study(budgets={"params": ["90%", "100%", "none"]}), pool)  # the same decode for all three
    evaluated = [json.dumps(task["spec"], sort_keys=True) for task in pool.started if task["spec"]["kind"] == "evaluate"]
    assert len(evaluated) == len(set(evaluated))
    darts = [trial for trial in Study(store, "small").trials() if trial.params["method"] == "darts"]
    assert len(darts) == 6
    assert len({json.dumps(trial.values) for trial in darts}) == 2


def test_a_second_study_takes_over_what_the_first_has_measured(store: Store) -> None:
    drive(store, small_study(), FakePool())
    second = FakePool()
    drive(store, small_study(name="again"), second)
    assert [task["spec"]["kind"] for task in second.started] == ["search"] * len(second.started)
    assert front_of(store) == json.dumps([m.to_json() for m in Study(store, "again").front()], sort_keys=True)


def test_what_another_study_measured_beyond_ones_own_replicates_does_not_count(store: Store, tmp_path: Path) -> None:
    few = small_study(name="few", methods=["random"], budgets={"params": ["0%"]}, replicates=1)
    drive(store, {**few, "name": "many", "replicates": 6}, FakePool())
    drive(store, few, FakePool())
    with Store.open(f"sqlite:///{tmp_path}/alone.db", create=True) as alone:
        drive(alone, few, FakePool())
        assert [n.to_json() for n in Study(store, "few").archive()] == [n.to_json() for n in Study(alone, "few").archive()]
        assert store.front(store.study("few").id)[0].values == alone.front(alone.study("few").id)[0].values


def test_a_loop_that_dies_at_any_event_is_continued_to_the_same_front(tmp_path: Path) -> None:
    with Store.open(f"sqlite:///{tmp_path}/whole.db", create=True) as whole:
        drive(whole, small_study(), FakePool())
        expected, trials = front_of(whole), [trial.values for trial in Study(whole, "small").trials()]
    for first in range(1, 55, 6):
        with Store.open(f"sqlite:///{tmp_path}/broken-{first}.db", create=True) as broken:
            deaths = 0
            for crash_after in (first, 3, 11, None):
                try:
                    drive(broken, small_study(), FakePool(crash_after=crash_after))
                except Crash:
                    deaths += 1
            assert deaths >= 1
            assert front_of(broken) == expected
            assert [trial.values for trial in Study(broken, "small").trials()] == trials
            assert Study(broken, "small").state is StudyState.COMPLETE


def test_the_number_of_slots_does_not_change_the_front(tmp_path: Path) -> None:
    fronts = set()
    for slots in (1, 2, 5):
        with Store.open(f"sqlite:///{tmp_path}/{slots}.db", create=True) as store:
            drive(store, small_study(decode={"extra": 2}), FakePool(slots))
            fronts.add(front_of(store))
    assert len(fronts) == 1


def test_extras_go_to_the_archive_and_obey_the_budget(store: Store) -> None:
    drive(store, small_study(decode={"extra": 2}, replicates=1), FakePool())
    archive = Study(store, "small").archive()
    extras = [network for network in archive if network.origin == "extra"]
    assert len(extras) >= 2
    for network in extras:
        assert network.method == "darts"
        assert network.metrics["params"].value <= (network.budget or {}).get("params", {}).get("upper", 10**9)


def test_a_task_that_raises_fails_its_trials_and_the_study_goes_on(store: Store) -> None:
    def spoil(spec: Mapping[str, Any]) -> Event | None:
        if spec["kind"] == "search" and spec["method"]["name"] == "darts" and spec["replicate"] == 1:
            return Event(0, "error", {"reason": "NonFiniteLossError: the loss is NaN", "traceback": "Traceback: here"})
        return None

    notes = Notes()
    assert drive(store, small_study(), FakePool(spoil=spoil), notes) is StudyState.COMPLETE
    study = Study(store, "small")
    failed = [trial for trial in study.trials() if trial.state is TrialState.FAIL]
    assert [(trial.params["method"], trial.replicate) for trial in failed] == [("darts", 1)] * 3
    assert "NaN" in (failed[0].reason or "")
    attempts = store.attempts(study.record.id, trial=failed[0].number)
    assert [(attempt.state, attempt.error) for attempt in attempts] == [(AttemptState.FAIL, "Traceback: here")]
    assert any("logs small" in line for line in notes.lines)
    assert study.front()


def test_a_worker_that_dies_is_given_its_task_again_but_not_for_ever(store: Store) -> None:
    deaths = {"left": 2}

    def dies_twice(spec: Mapping[str, Any]) -> Event | None:
        if spec["kind"] == "search" and deaths["left"]:
            deaths["left"] -= 1
            return Event(0, "died", {"reason": "killed by SIGKILL", "log": ""})
        return None

    assert drive(store, small_study(), FakePool(slots=1, spoil=dies_twice)) is StudyState.COMPLETE
    assert all(trial.state is TrialState.COMPLETE for trial in Study(store, "small").trials())

    always = FakePool(spoil=lambda spec: Event(0, "died", {"reason": "killed by SIGSEGV", "log": ""}))
    drive(store, small_study(name="doomed", replicates=1, methods=["darts"]), always)
    doomed = Study(store, "doomed")
    assert {trial.state for trial in doomed.trials()} == {TrialState.FAIL}
    assert len(always.started) == 3  # max_attempts of the one search the trials share


def test_missing_data_pauses_the_study_instead_of_failing_its_trials(store: Store) -> None:
    pool = FakePool(spoil=lambda spec: Event(0, "unable", {"reason": "cifar10 is not there; get it"}))
    with pytest.raises(TaskError, match=r"cifar10 is not there(.|\n)*moonas resume small"):
        drive(store, small_study(), pool)
    study = Study(store, "small")
    assert study.state is StudyState.PAUSED
    assert TrialState.FAIL not in {trial.state for trial in study.trials()}
    assert drive(store, small_study(), FakePool()) is StudyState.COMPLETE


def test_the_last_words_of_an_idle_worker_do_not_touch_the_task_of_its_successor(store: Store) -> None:
    class Late(FakePool):
        def start(self, slot: int, task: Mapping[str, Any]) -> None:
            self.queue.append(Event(slot, "died", {"reason": "killed while idle", "log": ""}, "fake/its-predecessor"))
            super().start(slot, task)

    assert drive(store, small_study(), Late()) is StudyState.COMPLETE
    attempts = store.attempts(store.study("small").id)
    assert {attempt.state for attempt in attempts} == {AttemptState.COMPLETE}


def test_pausing_keeps_everything_and_resuming_ends_the_same(tmp_path: Path) -> None:
    with Store.open(f"sqlite:///{tmp_path}/whole.db", create=True) as whole:
        drive(whole, small_study(), FakePool())
        expected = front_of(whole)

    class Pausing(Notes):
        def tick(self, loop: Loop) -> None:
            if sum(loop.trials.finished.values()) == 4:
                loop.pause()

    with Store.open(f"sqlite:///{tmp_path}/paused.db", create=True) as paused:
        pool = FakePool()
        assert drive(paused, small_study(), pool, Pausing()) is StudyState.PAUSED
        assert {command for _, command in pool.commands} == {"pause"}
        study = Study(paused, "small")
        assert study.state is StudyState.PAUSED
        assert all(task.state is not TaskState.RUNNING for task in paused.tasks(study.record.id))
        assert drive(paused, small_study(), FakePool()) is StudyState.COMPLETE
        assert front_of(paused) == expected


def test_a_limit_on_device_hours_lets_running_trials_finish(store: Store) -> None:
    notes = Notes()
    state = drive(store, small_study(limits={"device_hours": 1e-9}), FakePool(slots=1), notes)
    assert state is StudyState.STOPPED
    trials = Study(store, "small").trials()
    assert 1 <= len(trials) < 12
    assert {trial.state for trial in trials} == {TrialState.COMPLETE}
    assert any("device_hours" in line for line in notes.lines)


def test_a_second_loop_is_refused_and_says_who_drives(store: Store) -> None:
    drive(store, small_study(replicates=1), FakePool())
    record = store.study("small")
    with store.ledger(record.id), pytest.raises(LeaseError, match="driven by process"), store.ledger(record.id):
        pass


def test_the_archive_and_not_the_test_set_decides_the_front(store: Store) -> None:
    drive(store, small_study(), FakePool())
    study = Study(store, "small")
    points = [(n.metrics["accuracy"].value, n.metrics["params"].value, n.key) for n in study.archive()]
    by_hand = {
        key
        for accuracy, params, key in points
        if not any(a >= accuracy and p <= params and (a, p) != (accuracy, params) for a, p, _ in points)
    }
    assert {member.key for member in study.front()} == by_hand


def test_constraints_on_measured_metrics_keep_a_point_off_the_front(store: Store) -> None:
    drive(store, small_study(constraints=["accuracy>=0.95"]), FakePool())
    study = Study(store, "small")
    assert min(network.metrics["accuracy"].value for network in study.archive()) < 0.95
    assert all(member.metrics["accuracy"].value >= 0.95 for member in study.front())
    violations = {trial.number: trial.violation for trial in study.trials()}
    assert any(violation and violation > 0 for violation in violations.values())


def test_best_under_a_bound_is_that_of_brute_force(store: Store) -> None:
    drive(store, small_study(), FakePool())
    study = Study(store, "small")
    archive = study.archive()
    for limit in sorted({network.metrics["params"].value for network in archive}):
        fitting = [n.metrics["accuracy"].value for n in archive if n.metrics["params"].value <= limit]
        assert study.best({"params": limit}).metrics["accuracy"].value == max(fitting)


def test_replicates_of_one_architecture_are_averaged(store: Store) -> None:
    raw = small_study(space={"name": "darts-cnn", "nodes": 1, "operations": ["skip_connect", "sep_conv_3x3"]}, methods=["random"])
    drive(store, {**raw, "replicates": 6, "budgets": {"params": ["0%"]}}, FakePool())
    network = Study(store, "small").archive()[0]
    measured = [e.metrics["accuracy"] for e in store.evaluations(store.study("small").id) if e.architecture == network.key]
    assert network.metrics["accuracy"].replicates == len(measured) > 1
    assert network.metrics["accuracy"].value == pytest.approx(sum(measured) / len(measured))
    deviation = (sum((value - sum(measured) / len(measured)) ** 2 for value in measured) / (len(measured) - 1)) ** 0.5
    assert network.metrics["accuracy"].error == pytest.approx(deviation / len(measured) ** 0.5)


def test_hypervolume_history_never_falls_without_replicates_changing_means(store: Store) -> None:
    drive(store, small_study(), FakePool())
    steps = [step.hypervolume for step in Study(store, "small").front_history()]
    assert len(steps) >= 2
    assert all(0 < step <= 1 for step in steps)
    assert steps == sorted(steps)


def test_an_extended_study_goes_on_with_what_is_new(store: Store) -> None:
    drive(store, small_study(replicates=1), FakePool())
    done = len(Study(store, "small").trials())
    more = FakePool()
    drive(store, small_study(replicates=2), more)
    assert len(Study(store, "small").trials()) == 2 * done
    assert {task["spec"]["replicate"] for task in more.started} == {1}


def test_the_plan_of_the_fakes_is_a_valid_study() -> None:
    assert len(Plan(study_from(small_study())).budgets) == 3
