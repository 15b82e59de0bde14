"""Trainings given up by their curves, on a pool without torch: which, what is kept, and that dying anywhere changes nothing."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from moonas.architecture import Architecture
from moonas.exchange.to_optuna import optuna_trials
from moonas.outer.archive import Archive
from moonas.outer.learning_curves import Curves
from moonas.outer.plan import Design, Plan
from moonas.outer.pruning import Pruner, hopeless
from moonas.outer.work import OpenTask
from moonas.results.study import Study
from moonas.savings import savings
from moonas.seeds import stream
from moonas.specs import EvaluateSpec
from moonas.store.records import Place, TaskRecord
from moonas.store.states import AttemptState, StudyState, TaskState, TrialState
from moonas.store.store import Store
from moonas.study.bounds import parse_bound
from moonas.study.loading import study_from
from moonas.study.objectives import parse_objective
from moonas.study.pruning import Pruning
from moonas.terminal.studies import summary
from tests.outer.fakes import Crash, FakePool, Notes, drive, result_of, small_study

EPOCHS = 6
FEWEST = 14  # at a quantile of 0.8


def pruned_study(**changes: Any) -> dict[str, Any]:
    return small_study(
        **{
            "methods": ["direct"],
            "budgets": {},
            "sampler": "random",
            "trials": 30,
            "replicates": 1,
            "protocol": {"name": "short", "epochs": EPOCHS},
            "pruning": {"quantile": 0.8},
            **changes,
        }
    )


def whole_study(**changes: Any) -> dict[str, Any]:
    return {key: value for key, value in pruned_study(constraints=["accuracy>=0.2"], **changes).items() if key != "pruning"}


def is_bad(spec: Mapping[str, Any]) -> bool:
    return stream("quality", spec["architecture"]) % 2 == 0


def last_error(spec: Mapping[str, Any]) -> float:
    """Good networks end with errors of 2 to 12 %, bad ones of 55 to 65 %."""
    luck = stream("luck", spec["architecture"], spec["replicate"]) % 1000 / 10_000
    return 0.55 + luck if is_bad(spec) else 0.02 + luck


def accuracy_at(spec: Mapping[str, Any], step: int) -> float:
    """After each epoch, 0.75 to 1 of the error is there to stay, more the later it is, give or take a hundredth."""
    epochs = spec["protocol"]["epochs"]
    noise = (stream("noise", spec["architecture"], step) % 1000 / 1000 - 0.5) / 50 if step < epochs else 0.0
    return 1 - last_error(spec) / (0.75 + 0.25 * step / epochs + noise)


class Curved(FakePool):
    """Trainings with the curves of `accuracy_at`."""

    def start(self, slot: int, task: Mapping[str, Any]) -> None:
        spec = task["spec"]
        if spec["kind"] == "measure":
            super().start(slot, task)
            return
        self.started.append(dict(task))
        epochs = spec["protocol"]["epochs"]
        for step in range(1, epochs + 1):
            metrics = {"train_loss": 1.0, "valid_accuracy": accuracy_at(spec, step)}
            checkpoint = {"url": f"memory://checkpoints/{len(self.started)}-{step}", "sha256": "0"}
            self._tell(slot, "progress", {"step": step, "of": epochs, "metrics": metrics, "checkpoint": checkpoint})
        self._tell(slot, "result", {"result": {**result_of(spec), "metrics": {"accuracy": accuracy_at(spec, epochs), "loss": 1.0}}})


class Hasty(Curved):
    """Its trainings are over before a command reaches them."""

    def command(self, slot: int, command: str) -> None:
        self.commands.append((slot, command))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    with Store.open(f"sqlite:///{tmp_path}/study.db", create=True) as opened:
        yield opened


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Curved, Notes]:
    """A finished study, which no test changes."""
    store, pool, notes = Store.open(f"sqlite:///{tmp_path_factory.mktemp('done')}/study.db", create=True), Curved(slots=1), Notes()
    assert drive(store, pruned_study(constraints=["accuracy>=0.2"]), pool, notes) is StudyState.COMPLETE
    return store, pool, notes


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The same without pruning."""
    store = Store.open(f"sqlite:///{tmp_path_factory.mktemp('whole')}/study.db", create=True)
    drive(store, whole_study(), Curved(slots=1))
    return store


def trials_of(store: Store, name: str = "small") -> list[Any]:
    return [(t.number, t.state, t.params, t.values, t.violation, t.reason) for t in Study(store, name).trials()]


def front_of(store: Store, name: str = "small") -> str:
    return json.dumps([member.to_json() for member in Study(store, name).front()], sort_keys=True)


