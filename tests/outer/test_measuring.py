"""Measured metrics in the loop: alone on their device, bound to it, shared, and counted in fronts and constraints."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from moonas.errors import DeviceError, TaskError
from moonas.outer.plan import Plan
from moonas.results.study import Study
from moonas.store.states import StudyState, TaskState, TrialState
from moonas.store.store import Store
from moonas.study.loading import study_from
from moonas.worker.local import Event
from tests.outer.fakes import DEVICE, Crash, FakePool, drive, small_study

OTHER = {**DEVICE, "name": "another"}
LATENCY = {"metric": "latency_ms", "reference": 10}


def measured_study(known: bool = True, **changes: Any) -> dict[str, Any]:
    return small_study(**{"objectives": ["accuracy", {**LATENCY, "known": known}], **changes})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    with Store.open(f"sqlite:///{tmp_path}/study.db", create=True) as opened:
        yield opened


class Watched(FakePool):
    """Notes at every start what else runs then, by device."""

    def __init__(self, devices: list[str], **options: Any) -> None:
        super().__init__(len(devices), **options)
        self.devices = devices
        self.at_work: dict[int, str] = {}
        self.company: list[tuple[str, str, list[str]]] = []

    def start(self, slot: int, task: Mapping[str, Any]) -> None:
        device, kind = self.devices[slot], task["spec"]["kind"]
        beside = [other for place, other in self.at_work.items() if self.devices[place] == device]
        self.company.append((kind, device, beside))
        self.at_work[slot] = kind
        super().start(slot, task)

    def next_event(self, timeout: float) -> Event | None:
        event = super().next_event(timeout)
        if event is not None and event.kind != "progress":
            del self.at_work[event.slot]
        return event


def kinds(pool: FakePool) -> list[str]:
    return [task["spec"]["kind"] for task in pool.started]


@pytest.mark.parametrize(("slots", "known"), [(1, True), (2, False), (5, True)])
def test_a_measurement_is_alone_on_its_device(store: Store, slots: int, known: bool) -> None:
    pool = Watched(["cpu"] * slots)
    assert drive(store, measured_study(known, decode={"extra": 2}), pool) is StudyState.COMPLETE
    assert sum(kind == "measure" for kind, _, _ in pool.company) > 6
    for kind, _, beside in pool.company:
        assert "measure" not in beside
        assert kind != "measure" or not beside
    if slots > 1:  # and the rest does run side by side
        assert any(len(beside) == slots - 1 for _, _, beside in pool.company)


def test_measurements_stay_on_the_first_device_while_others_go_on(store: Store) -> None:
    pool = Watched(["cuda:0", "cuda:1", "cuda:1"])
    drive(store, measured_study(), pool)
    assert {device for kind, device, _ in pool.company if kind == "measure"} == {"cuda:0"}
    assert all(not beside for kind, _, beside in pool.company if kind == "measure")
    assert {kind for kind, device, _ in pool.company if device == "cuda:1"} == {"search", "evaluate"}


@pytest.mark.parametrize(("known", "order"), [(True, ["measure", "evaluate"]), (False, ["evaluate", "measure"])])
def test_what_is_known_without_training_is_measured_before_it(store: Store, known: bool, order: list[str]) -> None:
    pool = FakePool(slots=1)
    drive(store, measured_study(known, methods=["random"], budgets={"params": ["10%"]}, replicates=1), pool)
    assert kinds(pool) == ["search", *order]


def test_measured_values_count_in_the_front_with_their_spread_and_device(store: Store) -> None:
    drive(store, measured_study(), FakePool())
    study = Study(store, "small")
    points = [(n.metrics["accuracy"].value, n.metrics["latency_ms"].value, n.key) for n in study.archive()]
    by_hand = {
        key for accuracy, ms, key in points if not any(a >= accuracy and t <= ms and (a, t) != (accuracy, ms) for a, t, _ in points)
    }
    assert {member.key for member in study.front()} == by_hand
    assert len(by_hand) < len(points)
    latency = study.front()[0].to_json()["metrics"]["latency_ms"]
    assert (latency["interquartile_range"], latency["device"]) == (0.5, DEVICE)
    assert study.trials()[0].values["latency_ms"] in [ms for _, ms, _ in points]


def test_a_constraint_on_a_measured_metric_is_checked_and_its_violation_stored(store: Store) -> None:
    drive(store, small_study(constraints=["latency_ms<=5"]), FakePool())
    study = Study(store, "small")
    assert {n.metrics["latency_ms"].value <= 5 for n in study.archive()} == {True, False}
    assert all(member.metrics["latency_ms"].value <= 5 for member in study.front())
    for trial in study.trials():
        assert trial.violation == pytest.approx(max(0.0, trial.values["latency_ms"] - 5) / 5)


def test_metrics_to_be_reported_only_are_measured_too(store: Store) -> None:
    drive(store, small_study(measure={"metrics": ["memory_mib"]}), FakePool())
    study = Study(store, "small")
    assert all("memory_mib" in network.metrics for network in study.archive())
    assert set(store.front(study.record.id)[0].values) == {"accuracy", "params"}


def test_another_device_is_refused_with_both_named(store: Store) -> None:
    class Dying(FakePool):
        def next_event(self, timeout: float) -> Event | None:
            if sum(kind == "evaluate" for kind in kinds(self)) >= 3:
                raise Crash
            return super().next_event(timeout)

    with pytest.raises(Crash):
        drive(store, measured_study(), Dying())
    before = store.study("small").state
    with pytest.raises(DeviceError, match=r"cpu fake \(1 thread, torch 0\); this is cpu another(.|\n)*another `name`"):
        drive(store, measured_study(), FakePool(), device=OTHER)
    assert store.study("small").state is before
    assert drive(store, measured_study(), FakePool()) is StudyState.COMPLETE
    assert store.device(store.study("small").id) == DEVICE


def test_a_study_that_has_measured_nothing_yet_may_move(store: Store) -> None:
    with pytest.raises(Crash):
        drive(store, measured_study(), FakePool(crash_after=0))
    drive(store, measured_study(), FakePool(), device=OTHER)
    assert {n.metrics["latency_ms"].device["name"] for n in Study(store, "small").archive()} == {"another"}


def test_a_second_study_measures_anew_on_another_device_and_trains_nothing_again(store: Store) -> None:
    drive(store, measured_study(), FakePool())
    same, elsewhere = FakePool(), FakePool()
    drive(store, measured_study(name="same"), same)
    drive(store, measured_study(name="elsewhere"), elsewhere, device=OTHER)
    assert set(kinds(same)) == {"search"}
    assert set(kinds(elsewhere)) == {"search", "measure"}
    for name, device in (("small", "fake"), ("same", "fake"), ("elsewhere", "another")):
        archive = Study(store, name).archive()
        assert {network.metrics["latency_ms"].device["name"] for network in archive} == {device}
    values = [[n.metrics["latency_ms"].value for n in Study(store, name).archive()] for name in ("small", "same", "elsewhere")]
    assert values[0] == values[1] != values[2]


def test_other_settings_are_other_measurements(store: Store) -> None:
    few = measured_study(methods=["random"], replicates=1)
    drive(store, few, FakePool())
    pool = FakePool()
    drive(store, few | {"name": "more", "measure": {"repeats": 100}}, pool)
    assert "measure" in kinds(pool)


def test_a_loop_that_dies_at_any_event_goes_on_to_the_same_front_and_measures_nothing_twice(tmp_path: Path) -> None:
    def front_of(store: Store) -> str:
        return json.dumps([member.to_json() for member in Study(store, "small").front()], sort_keys=True)

    def measured(store: Store) -> list[dict[str, Any]]:
        return [task.spec for task in store.tasks(store.study("small").id, TaskState.COMPLETE, "measure")]

    with Store.open(f"sqlite:///{tmp_path}/whole.db", create=True) as whole:
        drive(whole, measured_study(), FakePool())
        expected, number = front_of(whole), len(measured(whole))
    for first in range(4, 40, 17):
        with Store.open(f"sqlite:///{tmp_path}/{first}.db", create=True) as broken:
            for crash_after in (first, 5, None):
                done = measured(broken) if crash_after != first else []
                pool = FakePool(crash_after=crash_after)
                with suppress(Crash):
                    drive(broken, measured_study(), pool)
                assert not [task for task in pool.started if task["spec"] in done]
            assert front_of(broken) == expected
            assert len(measured(broken)) == number


def test_a_measurement_that_raises_fails_its_trial_alone(store: Store) -> None:
    spoilt: list[str] = []

    def spoil(spec: Mapping[str, Any]) -> Event | None:
        if spec["kind"] == "measure" and (not spoilt or spoilt[0] == json.dumps(spec["architecture"])):
            spoilt.append(json.dumps(spec["architecture"]))
            return Event(0, "error", {"reason": "TaskError: measuring latency_ms gave nan", "traceback": ""})
        return None

    assert drive(store, measured_study(), FakePool(spoil=spoil)) is StudyState.COMPLETE
    failed = [trial for trial in Study(store, "small").trials() if trial.state is TrialState.FAIL]
    assert 1 <= len(failed) < 12
    assert {trial.reason for trial in failed} == {"its measurement failed: TaskError: measuring latency_ms gave nan"}


def test_a_machine_that_cannot_measure_pauses_the_study(store: Store) -> None:
    def unable(spec: Mapping[str, Any]) -> Event | None:
        return Event(0, "unable", {"reason": "energy_mj is not available on this machine"}) if spec["kind"] == "measure" else None

    with pytest.raises(TaskError, match="not available"):
        drive(store, measured_study(), FakePool(spoil=unable))
    study = Study(store, "small")
    assert study.state is StudyState.PAUSED
    assert TrialState.FAIL not in {trial.state for trial in study.trials()}


def test_an_objective_on_a_measured_metric_needs_a_reference() -> None:
    with pytest.raises(Exception, match=r"objectives\[1\]: latency_ms needs a `reference`"):
        Plan(study_from(small_study(objectives=["accuracy", "latency_ms"])))
