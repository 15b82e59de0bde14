"""What other processes ask of a loop, on a pool without torch: when it is done, what is stored, and how the study goes on."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from moonas.errors import LeaseError, UsageError
from moonas.outer import requests as requests_module
from moonas.outer.changing import Changes
from moonas.outer.loop import Loop
from moonas.outer.plan import Plan
from moonas.outer.stagnation import CANCELLED, volumes_after
from moonas.results.study import Study
from moonas.store.states import AttemptState, StudyState, TaskState, TrialState
from moonas.store.store import Store
from moonas.study.loading import study_from
from moonas.worker.local import Event
from tests.outer.fakes import Crash, FakePool, Notes, drive, small_study

COMPLETE, FAIL, RUNNING, WAITING = TrialState.COMPLETE, TrialState.FAIL, TrialState.RUNNING, TrialState.WAITING


@pytest.fixture(autouse=True)
def _looks_at_every_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests_module, "LOOK", 0.0)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    with Store.open(f"sqlite:///{tmp_path}/study.db", create=True) as opened:
        yield opened


class Asking(Notes):
    """A watcher that, once `when` holds, lets somebody else ask the loop for something."""

    def __init__(self, when: Callable[[Loop], bool], *asked: tuple[str, Mapping[str, Any]]) -> None:
        super().__init__()
        self.when, self.asked = when, list(asked)
        self.ids: list[int] = []

    def tick(self, loop: Loop) -> None:
        if self.asked and self.when(loop):
            self.ids += [loop.store.add_request(loop.study.id, kind, payload) for kind, payload in self.asked]
            self.asked = []


def after(finished: int) -> Callable[[Loop], bool]:
    return lambda loop: sum(loop.trials.finished.values()) >= finished and bool(loop.slots.running)


def front_of(store: Store) -> str:
    return json.dumps([member.to_json() for member in Study(store, "small").front()], sort_keys=True)


def states(store: Store) -> list[TrialState]:
    return [trial.state for trial in Study(store, "small").trials()]


def answers(store: Store, asking: Asking) -> list[str]:
    found = [store.answer(store.study("small").id, request) for request in asking.ids]
    return [answer.text for answer in found if answer is not None]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> str:
    with Store.open(f"sqlite:///{tmp_path_factory.mktemp('whole')}/study.db", create=True) as store:
        drive(store, small_study(), FakePool())
        return front_of(store)


def changed(store: Store, change: Callable[[Changes], Any], raw: Mapping[str, Any] | None = None) -> Any:
    """What a process does that finds no loop."""
    with store.ledger(store.study("small").id) as ledger:
        return change(Changes.without_loop(Plan(study_from(raw or small_study())), store, ledger))


# Pause and stop


def test_a_pause_asked_from_elsewhere_ends_the_loop_and_the_study_goes_on_to_the_same_front(store: Store, undisturbed: str) -> None:
    pool, asking = FakePool(), Asking(after(4), ("pause", {}), ("pause", {}))
    assert drive(store, small_study(), pool, asking) is StudyState.PAUSED
    assert {command for _, command in pool.commands} == {"pause"}
    assert answers(store, asking) == ["pause: pausing: 2 tasks end at their next checkpoint"] * 2
    assert drive(store, small_study(), FakePool()) is StudyState.COMPLETE
    assert front_of(store) == undisturbed


def test_after_a_stop_nothing_new_starts_and_what_runs_finishes(store: Store, undisturbed: str) -> None:
    asking = Asking(after(3), ("stop", {}))
    assert drive(store, small_study(), FakePool(), asking) is StudyState.STOPPED
    assert set(states(store)) == {COMPLETE}
    assert 4 <= len(states(store)) < 12
    assert "stopping: 2 running trials finish, nothing new starts" in answers(store, asking)[0]
    assert store.state_note(store.study("small").id) == "stopped on request"
    assert drive(store, small_study(), FakePool()) is StudyState.COMPLETE
    assert front_of(store) == undisturbed


def test_a_pause_is_stronger_than_a_stop_whichever_comes_first(store: Store) -> None:
    assert drive(store, small_study(), FakePool(), Asking(after(2), ("pause", {}), ("stop", {}))) is StudyState.PAUSED
    assert drive(store, small_study(), FakePool(), Asking(after(4), ("stop", {}), ("pause", {}))) is StudyState.PAUSED


def test_a_pause_meant_for_a_loop_that_has_died_does_not_pause_the_next_one(store: Store) -> None:
    drive(store, small_study(), FakePool(), Asking(after(2), ("pause", {})))
    study_id = store.study("small").id
    late = [store.add_request(study_id, kind, {}) for kind in ("pause", "stop", "cancel")]
    assert drive(store, small_study(), FakePool()) is StudyState.COMPLETE
    assert all("before this loop began" in store.answer(study_id, request).text for request in late)
    assert set(states(store)) == {COMPLETE}


def test_looks_at_the_requests_write_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    drive(store, small_study(), FakePool(), Asking(after(2), ("pause", {})))
    writes = []

    class Idle(Notes):
        def tick(self, loop: Loop) -> None:
            if not writes:
                monkeypatch.setattr(loop.ledger, "together", lambda: writes.append("together"))
                for _ in range(20):
                    assert loop.requests.take(at_once=True) is False
                monkeypatch.undo()
                assert writes == []
                loop.pause()

    assert drive(store, small_study(), FakePool(), Idle()) is StudyState.PAUSED


def test_a_request_of_another_kind_is_refused_and_the_loop_goes_on(store: Store) -> None:
    asking = Asking(after(1), ("dance", {}), ("cancel", {"trials": ["x"]}), ("retry", {"trials": [99]}))
    assert drive(store, small_study(), FakePool(), asking) is StudyState.COMPLETE
    assert [text.split(": ", 1)[1] for text in answers(store, asking)] == [
        "this moonas knows no request 'dance'",
        f"there is no trial x; the study has {len_at(store, asking.ids[1])} trials, counted from 0",
        f"there is no trial 99; the study has {len_at(store, asking.ids[2])} trials, counted from 0",
    ]


def len_at(store: Store, request: int) -> str:
    return store.answer(store.study("small").id, request).text.split("has ")[1].split(" ")[0]


# Cancel and retry


def test_a_cancelled_trial_fails_with_that_reason_and_its_task_is_killed(store: Store) -> None:
    raw, pool = small_study(methods=["random"]), FakePool()
    asking = Asking(after(1), ("cancel", {"trials": [1]}))
    assert drive(store, raw, pool, asking) is StudyState.COMPLETE
    trials = Study(store, "small").trials()
    assert [trial.number for trial in trials if trial.state is FAIL] == [1]
    assert trials[1].reason == CANCELLED
    assert len(pool.killed) == 1
    last = store.attempts(store.study("small").id, trial=1)[-1]
    assert (last.state, last.reason) == (AttemptState.FAIL, CANCELLED)
    assert all(task.state is not TaskState.FAIL for task in store.tasks(store.study("small").id))


def test_a_cancelled_trial_does_not_count_as_one_that_gained_nothing(store: Store) -> None:
    known: list[tuple[int, int]] = []

    class Counting(Asking):
        def tick(self, loop: Loop) -> None:
            super().tick(loop)
            known.append((sum(loop.trials.finished.values()), len(loop.trials.volumes)))

    drive(store, small_study(methods=["random"]), FakePool(), Counting(after(1), ("cancel", {"trials": [1]})))
    study = Study(store, "small")
    finished, counted = known[-1]
    assert len(study.trials()) - finished <= 1, "the last look may come before the last trial ends"
    assert counted == finished - 1
    assert len(volumes_after(study.trials(), study.front_history())) == len(study.trials()) - 1


def test_a_task_that_other_open_trials_need_is_not_killed_for_one_of_them(store: Store) -> None:
    raw, pool = small_study(methods=["darts"], replicates=1), FakePool(slots=3)  # three budgets share one search
    asking = Asking(lambda loop: len(loop.trials.open) == 3, ("cancel", {"trials": [1]}))
    assert drive(store, raw, pool, asking) is StudyState.COMPLETE
    assert states(store) == [COMPLETE, FAIL, COMPLETE]
    assert pool.killed == []


def test_a_trial_that_joins_a_running_search_is_running(store: Store) -> None:
    found: list[list[TrialState]] = []

    class Looking(Notes):
        def tick(self, loop: Loop) -> None:
            if len(loop.trials.open) == 3:
                found.append(states(store))

    drive(store, small_study(methods=["darts"], replicates=1), FakePool(slots=3), Looking())
    assert found[0] == [RUNNING] * 3


def test_cancelling_everything_kills_what_runs_and_ends_the_loop(store: Store, undisturbed: str) -> None:
    pool, asking = FakePool(), Asking(after(3), ("cancel", {}))
    assert drive(store, small_study(), pool, asking) is StudyState.STOPPED
    found = states(store)
    assert found.count(FAIL) == 2
    assert len(pool.killed) >= 1
    assert drive(store, small_study(), FakePool()) is StudyState.COMPLETE
    assert states(store).count(FAIL) == 2, "what the user cancelled is not asked for again"
    assert "trials" in changed(store, lambda changes: changes.retry())
    assert drive(store, small_study(), FakePool()) is StudyState.COMPLETE
    assert set(states(store)) == {COMPLETE}
    assert front_of(store) == undisturbed


def test_a_result_that_was_on_its_way_when_its_trial_was_cancelled_is_kept_and_the_trial_stays_cancelled(store: Store) -> None:
    class TooLate(FakePool):
        def kill(self, slot: int, reason: str = "") -> None:
            self.killed.append((slot, reason))  # its last report is in the queue already

    def evaluating(loop: Loop) -> bool:
        return any(running.task.record.kind == "evaluate" for running in loop.slots.running.values())

    pool = TooLate(slots=1)
    drive(store, small_study(methods=["random"], replicates=1), pool, Asking(evaluating, ("cancel", {"trials": [0]})))
    assert pool.killed == [(0, "")]
    assert states(store) == [FAIL, COMPLETE, COMPLETE]
    attempts = store.attempts(store.study("small").id, trial=0)
    assert [attempt.state for attempt in attempts] == [AttemptState.COMPLETE] * 2
    candidate = store.candidates(store.study("small").id, trial=0)[0]
    assert store.evaluations(store.study("small").id, architectures=[candidate.architecture])
    again = FakePool()
    changed(store, lambda changes: changes.retry([0]), small_study(methods=["random"], replicates=1))
    drive(store, small_study(methods=["random"], replicates=1), again)
    assert (states(store), again.started) == ([COMPLETE] * 3, [])


def test_a_trial_that_has_ended_is_not_cancelled_and_an_unknown_one_is_refused(store: Store) -> None:
    drive(store, small_study(), FakePool())
    assert changed(store, lambda changes: changes.cancel([0]))[0] == "trial 0 had ended: COMPLETE"
    assert changed(store, lambda changes: changes.cancel())[0] == "no trial was running"
    with pytest.raises(UsageError, match="there is no trial 12; the study has 12 trials, counted from 0"):
        changed(store, lambda changes: changes.cancel([3, 12]))


def test_a_trial_that_is_held_at_a_rung_can_be_cancelled_and_the_others_of_its_network_go_on_without_it(store: Store) -> None:
    raw = small_study(
        methods=[{"name": "darts", "epochs": 3}],
        budgets={"params": ["90%", "100%", "none"]},  # all three decode to the same network
        replicates=3,
        protocol={"name": "short", "epochs": 18},
        promotion={"epochs": 2},
    )
    asking = Asking(lambda loop: loop.advancing.rungs.held >= 3, ("cancel", {"trials": [1]}))
    assert drive(store, raw, FakePool(slots=1), asking) is StudyState.COMPLETE
    assert answers(store, asking) == ["cancel: trial 1 cancelled"]
    assert [number for number, state in enumerate(states(store)) if state is FAIL] == [1]
    changed(store, lambda changes: changes.retry(), raw)
    assert drive(store, raw, FakePool(slots=1)) is StudyState.COMPLETE
    assert FAIL not in states(store)
    assert states(store)[1] is states(store)[0]


def dying(times: int) -> Callable[[Mapping[str, Any]], Event | None]:
    """The first search of darts dies so often."""
    left = {"deaths": times}

    def spoil(spec: Mapping[str, Any]) -> Event | None:
        if spec["kind"] == "search" and spec["method"]["name"] == "darts" and left["deaths"]:
            left["deaths"] -= 1
            return Event(0, "died", {"reason": "killed by SIGKILL", "log": ""})
        return None

    return spoil


def test_a_retried_trial_keeps_its_attempts_and_gets_as_many_anew(store: Store, undisturbed: str) -> None:
    assert drive(store, small_study(), FakePool(slots=1, spoil=dying(3))) is StudyState.COMPLETE
    assert states(store).count(FAIL) == 3  # max_attempts is 3, and three trials share the search
    study_id = store.study("small").id
    failed = next(trial.number for trial in Study(store, "small").trials() if trial.state is FAIL)
    assert changed(store, lambda changes: changes.retry()).startswith("trials ")
    assert states(store).count(WAITING) == 3
    assert drive(store, small_study(), FakePool(slots=1, spoil=dying(2))) is StudyState.COMPLETE
    attempts = [a.state for a in store.attempts(study_id, trial=failed) if a.kind == "search"]
    assert attempts == [AttemptState.FAIL] * 5 + [AttemptState.COMPLETE]
    assert front_of(store) == undisturbed


def test_a_running_loop_takes_a_failed_trial_up_again(store: Store, undisturbed: str) -> None:
    asking = Asking(lambda loop: loop.trials.finished[FAIL] >= 3, ("retry", {}))
    assert drive(store, small_study(), FakePool(slots=1, spoil=dying(3)), asking) is StudyState.COMPLETE
    assert len(answers(store, asking)) == 1
    assert set(states(store)) == {COMPLETE}
    assert front_of(store) == undisturbed


def test_only_failed_trials_are_retried(store: Store) -> None:
    drive(store, small_study(), FakePool(), Asking(after(2), ("pause", {})))
    unfinished = next(trial.number for trial in Study(store, "small").trials() if trial.state is RUNNING)
    assert changed(store, lambda changes: changes.retry([unfinished])) == f"trial {unfinished} is open"
    assert changed(store, lambda changes: changes.retry()) == "no trial has failed"
    with pytest.raises(UsageError, match="trial 0 is COMPLETE; only failed trials are tried again"):
        changed(store, lambda changes: changes.retry([0]))


def test_a_loop_that_dies_at_any_moment_of_a_cancelling_and_a_retry_is_continued(tmp_path: Path, undisturbed: str) -> None:
    for crash_after in range(6, 30, 4):
        with Store.open(f"sqlite:///{tmp_path}/{crash_after}.db", create=True) as store:
            asking = Asking(after(1), ("cancel", {"trials": [1]}), ("retry", {"trials": [1]}))
            with pytest.raises(Crash):
                drive(store, small_study(), FakePool(crash_after=crash_after), asking)
            drive(store, small_study(), FakePool())
            assert set(states(store)) == {COMPLETE}
            assert front_of(store) == undisturbed


# Enqueue


def test_an_enqueued_trial_is_the_next_and_a_grid_does_not_ask_for_it_again(store: Store, undisturbed: str) -> None:
    row = {"method": "darts", "budget": "none", "replicate": 1}
    pool, asking = FakePool(slots=1), Asking(after(1), ("enqueue", {"row": row}), ("enqueue", {"row": row}))
    assert drive(store, small_study(), pool, asking) is StudyState.COMPLETE
    trials = Study(store, "small").trials()
    assert len(trials) == 12
    chosen = [trial for trial in trials if trial.sampler_attrs.get("enqueued")]
    assert [(trial.params["method"], trial.params["budget"], trial.replicate) for trial in chosen] == [("darts", "none", 1)]
    assert chosen[0].number == 2  # one was finished and one ran when it was asked for
    first, second = answers(store, asking)
    assert first == "enqueue: trial 2 enqueued: darts, none, replicate 1"
    assert "the study has this trial already: trial 2" in second
    assert [member["key"] for member in json.loads(front_of(store))] == [member["key"] for member in json.loads(undisturbed)]


def test_without_a_loop_it_waits_for_the_next_one_and_the_trial_limit_does_not_keep_it_out(store: Store) -> None:
    raw = small_study(methods=[{"name": "darts", "alpha_lr": {"log": [1e-4, 1e-2]}}], sampler="random", trials=3, replicates=1)
    assert drive(store, raw, FakePool()) is StudyState.COMPLETE
    row = {"budget": "params=40%", "setting.alpha_lr": "3e-3"}
    assert changed(store, lambda changes: changes.enqueue(row), raw).startswith("trial 3 enqueued: darts, params<=")
    assert states(store) == [COMPLETE] * 3 + [WAITING]
    assert drive(store, raw, FakePool()) is StudyState.COMPLETE
    last = Study(store, "small").trials()[3]
    assert (last.state, last.params["setting.alpha_lr"]) == (COMPLETE, 3e-3)


def test_an_enqueued_trial_counts_as_one_of_the_trials_and_splits_no_replicates(store: Store) -> None:
    raw = small_study(methods=["random", "darts"], sampler="random", trials=6, replicates=3)
    asking = Asking(lambda loop: len(loop.trials.history.trials) == 1, ("enqueue", {"row": {"method": "darts", "budget": "none"}}))
    assert drive(store, raw, FakePool(slots=1), asking) is StudyState.COMPLETE
    trials = Study(store, "small").trials()
    assert len(trials) == 6
    enqueued = next(trial.number for trial in trials if trial.sampler_attrs.get("enqueued"))
    assert enqueued in (1, 2)
    own = [trial for trial in trials if not trial.sampler_attrs.get("enqueued")]
    assert [trial.replicate for trial in own] == [0, 1, 2, 0, 1]
    assert len({json.dumps(trial.params) for trial in own[:3]}) == 1


@pytest.mark.parametrize(
    "sampler", ["tpe", {"name": "nsga2", "population_size": 4}, {"name": "pymoo:nsga2", "population_size": 4}, "moonas"]
)
def test_every_sampler_goes_on_with_what_the_user_chose_and_the_same_after_a_resume(tmp_path: Path, sampler: Any) -> None:
    if "pymoo" in str(sampler):
        pytest.importorskip("pymoo")
    methods = ["random", {"name": "darts", "alpha_lr": {"log": [1e-4, 1e-2]}}]
    raw = small_study(methods=methods, sampler=sampler, trials=14, replicates=1)
    found = []
    for name, crash_after in (("whole", None), ("broken", 25)):
        with Store.open(f"sqlite:///{tmp_path}/{name}.db", create=True) as store:
            asking = Asking(after(2), ("enqueue", {"row": {"method": "random", "budget": "none"}}))
            try:
                drive(store, raw, FakePool(slots=1, crash_after=crash_after), asking)
            except Crash:
                assert drive(store, raw, FakePool(slots=1)) is StudyState.COMPLETE
            assert answers(store, asking)
            found.append([(trial.params, trial.sampler_attrs.get("enqueued")) for trial in Study(store, "small").trials()])
    assert len(found[0]) == 14
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"method": "dart", "budget": "none"}, "method: 'dart' is not in this study; it has: random, darts; did you mean 'darts'?"),
        ({"method": "random"}, "budget: is missing; the study has: params<="),
        ({"method": "random", "budget": "params<=7"}, "budget: 'params<=7' is not in this study; it has: params<="),
        ({"method": "random", "budget": "param=7"}, "budget: 'param' is not a metric"),
        ({"method": "random", "budget": "none", "channels": 9}, "channels: 9 is not in this study; it has: 4"),
        ({"method": "random", "budget": "none", "replicate": 2}, "replicate: 2 lies outside of 0 to 1"),
        ({"method": "random", "budget": "none", "setting.alpha_lr": 1}, "setting.alpha_lr: random has no such parameter"),
        ({"method": "darts", "budget": "none", "setting.alpha_lr": 1}, "setting.alpha_lr: 1 lies outside of 0.0001 to 0.01"),
        ({"method": "darts", "budget": "none", "setting.alpha_lr": "x"}, "setting.alpha_lr: 'x' is not a number"),
    ],
)
def test_what_is_no_trial_of_the_study_is_refused_with_what_would_be(row: dict[str, Any], words: str, store: Store) -> None:
    raw = small_study(methods=["random", {"name": "darts", "alpha_lr": {"log": [1e-4, 1e-2]}}], sampler="random", trials=4)
    drive(store, raw, FakePool())
    with pytest.raises(UsageError) as refusal:
        changed(store, lambda changes: changes.enqueue(row), raw)
    assert words in str(refusal.value)


def test_what_is_opened_while_the_loop_ends_waits_for_the_next_one(store: Store) -> None:
    raw = small_study(methods=["random"], replicates=2)
    row = {"budget": "none", "replicate": 1}
    asking = Asking(after(1), ("stop", {}), ("enqueue", {"row": row}))
    assert drive(store, raw, FakePool(slots=1), asking) is StudyState.STOPPED
    assert states(store)[-1] is WAITING
    assert answers(store, asking)[1].endswith("this loop is ending: moonas resume small goes on")
    assert drive(store, raw, FakePool()) is StudyState.COMPLETE
    assert states(store) == [COMPLETE] * 6


# Limits and the ledger of device time


def test_a_limit_on_device_hours_holds_across_loops_and_counts_what_a_dead_one_took(store: Store) -> None:
    with pytest.raises(Crash):
        drive(store, small_study(), FakePool(slots=1, crash_after=6))
    record = store.study("small")
    with store.database.write() as session:
        session.execute(text("UPDATE moonas_attempt SET started = started - 7200 WHERE state = 'RUNNING'"))
    pool = FakePool(slots=1)
    assert drive(store, small_study(limits={"device_hours": 1}), pool) is StudyState.STOPPED
    assert store.device_seconds(record.id) > 3600
    assert [a.state for a in store.attempts(record.id)].count(AttemptState.LOST) == 1
    assert len(states(store)) <= 2
    assert drive(store, small_study(limits={"device_hours": 3}), FakePool()) is StudyState.COMPLETE


def test_the_hosts_clock_may_jump_as_it_likes(store: Store, monkeypatch: pytest.MonkeyPatch, undisturbed: str) -> None:
    jumps = iter([86_400.0, -86_400.0] * 10_000)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + next(jumps))
    assert drive(store, small_study(limits={"hours": 1}), FakePool()) is StudyState.COMPLETE
    assert front_of(store) == undisturbed
    assert all(0 <= attempt.seconds < 60 for attempt in store.attempts(store.study("small").id))


def test_a_loop_whose_lease_was_taken_stops_at_its_next_write(store: Store, undisturbed: str) -> None:
    class Suspended(Notes):
        def tick(self, loop: Loop) -> None:
            if sum(loop.trials.finished.values()) == 3 and loop.ledger.holder:
                other = "elsewhere/7/abc"
                with store.database.write() as session:
                    session.execute(text("UPDATE moonas_study SET lease_expires = 0"))
                store.acquire(loop.study.id, other)

    with pytest.raises(LeaseError, match="is driven by process 7 on elsewhere since"):
        drive(store, small_study(), FakePool(), Suspended())
    record = store.study("small")
    assert record.lease_holder == "elsewhere/7/abc", "it gave nothing back that was not its own"
    store.release(record.id, "elsewhere/7/abc")
    assert drive(store, small_study(), FakePool()) is StudyState.COMPLETE
    assert front_of(store) == undisturbed