def evaluations(store: Store) -> dict[int, Any]:
    """{trial number: the spec of its training}."""
    study = Study(store, "small")
    numbers = {trial.id: trial.number for trial in study.trials()}
    return {numbers[id]: task.spec for task in store.tasks(study.record.id, kind="evaluate") for id in task.trial_ids}


def test_planted_bad_networks_are_given_up_and_good_ones_are_not(done: tuple[Store, Curved, Notes], whole: Store) -> None:
    store, pool, notes = done
    study, specs = Study(store, "small"), evaluations(store)
    trials = study.trials()
    pruned = [trial for trial in trials if trial.state is TrialState.PRUNED]
    assert {trial.state for trial in trials} == {TrialState.COMPLETE, TrialState.PRUNED}
    assert all(trial.number >= FEWEST for trial in pruned)
    bad = [trial in pruned for trial in trials[FEWEST:] if is_bad(specs[trial.number])]
    assert sum(bad) / len(bad) > 0.7
    assert min(last_error(spec) for spec in specs.values()) not in [last_error(specs[trial.number]) for trial in pruned]
    assert {command for _, command in pool.commands} == {"prune"}
    assert len([line for line in notes.lines if "pruned: at epoch" in line]) == len(pruned)
    assert front_of(whole) == front_of(store)
    full = {trial.number: trial for trial in Study(whole, "small").trials()}
    for trial in trials:
        assert full[trial.number].params == trial.params
        if trial.state is TrialState.COMPLETE:
            assert full[trial.number].values == trial.values


def test_a_pruned_trial_keeps_what_it_measured_and_nothing_of_it_is_a_result(done: tuple[Store, Curved, Notes]) -> None:
    store, *_ = done
    study, specs = Study(store, "small"), evaluations(store)
    pruned = [trial for trial in study.trials() if trial.state is TrialState.PRUNED]
    tasks = {task.trial_ids[0]: task for task in store.tasks(study.record.id, state=TaskState.PRUNED)}
    assert len(pruned) == len(tasks) > 3
    assert len(store.evaluations(study.record.id)) == len(study.archive()) == 30 - len(pruned)
    exported = {trial.number: trial for trial in optuna_trials(study)}
    for trial in pruned:
        task, spec = tasks[trial.id], specs[trial.number]
        why, values = task.result or {}, trial.values or {}
        epoch = why["epoch"]
        accuracy = accuracy_at(spec, epoch)
        assert values == {"accuracy": accuracy, **study.plan.known_costs(Design.from_params(trial.params))}
        assert trial.reason == why["reason"]
        assert f"at epoch {epoch} of 6 accuracy {accuracy:.4f}, in the end at most {why['bound']:.4f} with 80 %; dominated by " in (
            trial.reason or ""
        )
        assert accuracy < why["bound"] < 1
        assert store.progress(task.id)[epoch - 1].metrics["valid_accuracy"] == accuracy
        assert task.checkpoints == ()
        (attempt,) = store.attempts(study.record.id, task_id=task.id)
        assert attempt.state is AttemptState.PRUNED
        assert attempt.seconds is not None
        assert exported[trial.number].values is None
        assert "accuracy>=0.2" not in exported[trial.number].constraints
    complete = next(trial.number for trial in study.trials() if trial.state is TrialState.COMPLETE)
    assert "accuracy>=0.2" in exported[complete].constraints


def test_what_was_saved_is_counted_by_the_epochs_that_did_not_run(done: tuple[Store, Curved, Notes], whole: Store) -> None:
    store, *_ = done
    study = Study(store, "small")
    tasks = store.tasks(study.record.id, state=TaskState.PRUNED)
    seconds = {task.id: sum(a.seconds or 0 for a in store.attempts(study.record.id, task_id=task.id)) for task in tasks}
    found = savings(study)
    assert found is not None
    assert (found.trainings, found.seconds) == (len(tasks), pytest.approx(sum(seconds.values())))
    each = [(seconds[task.id], (task.result or {})["epoch"] + 1) for task in tasks]  # and one more epoch, until it hears of it
    assert found.saved == pytest.approx(sum(one / ran * (EPOCHS - ran) for one, ran in each))
    assert summary(study)["pruned"]["trainings"] == len(tasks)
    assert savings(Study(whole, "small")) is None
    assert summary(Study(whole, "small"))["pruned"] is None


def test_a_study_killed_at_any_event_gives_up_the_same_trainings(tmp_path: Path, done: tuple[Store, Curved, Notes]) -> None:
    store, *_ = done
    expected, front = trials_of(store), front_of(store)
    assert sum(trial[1] is TrialState.PRUNED for trial in expected) > 3
    for number, crashes in enumerate([(7, 4, 11), (99, 1, 2, 1, 3, 2, 4, 1, 2)]):
        with Store.open(f"sqlite:///{tmp_path}/broken-{number}.db", create=True) as broken:
            for crash_after in crashes:
                with pytest.raises(Crash):
                    drive(broken, pruned_study(constraints=["accuracy>=0.2"]), Curved(1, crash_after))
            drive(broken, pruned_study(constraints=["accuracy>=0.2"]), Curved(1))
            assert trials_of(broken) == expected
            assert front_of(broken) == front


