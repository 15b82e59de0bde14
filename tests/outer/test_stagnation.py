"""Stopping where the front no longer gains: by hand-made sequences, and on the loop, with a raised limit and after a crash."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from moonas.outer.stagnation import stagnates, volumes_after
from moonas.results.study import Study
from moonas.store.records import FrontRecord, TrialRecord
from moonas.store.states import StudyState, TrialState
from moonas.store.store import Store
from moonas.terminal.studies import print_study, summary
from tests.outer.fakes import Crash, FakePool, Notes, drive, small_study


@pytest.mark.parametrize(
    ("volumes", "trials", "tolerance", "stops"),
    [
        ([0.5, 0.5, 0.5], 2, 0.0, True),
        ([0.5, 0.5], 2, 0.0, False),  # only one trial since the first
        ([0.5, 0.5, 0.6], 2, 0.0, False),
        ([0.4, 0.6, 0.6, 0.6], 2, 0.0, True),
        ([0.50, 0.52, 0.54], 2, 0.1, True),  # 8 % in two trials
        ([0.50, 0.52, 0.56], 2, 0.1, False),  # 12 %
        ([0.5, 0.4, 0.4], 2, 0.0, True),  # a mean over replicates fell
        ([0.0, 0.0, 0.0, 0.0], 2, 0.0, False),  # nothing feasible yet
    ],
)
def test_a_study_stagnates_where_its_last_trials_gained_too_little(
    volumes: list[float], trials: int, tolerance: float, stops: bool
) -> None:
    assert stagnates(volumes, trials, tolerance) is stops


def trial(number: int, finished: float | None) -> TrialRecord:
    state = TrialState.RUNNING if finished is None else TrialState.COMPLETE
    rest: dict[str, Any] = {"values": None, "violation": None, "reason": None, "sampler_attrs": {}, "params": {}}
    return TrialRecord(id=10 + number, number=number, state=state, replicate=0, created=0, started=0, finished=finished, **rest)


def test_volumes_follow_the_order_in_which_trials_finished() -> None:
    changes = [FrontRecord(n, "p", f"trial {t}", v, n, 0) for n, (t, v) in enumerate([(2, 0.1), (2, 0.2), (0, 0.5), (3, 0.9)], 1)]
    trials = [trial(0, 7.0), trial(1, 5.0), trial(2, 3.0), trial(3, None)]
    assert volumes_after(trials, changes) == [0.2, 0.2, 0.5]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    with Store.open(f"sqlite:///{tmp_path}/study.db", create=True) as opened:
        yield opened


def long_study(**limits: Any) -> dict[str, Any]:
    return small_study(methods=["random"], budgets={"params": ["10%", "40%", "none"]}, replicates=12, limits=limits)


def by_hand(study: Study, window: int) -> int:
    """After how many trials of an unlimited study the last `window` have brought nothing: from its front's history."""
    gaining = [int(step.cause.split()[1]) for step in study.front_history()]
    volumes = {int(step.cause.split()[1]): step.hypervolume for step in study.front_history()}
    known, best = [], 0.0
    for number in range(len(study.trials())):
        best = volumes.get(number, best)
        known.append(best)
        if number >= window and known[number] <= known[number - window]:
            return number + 1
    raise AssertionError(f"changes after trials {gaining}")


@pytest.mark.parametrize("window", [3, 5])
def test_a_stagnating_study_stops_says_so_and_goes_on_with_a_raised_limit(
    tmp_path: Path, store: Store, window: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with Store.open(f"sqlite:///{tmp_path}/whole.db", create=True) as whole:
        drive(whole, long_study(), FakePool(1))
        expected, later = by_hand(Study(whole, "small"), window), by_hand(Study(whole, "small"), window + 4)
        assert window < expected < later < 36
    notes = Notes()
    assert drive(store, long_study(stagnation=window), FakePool(1), notes) is StudyState.STOPPED
    study = Study(store, "small")
    assert len(study.trials()) == expected
    said = f"the limit of stagnation is reached: the last {window} trials gained no hypervolume"
    assert any(line.startswith(said) for line in notes.lines)
    assert summary(study)["reason"] == said
    print_study(study)
    assert f"STOPPED: {said}" in " ".join(capsys.readouterr().out.split())
    assert drive(store, long_study(stagnation=window), FakePool(1)) is StudyState.STOPPED
    assert len(Study(store, "small").trials()) == expected
    assert drive(store, long_study(stagnation=window + 4), FakePool(1)) is StudyState.STOPPED
    assert len(Study(store, "small").trials()) == later
    assert drive(store, long_study(), FakePool(1)) is StudyState.COMPLETE
    assert summary(Study(store, "small"))["reason"] == ""


def test_a_loop_that_dies_stops_at_the_same_trial(tmp_path: Path) -> None:
    asked = []
    for deaths in ((), (5, 11, 17)):
        with Store.open(f"sqlite:///{tmp_path}/{len(deaths)}.db", create=True) as store:
            for crash_after in deaths:
                with pytest.raises(Crash):
                    drive(store, long_study(stagnation=4), FakePool(1, crash_after=crash_after))
            assert drive(store, long_study(stagnation=4), FakePool(1)) is StudyState.STOPPED
            asked.append([trial.params for trial in Study(store, "small").trials()])
    assert asked[0] == asked[1]


def test_a_study_that_ends_at_its_number_of_trials_says_so(store: Store) -> None:
    assert drive(store, small_study(trials=5, limits={"stagnation": 5}), FakePool()) is StudyState.COMPLETE
    assert summary(Study(store, "small"))["reason"] == "the limit of 5 trials is reached"
