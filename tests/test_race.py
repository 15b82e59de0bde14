"""The race of methods: what each alone adds, against areas added up by hand from the networks."""

import itertools

import pytest
from sqlalchemy import update

from moonas.race import race
from moonas.results.study import Study
from moonas.results.tally import tally
from moonas.store.store import Store
from moonas.store.tables import Trial
from tests.outer.fakes import FakePool, drive, small_study


@pytest.fixture
def study(tmp_path):
    raw = small_study(methods=["random", {"name": "darts", "epochs": 2}, {"name": "random-shared", "epochs": 2, "candidates": 3}])
    with Store.open(f"sqlite:///{tmp_path}/moonas.db", create=True) as store:
        drive(store, raw, FakePool())
        yield Study(store, raw["name"])


def area(study: Study, points: list[tuple[float, float]]) -> float:
    """The share of the box that (error, parameters) dominate, strip by strip."""
    low, high = study.plan.spans["params"]
    high *= 1.01
    scaled = sorted((min(max((params - low) / (high - low), 0), 1), error) for error, params in points)
    total, best = 0.0, 1.0
    for (left, error), (right, _) in itertools.pairwise([*scaled, (1.0, 1.0)]):
        best = min(best, error)
        total += (right - left) * (1 - best)
    return total


def test_the_tally_has_the_networks_of_the_archive_with_their_values_in_their_order(study):
    archive = study.archive()
    assert list(tally(study).values) == [network.place for network in archive]
    assert [dict(values) for values in tally(study).values.values()] == [network.values for network in archive]


def test_a_method_is_worth_what_the_front_would_lose_without_the_networks_that_it_alone_found(study):
    found: dict[str, set[tuple[str, str]]] = {}
    numbers = {trial.id: trial for trial in study.trials()}
    for candidate in study.store.candidates(study.record.id):
        method = numbers[candidate.trial_id].params["method"]
        found.setdefault(method, set()).add((candidate.architecture, candidate.skeleton))
    points = {
        (network.key, network.skeleton.key): (1 - network.metrics["accuracy"].value, network.metrics["params"].value)
        for network in study.archive()
    }
    whole = area(study, list(points.values()))
    assert whole == pytest.approx(study.front_history()[-1].hypervolume)
    runners = {runner.method: runner for runner in race(study)}
    assert list(runners) == ["random", "darts", "random-shared"]
    for method, runner in runners.items():
        others = set().union(*(places for name, places in found.items() if name != method))
        assert runner.networks == len(found[method])
        assert runner.hypervolume == pytest.approx(area(study, [points[place] for place in found[method]]))
        assert runner.exclusive == pytest.approx(whole - area(study, [points[place] for place in others]), abs=1e-12)
        assert (runner.complete, runner.failed, runner.collapses, runner.misses) == (6, 0, 0, 0)
        accuracies = [t.values["accuracy"] for t in numbers.values() if t.params["method"] == method]
        assert runner.accuracy == pytest.approx(sum(accuracies) / 6)
    assert sum(runner.device_hours for runner in runners.values()) == pytest.approx(
        study.store.device_seconds(study.record.id) / 3600
    )


def test_a_primary_network_outside_its_budget_is_counted_as_a_miss(study):
    trial = next(trial for trial in study.trials() if trial.params["method"] == "darts")
    with study.store.database.write() as session:
        session.execute(update(Trial).where(Trial.id == trial.id).values(params={**trial.params, "budget": "params<=1"}))
    assert {runner.method: runner.misses for runner in race(study)} == {"random": 0, "darts": 1, "random-shared": 0}