def test_a_training_that_ends_before_it_hears_of_it_is_given_up_all_the_same(
    tmp_path: Path, done: tuple[Store, Curved, Notes]
) -> None:
    store, *_ = done
    with Store.open(f"sqlite:///{tmp_path}/hasty.db", create=True) as hasty:
        assert drive(hasty, pruned_study(constraints=["accuracy>=0.2"]), Hasty(slots=1)) is StudyState.COMPLETE
        assert trials_of(hasty) == trials_of(store)
        study = Study(hasty, "small")
        assert len(hasty.evaluations(study.record.id)) == len(study.archive())
        assert all(not task.checkpoints for task in hasty.tasks(study.record.id, state=TaskState.PRUNED))


def test_with_several_slots_no_network_that_would_be_on_the_front_is_given_up(store: Store, whole: Store) -> None:
    assert drive(store, pruned_study(constraints=["accuracy>=0.2"]), Curved(slots=3)) is StudyState.COMPLETE
    assert sum(trial.state is TrialState.PRUNED for trial in Study(store, "small").trials()) > 3
    assert front_of(whole) == front_of(store)


@pytest.mark.parametrize(("pruning", "first"), [({"quantile": 0.95}, 29), ({"quantile": 0.8, "after": 20}, 20)])
def test_nothing_is_given_up_before_enough_trainings_have_finished(store: Store, pruning: dict[str, Any], first: int) -> None:
    drive(store, pruned_study(pruning=pruning, trials=first), Curved(slots=1))
    assert {trial.state for trial in Study(store, "small").trials()} == {TrialState.COMPLETE}
    drive(store, pruned_study(pruning=pruning, trials=first + 15), Curved(slots=1))
    pruned = [trial.number for trial in Study(store, "small").trials() if trial.state is TrialState.PRUNED]
    assert pruned
    assert min(pruned) >= first


def test_looks_are_taken_where_the_study_says(store: Store) -> None:
    drive(store, pruned_study(pruning={"quantile": 0.8, "every": 2}), Curved(slots=1))
    tasks = store.tasks(store.study("small").id, state=TaskState.PRUNED)
    assert tasks
    assert {(task.result or {})["epoch"] for task in tasks} <= {2, 4}


def test_spared_trainings_run_to_their_end_however_bad_they_are(store: Store) -> None:
    drive(store, pruned_study(pruning={"quantile": 0.8, "spared": 0.5}, trials=40), Curved(slots=1))
    study, spared = Study(store, "small"), Curves(Pruning(spared=0.5), seed=3)
    trials = {trial.id: trial for trial in study.trials()}
    late = [t for t in store.tasks(study.record.id, kind="evaluate") if trials[t.trial_ids[0]].number > FEWEST and is_bad(t.spec)]
    states = {(spared.spares(task.key), task.state) for task in late}
    assert (True, TaskState.COMPLETE) in states
    assert (True, TaskState.PRUNED) not in states
    assert (False, TaskState.PRUNED) in states


def test_a_network_is_given_up_with_all_its_replicates(store: Store) -> None:
    """Else the mean over those that went well would stand for it."""
    pool = Curved(slots=1)
    drive(store, pruned_study(replicates=2, trials=48), pool)
    trials = Study(store, "small").trials()
    pairs = [(trials[number], trials[number + 1]) for number in range(0, 48, 2)]
    assert all(first.state is second.state for first, second in pairs)
    pruned = [(first, second) for first, second in pairs if first.state is TrialState.PRUNED]
    assert pruned
    assert all(first.reason == second.reason and first.values == second.values for first, second in pruned)
    begun = [Architecture.from_json(task["spec"]["architecture"]).key for task in pool.started]
    assert sorted(begun.count(key) for key in set(begun)) == [1] * len(pruned) + [2] * (24 - len(pruned))
    slots = Curved(slots=4)
    drive(store, pruned_study(name="beside", replicates=2, trials=48, seed=4), slots)
    trials = Study(store, "beside").trials()
    assert all(trials[number].state is trials[number + 1].state for number in range(0, 48, 2))


def test_what_another_study_measures_of_a_network_that_was_given_up_does_not_count(store: Store) -> None:
    drive(store, pruned_study(), Curved(slots=1))
    before, archive, trials = front_of(store), len(Study(store, "small").archive()), trials_of(store)
    drive(store, whole_study(name="whole"), Curved(slots=1))
    assert len(Study(store, "whole").archive()) == 30 > archive
    drive(store, pruned_study(trials=32), Curved(slots=1))
    assert trials_of(store)[:30] == trials
    new = [trial for trial in Study(store, "small").trials()[30:] if trial.state is TrialState.COMPLETE]
    assert len(Study(store, "small").archive()) == archive + len(new)
    assert json.loads(before)


