"""Samplers replayed on a grid: the accounting by hand on a made-up record, and a grid that a pool without torch has run."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from benchmarks.outcomes import outcomes
from benchmarks.replay import SAMPLERS, Account, Point, Record, Replay, report, sampler_of
from moonas.outer.plan import Design
from moonas.outer.samplers.sampler import Proposal
from moonas.results.study import Study
from moonas.store.store import Store
from moonas.study.loading import study_from
from tests.outer.fakes import FakePool, drive, small_study
from tests.outer.studies import SMALL

GRID = study_from(SMALL | {"budgets": {"params": [1000, 4000]}})  # the smaller budget fits 2 channels alone
SMALL_BUDGET, LARGE_BUDGET = "params<=1000", "params<=4000"


def point(method: str, budget: str, channels: int, accuracy: float, params: int, search: str, network: str) -> Point:
    """The search `shared` takes 60 s, any other 1 s; `c` is evaluated in 12 s, others in 10 s, and at 4 channels in twice that."""
    seconds = (12.0 if network == "c" else 10.0) * channels / 2
    return Point(method, budget, channels, 3, accuracy, params, 0, search, 60.0 if search == "shared" else 1.0, network, seconds)


POINTS = [
    point("random", SMALL_BUDGET, 2, 0.5, 800, "first", "a"),
    point("random", LARGE_BUDGET, 2, 0.5, 800, "second", "a"),
    point("random", LARGE_BUDGET, 4, 0.8, 3000, "third", "a"),
    point("darts", SMALL_BUDGET, 2, 0.6, 1000, "shared", "b"),
    point("darts", LARGE_BUDGET, 2, 0.7, 1200, "shared", "c"),
    point("darts", LARGE_BUDGET, 4, 0.9, 3400, "shared", "c"),
]


class Scripted:
    """Asks for the points with these numbers, then for the last of them again and again."""

    total = 10**6

    def __init__(self, *numbers: int) -> None:
        self.numbers = numbers

    def ask(self, history):
        asked = POINTS[self.numbers[min(len(history.trials), len(self.numbers) - 1)]]
        params = {name: getattr(asked, name) for name in ("method", "budget", "channels", "cells")}
        return Proposal(Design.from_params(params), 0)


@pytest.fixture
def record() -> Record:
    return Record(GRID, POINTS)


def test_a_search_is_paid_for_once_and_so_is_a_network_at_one_width():
    account = Account()
    assert [account.charge(one) for one in POINTS] == [1 + 10, 1, 1 + 20, 60 + 10, 12, 24]
    assert sum(account.charge(one) for one in POINTS) == 0


def test_the_whole_grid_takes_the_same_in_any_order(record):
    assert record.seconds == Record(GRID, POINTS[::-1]).seconds == 63 + 76


def test_a_trial_is_finished_when_all_before_it_and_what_is_new_of_it_are_paid_for(record):
    replay = Replay.run(record, Scripted(0, 1, 1, 2, 3, 4))
    assert replay.points == [POINTS[number] for number in (0, 1, 1, 2, 3)]  # then more than half of the 139 s are spent
    assert replay.seconds == [11, 12, 12, 33, 103]


def test_a_sampler_that_only_repeats_is_left_after_as_many_trials_as_the_grid_has(record):
    replay = Replay.run(record, Scripted(0))
    assert replay.points == [POINTS[0]] * (1 + 6)
    assert replay.seconds == [11] * 7


def test_shares_are_of_the_grids_hypervolume_at_parts_of_its_time(record):
    """By hand, reference at error 0.54 and 3660 parameters: steps of the front times what they are above it."""
    whole = 200 * 0.04 + 200 * 0.14 + 1800 * 0.24 + 400 * 0.34 + 260 * 0.44
    first, second = 2860 * 0.04 / whole, (2200 * 0.04 + 660 * 0.34) / whole
    found = Replay.run(record, Scripted(0, 1, 1, 2, 3)).measures(record.boxes["front"])  # after 13.9, 34.75 and 69.5 s
    assert found == pytest.approx([first, second, second, ((33 - 11) * first + (69.5 - 33) * second) / 69.5])


def test_in_the_box_of_the_study_the_reference_is_an_error_of_one_and_little_more_than_the_largest_network(record):
    reference = 1.01 * 3406
    whole = 200 * 0.5 + 200 * 0.6 + 1800 * 0.7 + 400 * 0.8 + (reference - 3400) * 0.9
    first, second = (reference - 800) * 0.5 / whole, (2200 * 0.5 + (reference - 3000) * 0.8) / whole
    found = Replay.run(record, Scripted(0, 2, 3)).measures(record.boxes["study"])
    assert found == pytest.approx([first, second, second, ((32 - 11) * first + (69.5 - 32) * second) / 69.5])


def test_before_the_first_trial_is_finished_nothing_is_reached(record):
    replay = Replay.run(record, Scripted(5))  # 84 s, more than half of all
    assert replay.measures(record.boxes["front"]) == [0, 0, 0, 0]


@pytest.mark.parametrize("points", [POINTS[1:], [*POINTS, POINTS[0]]], ids=["missing", "repeated"])
def test_a_grid_with_trials_missing_or_repeated_is_refused(points):
    with pytest.raises(ValueError, match="no complete grid of one replicate of 6 designs"):
        Record(GRID, points)


def test_a_trial_whose_candidates_were_compared_after_its_search_cannot_be_replayed(finished):
    store, _ = finished
    found = outcomes(Study(store, "small"))[0]
    with pytest.raises(ValueError, match="one search per trial can be replayed, not 2"):
        Point.of(replace(found, tasks={**found.tasks, "comparison": 1.0}))


def test_a_record_is_read_as_it_was_written(record, tmp_path):
    record.write(tmp_path / "grid.csv")
    assert Record.read(GRID, tmp_path / "grid.csv") == record


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Iterator[tuple[Store, Record]]:
    """A grid that has been run: 2 methods at 3 budgets and 2 widths; random searches for each, darts once."""
    raw = small_study(final={"channels": [4, 5], "cells": 5}, replicates=1)
    with Store.open(f"sqlite:///{tmp_path_factory.mktemp('grid')}/moonas.db", create=True) as store:
        drive(store, raw, FakePool(slots=1))
        yield store, Record(study_from(raw), [Point.of(outcome) for outcome in outcomes(Study(store, "small"))])


def test_a_recorded_grid_takes_what_its_study_took(finished):
    store, record = finished
    assert len({one.search for one in record.points if one.method == "darts"}) == 1
    assert record.seconds == pytest.approx(store.device_seconds(Study(store, "small").record.id))
    told = {(t.params["method"], t.params["budget"], t.params["channels"]): t.values for t in Study(store, "small").trials()}
    for one in record.points:
        values = told[one.method, one.budget, one.channels]
        assert (one.accuracy, one.params, one.macs) == (values["accuracy"], values["params"], values["macs"])


@pytest.mark.parametrize("name", ["moonas", "tpe", "nsga2", "random"])
def test_a_replayed_sampler_asks_what_it_asks_in_a_study(finished, name):
    store, record = finished
    alike = Record(record.config, [replace(one, search="", evaluation_seconds=1.0, network=one.design) for one in record.points])
    replay = Replay.run(alike, sampler_of(alike, name, record.config.seed))
    trials = len(replay.points)
    assert trials >= len(record.points) / 2
    drive(store, {**record.config.to_json(), "name": name, "sampler": name, "trials": trials}, FakePool(slots=1))
    asked = [(t.params["method"], t.params["budget"], t.params["channels"]) for t in Study(store, name).trials()]
    assert [(one.method, one.budget, one.channels) for one in replay.points] == asked


def test_a_shuffled_grid_asks_every_design_once_in_an_order_of_its_seed(finished):
    _, record = finished
    orders = [Replay.run(record, sampler_of(record, "shuffled", seed)).points for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert all(len(set(order)) == len(order) for order in orders)


def test_a_report_compares_moonas_with_tpe_seed_by_seed(record):
    runs = {name: [Replay.run(record, Scripted(*numbers))] for name, numbers in {"moonas": (0, 2, 3), "tpe": (0, 1, 3)}.items()}
    text = "\n".join(report(record, runs))
    assert "6 trials, 4 searches, 3 architectures,\n139 device-seconds, a front of 5." in text
    whole, first, second = 718.4, 114.4, 312.4  # as above
    expected = [0, 100 * (second - first) / whole, 100 * (second - first) / whole]
    line = next(line for line in text.splitlines() if line.startswith("| moonas less tpe"))
    assert [float(cell.split("[")[0]) for cell in line.split("|")[2:5]] == pytest.approx(expected, abs=0.05)
    assert set(SAMPLERS) >= set(runs)
