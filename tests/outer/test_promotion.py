"""Promotion from rung to rung on a pool without torch: who goes on, worked out by hand, and that dying anywhere changes nothing."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from moonas.cli import app
from moonas.errors import StudyFileError
from moonas.infeasible import infeasibility
from moonas.outer.loop import Loop
from moonas.outer.promotion import trainings
from moonas.preview import preview
from moonas.race import race
from moonas.report.collect import report_data
from moonas.results.study import Study
from moonas.store.states import StudyState, TrialState
from moonas.store.store import Store
from moonas.study.loading import study_from
from moonas.worker.local import Event
from tests.outer.fakes import Crash, FakePool, Notes, drive, result_of, small_study

CELL = "Genotype(normal=[('skip_connect', 0), ('sep_conv_3x3', 1)], normal_concat=[2], reduce=[('skip_connect', 0), ('skip_connect', 1)], reduce_concat=[2])"  # noqa: E501 - one cell


def halved(**changed: Any) -> dict[str, Any]:
    """Random networks, trial n being replicate n; 2 epochs first, then 18."""
    return small_study(
        **{
            "methods": ["random"],
            "budgets": {},
            "replicates": 9,
            "objectives": ["accuracy"],
            "protocol": {"name": "short", "epochs": 18},
            "promotion": {"epochs": 2},
            **changed,
        }
    )


class Trainings(FakePool):
    """Accuracy by (replicate, epochs); notes who was trained for how long."""

    def __init__(self, accuracy: Callable[[int, int], float] | None = None, **options: Any) -> None:
        super().__init__(**{"slots": 1, **options})
        self.accuracy = accuracy

    @property
    def trained(self) -> list[tuple[int, int]]:
        specs = [task["spec"] for task in self.started]
        return [(spec["replicate"], spec["protocol"]["epochs"]) for spec in specs if spec["kind"] == "evaluate"]

    def _tell(self, slot: int, kind: str, message: Mapping[str, Any]) -> None:
        spec = self.started[-1]["spec"]
        if kind == "result" and spec["kind"] == "evaluate" and self.accuracy:
            accuracy = self.accuracy(spec["replicate"], spec["protocol"]["epochs"])
            metrics = {"accuracy": accuracy, "test_accuracy": accuracy, "loss": 1.0}
            message = {"result": {**result_of(spec), "metrics": metrics}}
        super()._tell(slot, kind, message)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    with Store.open(f"sqlite:///{tmp_path}/study.db", create=True) as opened:
        yield opened


def states(store: Store, name: str = "small") -> list[str]:
    return [trial.state.value for trial in Study(store, name).trials()]


AT_TWO = [0.1, 0.5, 0.3, 0.9, 0.2, 0.6, 0.7, 0.05, 0.4]


def test_the_best_third_of_those_that_are_there_goes_on_before_a_new_trial_begins(store: Store) -> None:
    pool = Trainings(lambda replicate, epochs: AT_TWO[replicate] if epochs == 2 else 0.95)
    assert drive(store, halved(), pool) is StudyState.COMPLETE
    assert pool.trained == [
        *[(0, 2), (1, 2), (2, 2), (1, 18)],  # one of three
        *[(3, 2), (3, 18)],  # of four it is still one, and now another one
        *[(4, 2), (5, 2), (5, 18)],  # two of six
        *[(6, 2), (6, 18), (7, 2), (8, 2)],  # three of nine: 3, 6 and 5 have gone on already
    ]
    reasons = {trial.number: trial.reason for trial in Study(store, "small").trials() if trial.state is TrialState.PRUNED}
    places = {8: 5, 2: 6, 4: 7, 0: 8, 7: 9}
    assert reasons == {number: f"held at 2 epochs: place {place} of 9" for number, place in sorted(places.items())}


def test_at_the_end_at_least_one_network_of_a_rung_goes_on(store: Store) -> None:
    pool = Trainings(lambda replicate, epochs: 0.5 + 0.1 * replicate)
    drive(store, halved(replicates=2, promotion={"epochs": [2, 6]}), pool)
    assert pool.trained == [(0, 2), (1, 2), (1, 6), (1, 18)]
    assert states(store) == ["PRUNED", "COMPLETE"]


def test_higher_rungs_come_first_and_their_share_is_of_those_that_came_up(store: Store) -> None:
    pool = Trainings(lambda replicate, epochs: 0.5 + 0.01 * replicate)  # each better than all before it
    drive(store, halved(promotion={"epochs": [2, 6], "factor": 2}, replicates=6), pool)
    assert pool.trained == [
        *[(0, 2), (1, 2), (1, 6)],
        *[(2, 2), (2, 6), (2, 18)],  # of two at 6 epochs one: it goes up before trial 3 begins
        *[(3, 2), (3, 6), (3, 18)],
        *[(4, 2), (4, 6), (4, 18), (5, 2), (5, 6), (5, 18)],
    ]
    assert states(store) == ["PRUNED", "PRUNED", *["COMPLETE"] * 4]


def test_cheap_networks_go_on_beside_accurate_ones(store: Store) -> None:
    pool = Trainings(lambda replicate, epochs: 0.5)  # all alike but for their sizes: one after another is dominated or dominates
    drive(store, halved(objectives=["accuracy", "params"]), pool)
    trials = Study(store, "small").trials()
    sizes = {trial.number: trial.values["params"] for trial in trials}
    smallest = sorted(sizes, key=lambda number: (sizes[number], number))[:3]
    assert {trial.number for trial in trials if trial.state is TrialState.COMPLETE} >= set(smallest)


def test_only_the_protocol_itself_reaches_archive_front_and_sampler(store: Store) -> None:
    pool = Trainings(lambda replicate, epochs: 0.99 - 0.01 * replicate if epochs == 2 else 0.5)
    drive(store, halved(objectives=["accuracy", "params"]), pool)
    study = Study(store, "small")
    assert {network.metrics["accuracy"].value for network in study.archive()} == {0.5}
    assert {member.values["accuracy"] for member in store.front(study.record.id)} == {0.5}
    complete = [trial for trial in study.trials() if trial.state is TrialState.COMPLETE]
    assert {trial.values["accuracy"] for trial in complete} == {0.5}
    assert len(study.archive()) == len(complete)


def test_pruned_trials_keep_what_they_reached(store: Store) -> None:
    drive(store, halved(), Trainings(lambda replicate, epochs: AT_TWO[replicate]))
    for trial in Study(store, "small").trials():
        assert trial.values["accuracy"] == AT_TWO[trial.number]
        assert trial.values["params"] > 0


def promoted(store: Store) -> list[str]:
    return [event.text for event in store.events(store.study("small").id) if event.kind == "promotion"]


@pytest.mark.parametrize(
    "changed",
    [
        {"promotion": {"epochs": [2, 6]}, "replicates": 10, "objectives": ["accuracy", "params"]},
        {
            "promotion": {"epochs": 2, "factor": 2},
            "replicates": 1,
            "budgets": {"params": ["10%", "40%", "none"]},
            "sampler": {"name": "pymoo:nsga2", "population_size": 4},
            "trials": 10,
            "objectives": ["accuracy", "params"],
        },
        {
            "promotion": {"epochs": 2},
            "objectives": ["accuracy", {"metric": "latency_ms", "reference": 10}],
            "constraints": ["latency_ms<=4"],
        },
    ],
    ids=["grid", "generations", "measured"],
)
def test_a_loop_that_dies_at_any_event_asks_and_promotes_the_same(tmp_path: Path, changed: dict[str, Any]) -> None:
    question = halved(**changed)

    def outcome(store: Store) -> list[Any]:
        study = Study(store, "small")
        trials = [(trial.params, trial.state.value, trial.values, trial.violation, trial.reason) for trial in study.trials()]
        return [study.state.value, trials, [member.to_json() for member in study.front()], promoted(store)]

    with Store.open(f"sqlite:///{tmp_path}/whole.db", create=True) as whole:
        drive(whole, question, Trainings())
        expected = json.dumps(outcome(whole))
    assert "PRUNED" in expected
    for first in (3, 8, 17, 28, 41):
        with Store.open(f"sqlite:///{tmp_path}/broken-{first}.db", create=True) as broken:
            for crash_after in (first, 4, 10, None):
                try:
                    drive(broken, question, Trainings(crash_after=crash_after))
                except Crash:
                    continue
            assert json.dumps(outcome(broken)) == expected


def test_several_slots_end_with_every_trial_decided(store: Store) -> None:
    pool = Trainings(slots=4)
    assert drive(store, halved(replicates=20, promotion={"epochs": [2, 6]}), pool) is StudyState.COMPLETE
    assert set(states(store)) == {"COMPLETE", "PRUNED"}
    lengths = [epochs for _, epochs in pool.trained]
    assert lengths.count(2) == 20
    assert 6 <= lengths.count(6) <= 12
    assert 2 <= lengths.count(18) <= 6


def test_networks_that_several_trials_found_count_once_and_go_on_together(store: Store) -> None:
    pool = Trainings()
    budgets = {"params": ["90%", "100%", "none"]}  # one decode for all three
    drive(store, halved(methods=[{"name": "darts", "epochs": 3}], budgets=budgets, replicates=3), pool)
    assert [epochs for _, epochs in pool.trained] == [2, 2, 2, 18]
    (chosen,) = {replicate for replicate, epochs in pool.trained if epochs == 18}
    ended = {trial.number: (trial.replicate, trial.state) for trial in Study(store, "small").trials()}
    assert len(ended) == 9
    assert {state for replicate, state in ended.values() if replicate == chosen} == {TrialState.COMPLETE}
    assert {state for replicate, state in ended.values() if replicate != chosen} == {TrialState.PRUNED}


def test_a_network_that_fails_at_a_higher_rung_leaves_its_place_to_the_next(store: Store) -> None:
    def spoil(spec: Mapping[str, Any]) -> Event | None:
        if spec["kind"] == "evaluate" and spec["protocol"]["epochs"] == 18 and spec["replicate"] == 2:
            return Event(0, "error", {"reason": "NonFiniteLossError: the loss is NaN", "traceback": "Traceback: here"})
        return None

    pool = Trainings(lambda replicate, epochs: 0.5 + 0.1 * replicate, spoil=spoil)
    drive(store, halved(replicates=3), pool)
    assert pool.trained == [(0, 2), (1, 2), (2, 2), (2, 18), (1, 18)]
    assert states(store) == ["PRUNED", "COMPLETE", "FAIL"]


def test_what_the_protocol_has_measured_before_needs_no_rung(store: Store) -> None:
    drive(store, halved(name="whole", promotion=None, replicates=4), Trainings())
    pool = Trainings()
    drive(store, halved(replicates=4), pool)
    assert pool.trained == []
    assert states(store) == ["COMPLETE"] * 4


def test_a_rung_is_a_protocol_of_its_own_that_other_studies_share(store: Store) -> None:
    drive(store, halved(name="short", promotion=None, protocol={"name": "short", "epochs": 2}), Trainings())
    pool = Trainings()
    drive(store, halved(), pool)
    assert {epochs for _, epochs in pool.trained} == {18}


def test_extra_architectures_are_trained_by_the_protocol_alone(store: Store) -> None:
    pool = Trainings()
    drive(store, halved(methods=[{"name": "darts", "epochs": 3}], replicates=3, decode={"extra": 2}), pool)
    lengths = [epochs for _, epochs in pool.trained]
    assert (lengths.count(2), lengths.count(18)) == (3, 3)  # three networks; one of them goes on, with its two neighbours


def test_networks_are_measured_once_and_before_they_are_ranked(store: Store) -> None:
    pool = Trainings()
    drive(store, halved(objectives=["accuracy", {"metric": "latency_ms", "reference": 10}]), pool)
    kinds = [task["spec"]["kind"] for task in pool.started]
    assert kinds.count("measure") == 9
    assert kinds[:3] == ["search", "measure", "evaluate"]
    assert all("latency_ms" in trial.values for trial in Study(store, "small").trials())


def test_networks_that_miss_a_measured_constraint_are_the_last_to_go_on(store: Store) -> None:
    latency = {"metric": "latency_ms", "reference": 10}
    drive(store, halved(objectives=["accuracy", latency], constraints=["latency_ms<=4"]), Trainings())
    trials = Study(store, "small").trials()
    missing = [trial for trial in trials if trial.violation]
    assert missing
    assert all(trial.violation == pytest.approx(trial.values["latency_ms"] / 4 - 1) for trial in missing)
    places = {trial.number: int((trial.reason or "").split()[-3]) for trial in trials if trial.state is TrialState.PRUNED}
    held = sorted((trial for trial in missing if trial.number in places), key=lambda trial: places[trial.number])
    assert [trial.violation for trial in held] == sorted(trial.violation for trial in held)
    assert max(places.values()) == 9
    assert {places[trial.number] for trial in held} == set(range(10 - len(held), 10))


def test_a_constraint_on_accuracy_speaks_of_the_protocol_alone(store: Store) -> None:
    pool = Trainings(lambda replicate, epochs: 0.3 if epochs == 2 else 0.9)
    drive(store, halved(constraints=["accuracy>=0.8"]), pool)
    assert {trial.violation for trial in Study(store, "small").trials()} == {0.0}


def test_held_trials_wait_for_the_next_run_where_a_limit_ends_this_one(store: Store) -> None:
    question = halved(promotion={"epochs": [2, 6]})
    assert drive(store, {**question, "limits": {"device_hours": 1e-12}}, Trainings()) is StudyState.STOPPED
    assert states(store) == ["RUNNING"]
    pool = Trainings()
    assert drive(store, question, pool) is StudyState.COMPLETE
    assert (0, 2) not in pool.trained
    assert set(states(store)) == {"COMPLETE", "PRUNED"}


def test_a_sampler_that_waits_for_its_generation_goes_on_once_that_is_decided(store: Store) -> None:
    question = halved(
        budgets={"params": ["10%", "40%", "none"]},
        replicates=1,
        sampler={"name": "pymoo:nsga2", "population_size": 4},
        trials=12,
        objectives=["accuracy", "params"],
    )
    assert drive(store, question, Trainings(slots=2)) is StudyState.COMPLETE
    assert len(states(store)) == 12
    assert set(states(store)) == {"COMPLETE", "PRUNED"}


def test_one_recipe_of_a_fixed_network_is_shortened_whatever_else_is_varied(store: Store) -> None:
    question = halved(
        space={"name": "darts-cnn", "nodes": 1, "operations": ["skip_connect", "sep_conv_3x3"]},
        methods=[{"name": "fixed", "architecture": CELL, "lr": [0.1, 0.2, 0.3]}],
        replicates=1,
    )
    pool = Trainings()
    drive(store, question, pool)
    trained = [(task["spec"]["protocol"]["lr"], task["spec"]["protocol"]["epochs"]) for task in pool.started]
    assert trained[:3] == [(0.1, 2), (0.2, 2), (0.3, 2)]
    assert [epochs for _, epochs in trained[3:]] == [18]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"promotion": {"epochs": [6, 2]}}, r"promotion\.epochs: must ascend, as \[2, 6\] does, got \[6, 2\]"),
        ({"promotion": {"epochs": []}}, r"promotion\.epochs: must ascend"),
        ({"promotion": {"epochs": [2, 18]}}, r"promotion\.epochs: must lie below the protocol's own 18, got 2, 18"),
        ({"promotion": {"epochs": 2, "factor": 1}}, r"promotion\.factor: .*greater than or equal to 2"),
        ({"promotion": {"factor": 3}}, r"promotion\.epochs: is missing"),
        ({"promotion": {"epoch": 2}}, "did you mean 'epochs'"),
        (
            {"protocol": "inherited", "methods": ["darts"]},
            "promotion: begins with fewer epochs, and the protocol 'inherited' has none; `short` has",
        ),
        (
            {"methods": [{"name": "fixed", "architecture": CELL, "epochs": [4, 18]}]},
            r"methods\[0\]\.epochs: is a parameter of the trial, so `promotion` cannot set it",
        ),
        (
            {"methods": [{"name": "fixed", "architecture": CELL, "epochs": 2, "lr": [0.1, 0.2]}]},
            r"promotion\.epochs: must lie below the protocol's own 2, got 2",
        ),
    ],
)
def test_what_cannot_be_promoted_is_refused_at_its_place(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(StudyFileError, match=words):
        study_from(halved(**changed))


def test_the_section_is_stored_resolved_and_read_back() -> None:
    config = study_from(halved())
    assert config.to_json()["promotion"] == {"epochs": [2], "factor": 3}
    assert study_from(config.to_json()) == config


def test_the_preview_counts_the_trainings_of_every_rung() -> None:
    found = preview(halved(replicates=20, promotion={"epochs": [2, 6]}, decode={"extra": 1}), measure=False)
    assert found["rungs"] == [
        {"epochs": 2, "evaluations": 20},
        {"epochs": 6, "evaluations": 7},  # a third, and one more because nobody waits
        {"epochs": 18, "evaluations": 3 * 2},  # with an extra network each
    ]
    assert (found["trials"], found["evaluations"]) == (20, 33)


def test_how_many_go_on_is_foretold_by_a_third_and_those_that_were_early() -> None:
    assert trainings(3, 3, 1) == (3, 1)  # the best of three, in any order
    assert trainings(2, 3, 2) == (2, 1, 1)  # of two, the best in the end
    assert trainings(3, 2, 1) == (3, 1)  # the better of the first two, and in a third of all orders the last one too
    below, above, top = trainings(120, 3, 2)
    assert (below, top) == (120, pytest.approx(above / 3, abs=4))
    assert 40 < above < 40 + 120**0.5


def test_the_preview_of_a_study_without_promotion_counts_as_ever() -> None:
    found = preview(halved(replicates=20, promotion=None, decode={"extra": 1}), measure=False)
    assert found["rungs"] == [{"epochs": None, "evaluations": 40}]


def test_what_is_left_is_reckoned_in_epochs(store: Store) -> None:
    seen: list[tuple[int, int]] = []

    class Watching(Notes):
        def tick(self, loop: Loop) -> None:
            seen.append(loop.work)

    drive(store, halved(), Trainings(lambda replicate, epochs: AT_TWO[replicate]), Watching())
    assert seen[0] == (0, 9 * 2 + 4 * 18)  # a third and one more, as it comes to be here
    assert seen[-1] == (9 * 2 + 4 * 18,) * 2
    assert all(done <= total for done, total in seen)


def test_the_tables_show_what_pruned_trials_reached(store: Store, tmp_path: Path) -> None:
    methods = ["random", {"name": "darts", "epochs": 3}]
    drive(store, halved(methods=methods, replicates=3), Trainings(lambda replicate, epochs: 0.5 + 0.1 * replicate))
    at = ["--storage", f"sqlite:///{tmp_path}/study.db"]
    trials = CliRunner().invoke(app, ["trials", "small", *at]).stdout
    assert "held at 2 epochs: place 5 of 6" in trials
    shown = CliRunner().invoke(app, ["show", "small", *at]).stdout
    assert "first 2 epochs; one in 3 goes on" in shown
    assert "pruned" in shown
    (random, darts) = race(Study(store, "small"))
    assert (random.complete + random.pruned, darts.complete + darts.pruned) == (3, 3)
    held = {trial.number for trial in Study(store, "small").trials() if trial.state is TrialState.PRUNED}
    reported = {trial.number: trial for trial in report_data(Study(store, "small")).trials}
    assert all(reported[number].values["accuracy"] >= 0.5 for number in held)
    assert all("held at 2 epochs" in (reported[number].error or "") for number in held)


def test_an_empty_front_is_explained_by_the_networks_that_the_protocol_trained(store: Store) -> None:
    latency = {"metric": "latency_ms", "reference": 10}
    drive(store, halved(objectives=["accuracy", latency], constraints=["latency_ms<=0.5"]), Trainings())
    study = Study(store, "small")
    found = infeasibility(study)
    assert found is not None
    assert found.networks == len(study.archive()) > 0