def test_what_cannot_reach_a_constraint_is_given_up_whatever_the_front(store: Store) -> None:
    unknown = {"metric": "latency_ms", "reference": 10}  # measured after the training
    drive(store, pruned_study(objectives=[unknown, "params"], constraints=["accuracy>=0.85"]), Curved(slots=1))
    study, specs = Study(store, "small"), evaluations(store)
    pruned = [trial for trial in study.trials() if trial.state is TrialState.PRUNED]
    assert len(pruned) > 3
    assert all(is_bad(specs[trial.number]) for trial in pruned)
    assert all((trial.reason or "").endswith("misses accuracy>=0.85") for trial in pruned)
    assert all(trial.violation and trial.violation > 0 for trial in pruned)
    assert summary(study)["infeasible"] is None


def test_metrics_that_are_measured_first_are_counted(store: Store) -> None:
    latency = {"metric": "latency_ms", "reference": 10, "known": True}
    drive(store, pruned_study(objectives=["accuracy", latency]), Curved(slots=1))
    study = Study(store, "small")
    pruned = [trial for trial in study.trials() if trial.state is TrialState.PRUNED]
    assert pruned
    bounds = {task.trial_ids[0]: (task.result or {})["bound"] for task in store.tasks(study.record.id, state=TaskState.PRUNED)}
    front = [member.values for member in study.front()]
    for trial in pruned:
        latency_ms = (trial.values or {})["latency_ms"]
        assert any(one["accuracy"] >= bounds[trial.id] and one["latency_ms"] <= latency_ms for one in front)


ACCURATE = [parse_objective("accuracy"), parse_objective("params")]
FRONT = [(Place("aaaabbbbcccc", ""), {"accuracy": 0.8, "params": 100.0}), (Place("dddd", ""), {"accuracy": 0.9, "params": 200.0})]


@pytest.mark.parametrize(
    ("accuracy", "params", "why"),
    [
        (0.79, 100, "dominated by aaaabbbb (accuracy 0.8, params 100)"),
        (0.8, 100, ""),  # equal to a member, which dominates nothing
        (0.8, 101, "dominated by aaaabbbb (accuracy 0.8, params 100)"),
        (0.81, 150, ""),
        (0.9, 250, "dominated by dddd (accuracy 0.9, params 200)"),
        (0.1, 99, ""),
    ],
)
def test_a_network_is_hopeless_where_a_member_is_no_worse_and_somewhere_better(accuracy, params, why):
    assert hopeless(ACCURATE, [], {"accuracy": accuracy, "params": params}, FRONT) == why


def test_a_network_is_not_hopeless_while_an_objective_may_have_any_value():
    best = {"accuracy": 0.1, "params": 1000}
    assert hopeless([*ACCURATE, parse_objective("macs")], [], best, [(FRONT[0][0], {**FRONT[0][1], "macs": 0.0})]) == ""
    assert hopeless(ACCURATE, [parse_bound("accuracy<=0.05")], best, []) == "", "an accuracy that may be lower"
    assert hopeless(ACCURATE, [parse_bound("accuracy>=0.2")], best, []) == "misses accuracy>=0.2"


def test_a_training_by_another_protocol_than_its_trials_is_not_compared(done: tuple[Store, Curved, Notes]) -> None:
    store, *_ = done
    plan = Plan(study_from(pruned_study()))
    pruner = Pruner(plan, Archive(plan.config.objectives, (), plan.spans))
    pruner.restore(store, store.study("small").id)
    task = store.tasks(store.study("small").id, state=TaskState.PRUNED)[0]
    (design,) = [Design.from_params(trial.params) for trial in Study(store, "small").trials() if trial.id == task.trial_ids[0]]
    members = [(member.place, member.values) for member in Study(store, "small").front()]
    progress = {"step": EPOCHS - 2, "of": EPOCHS, "metrics": {"valid_accuracy": 0.2}}

    def looked_at(**protocol: Any) -> list[OpenTask]:
        spec = {**task.spec, "protocol": {**task.spec["protocol"], **protocol}}
        record = TaskRecord(**{**vars(task), "key": EvaluateSpec.from_json(spec).key, "spec": spec})
        one = OpenTask(record, TaskState.RUNNING, None)
        return pruner.look(one, [design], progress, plan.costs, members, [one])

    assert looked_at(lr=0.01) == []
    (found,) = looked_at()
    assert found.state is TaskState.PRUNED
