"""What a study answers about its front: knee, compromise, attainment, comparison, and why it is empty."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import moonas
from moonas.cli import app
from moonas.errors import UsageError
from moonas.infeasible import infeasibility
from moonas.results.study import Study
from moonas.store.states import TrialState
from moonas.store.store import Store
from moonas.study.bounds import parse_bound
from tests.outer.fakes import FakePool, drive, small_study
from tests.test_race import area

runner = CliRunner()


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Three studies that compare, one of another seed and one of another protocol."""
    url = f"sqlite:///{tmp_path_factory.mktemp('fronts')}/study.db"
    with Store.open(url, create=True) as store:
        for changes in (
            {"name": "both", "replicates": 3},
            {"name": "drawn", "methods": ["random"]},
            {"name": "turned", "methods": ["darts"], "objectives": ["params", "accuracy"]},
            {"name": "seeded", "methods": ["random"], "seed": 4},
            {"name": "longer", "methods": ["random"], "protocol": {"name": "short", "epochs": 30}},
            {"name": "three", "methods": ["random"], "objectives": ["accuracy", "params", "macs"]},
        ):
            drive(store, small_study(**changes), FakePool())
    return url


@pytest.fixture
def study(storage: str) -> Study:
    return moonas.load_study("both", storage)


def cli(*arguments: str) -> str:
    result = runner.invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def losses(front: list) -> np.ndarray:
    """Shares of the front's span lost in (accuracy, params)."""
    points = np.array([[-network.metrics["accuracy"].value, network.metrics["params"].value] for network in front])
    return (points - points.min(axis=0)) / np.ptp(points, axis=0)


# Choices


@pytest.mark.parametrize("weights", [{"accuracy": 2, "params": 1}, {"accuracy": 1, "params": 5}, {"params": 3}, {"accuracy": 0}])
def test_a_compromise_is_the_member_whose_largest_weighted_loss_is_smallest(study: Study, weights: dict[str, float]) -> None:
    front = study.front()
    assert len(front) > 3
    factors = [weights.get("accuracy", 1), weights.get("params", 1)]
    worst = (losses(front) * factors).max(axis=1)
    assert study.best(weights=weights).place == front[int(worst.argmin())].place


def test_heavier_accuracy_never_gives_a_less_accurate_network(study: Study) -> None:
    found = [study.best(weights={"accuracy": weight}).metrics["accuracy"].value for weight in (0, 0.2, 1, 5, 1e6)]
    assert found == sorted(found)
    assert found[-1] == study.best().metrics["accuracy"].value


def test_the_knee_is_a_member_within_the_limits(study: Study) -> None:
    assert study.best(knee=True).on_front
    cheapest, second, *_ = study.front()
    limit = second.metrics["params"].value
    within = study.best(under={"params": limit}, knee=True)
    assert within.place in (cheapest.place, second.place)


@pytest.mark.parametrize(
    ("weights", "words"),
    [({"macs": 1}, "macs is no objective"), ({"accuracy": -1}, "at least 0"), ({"accuracy": 0, "params": 0}, "above 0")],
)
def test_weights_that_mean_nothing_are_refused(study: Study, weights: dict[str, float], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        study.best(weights=weights)


def test_the_command_line_takes_limits_several_times_and_weights(storage: str, study: Study) -> None:
    limit = int(study.front()[2].metrics["params"].value)
    asked = ["best", "both", "--storage", storage, "--format", "json"]
    twice = json.loads(cli(*asked, "--under", f"params={limit},macs=1G", "--under", "accuracy=0.1"))
    assert twice["key"] == study.best(under={"params": limit}).key
    weighed = json.loads(cli(*asked, "--weights", "accuracy=1,params=5"))
    assert weighed["key"] == study.best(weights={"params": 5}).key
    assert json.loads(cli(*asked, "--knee"))["key"] == study.best(knee=True).key
    for wrong in (["--weights", "accuracy"], ["--weights", "accuracy=x"], ["--weights", ","], ["--knee", "--weights", "params=1"]):
        with pytest.raises(UsageError):
            cli(*asked, *wrong)


@pytest.mark.parametrize("name", ["both", "turned", "three"])
def test_limits_of_objectives_are_answered_by_the_front_alone_and_as_by_the_whole_archive(
    storage: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = moonas.load_study(name, storage)
    archive, objectives = study.archive(), study.config.objectives
    first = objectives[0]
    limits = [{o.metric: network.values[o.metric]} for o in objectives for network in archive]
    limits += [{o.metric: network.values[o.metric] for o in objectives} for network in archive]
    monkeypatch.setattr(Study, "archive", lambda self: pytest.fail("the whole archive was read"))
    for under in [{}, *limits]:
        signs = {o.metric: o.sign for o in objectives}
        fitting = [n for n in archive if all(signs[m] * n.values[m] <= signs[m] * end for m, end in under.items())]
        best = min(first.sign * network.values[first.metric] for network in fitting)
        found = study.best(under)
        assert found.place in [network.place for network in fitting]
        assert first.sign * found.values[first.metric] == best


def test_limits_of_what_is_no_objective_are_met_by_networks_off_the_front_too(study: Study) -> None:
    dominated = next(network for network in study.archive() if not network.on_front)
    macs = dominated.values["macs"]
    found = study.best([parse_bound(f"{macs:.0f}<=macs<={macs:.0f}")])
    assert found.values["macs"] == macs
    accuracy = dominated.values["accuracy"]
    assert study.best([parse_bound(f"accuracy<={accuracy}"), parse_bound(f"accuracy>={accuracy}")]).values["accuracy"] == accuracy


def test_a_limit_that_nothing_meets_is_answered_with_what_would_do(study: Study) -> None:
    cheapest = study.front()[0]
    smallest = int(cheapest.metrics["params"].value)
    with pytest.raises(UsageError) as caught:
        study.best(under={"params": smallest - 1})
    assert str(caught.value).splitlines()[1:] == [f"params<={smallest} would admit {cheapest.key[:8]}"]


def test_the_front_is_that_part_of_the_archive_however_it_is_read(study: Study, monkeypatch) -> None:
    archive = study.archive()
    members = [network for network in archive if network.on_front]
    assert len(members) >= 3
    assert study.front() == members
    monkeypatch.setattr("moonas.results.networks.MOST_KEYS", 2)
    assert study.front() == members
    assert study.archive() == archive


def test_trials_come_in_pages(study: Study) -> None:
    trials = study.trials()
    assert study.trials(offset=2, limit=3) == trials[2:5]
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    assert study.trials(TrialState.COMPLETE, offset=1) == complete[1:]


# Attainment


def test_attainment_is_what_enough_replicates_measured_themselves(study: Study) -> None:
    costs = {network.place[:2]: network.metrics["params"].value for network in study.archive()}
    runs: dict[int, list[tuple[float, float]]] = {}
    trials = {trial.id: trial.replicate for trial in study.trials()}
    asked = {(c.architecture, c.skeleton, trials[c.trial_id]) for c in study.store.candidates(study.record.id)}
    for evaluation in study.store.evaluations(study.record.id):
        key = evaluation.key
        if (key.architecture, key.skeleton, key.replicate) in asked:
            runs.setdefault(key.replicate, []).append((evaluation.metrics["accuracy"], costs[key.architecture, key.skeleton]))
    assert sorted(runs) == [0, 1, 2]
    found = study.attainment()
    assert (found.objectives, found.replicates, list(found.surfaces)) == (("accuracy", "params"), 3, [0.25, 0.5, 0.75])
    accuracies, sizes = (sorted({point[axis] for points in runs.values() for point in points}) for axis in (0, 1))
    for share, needed in ((0.25, 1), (0.5, 2), (0.75, 3)):
        for accuracy, size in itertools.product(accuracies, sizes):
            attaining = sum(any(a >= accuracy and p <= size for a, p in points) for points in runs.values())
            on_surface = any(a >= accuracy and p <= size for a, p in found.surfaces[share])
            assert on_surface == (attaining >= needed)


def test_attainment_of_what_is_not_measured_or_too_much_is_refused(study: Study) -> None:
    for objectives, words in ((["latency_ms"], "not measured"), (["accuracy", "params", "macs", "params"], "at most three")):
        with pytest.raises(UsageError, match=words):
            study.attainment(objectives=objectives)
    with pytest.raises(UsageError, match="not 2"):
        study.attainment([2])


# Comparison


def points(study: Study) -> list[tuple[float, float]]:
    return [(1 - network.metrics["accuracy"].value, network.metrics["params"].value) for network in study.front()]


def test_studies_are_compared_by_areas_added_up_by_hand(storage: str, study: Study) -> None:
    names = ["drawn", "turned", "both"]
    found = moonas.compare(*names, storage=storage)
    fronts = {name: points(moonas.load_study(name, storage)) for name in names}
    whole = area(study, [point for front in fronts.values() for point in front])
    assert found.union == pytest.approx(whole)
    assert found.differences == ()
    low, high = study.plan.spans["params"]
    assert (found.ideal, found.reference) == ({"accuracy": 1, "params": low}, {"accuracy": 0, "params": pytest.approx(1.01 * high)})
    for standing, name in zip(found.standings, names, strict=True):
        others = [point for other in names if other != name for point in fronts[other]]
        assert (standing.study, standing.members) == (name, len(fronts[name]))
        assert standing.hypervolume == pytest.approx(area(study, fronts[name]))
        assert standing.exclusive == pytest.approx(whole - area(study, others), abs=1e-12)
        assert standing.in_union == sum(not any(beats(other, point) for other in others) for point in fronts[name])
        for other in names:
            if other != name:
                covered = [p for p in fronts[other] if any(q[0] <= p[0] and q[1] <= p[1] for q in fronts[name])]
                assert standing.covers[other] == pytest.approx(len(covered) / len(fronts[other]))


def beats(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one != other and one[0] <= other[0] and one[1] <= other[1]


@pytest.mark.parametrize(("other", "difference"), [("seeded", "seed: 3 -> 4"), ("longer", "protocol.epochs: 20 -> 30")])
def test_numbers_of_other_data_or_protocols_are_compared_only_when_told_to(storage: str, other: str, difference: str) -> None:
    with pytest.raises(UsageError, match=difference):
        moonas.compare("drawn", other, storage=storage)
    found = moonas.compare("drawn", other, storage=storage, anyway=True)
    assert found.differences == (f"drawn -> {other}: {difference}",)
    assert f"differs: drawn -> {other}" in cli("compare", "drawn", other, "--anyway", "--storage", storage)


@pytest.mark.parametrize(
    ("names", "words"), [(["drawn", "three"], "different objectives"), (["drawn"], "two"), (["drawn", "drawn"], "two")]
)
def test_studies_without_a_common_front_are_refused(storage: str, names: list[str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        moonas.compare(*names, storage=storage, anyway=True)


def test_a_comparison_is_printed_in_every_format(storage: str) -> None:
    asked = ["compare", "drawn", "both", "--storage", storage]
    told = json.loads(cli(*asked, "--format", "json"))
    assert [standing["study"] for standing in told["standings"]] == ["drawn", "both"]
    lines = cli(*asked, "--format", "csv").splitlines()
    assert lines[0] == "study,members,in_union,hypervolume,exclusive,covers.both,covers.drawn"
    assert f"together hypervolume {told['union']:.4f}" in cli(*asked)


# Why a front is empty


def test_an_empty_front_says_what_came_closest_and_what_would_admit_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/study.db"
    with Store.open(url, create=True) as store:
        drive(store, small_study(name="free"), FakePool())
        drive(store, small_study(name="strict", constraints=["accuracy>=0.9999"]), FakePool())
    strict = moonas.load_study("strict", url)
    networks = strict.archive()
    assert not strict.front()
    assert networks
    found = infeasibility(strict)
    assert found is not None
    closest = max(networks, key=lambda network: network.metrics["accuracy"].value)
    assert (found.networks, found.obstacles[0].excluded, found.obstacles[0].alone) == (len(networks),) * 3
    shortfalls = sorted((0.9999 - network.metrics["accuracy"].value) / 0.9999 for network in networks)
    assert [misfit.violation for misfit in found.closest] == pytest.approx(shortfalls[:5])
    relaxed = parse_bound(found.admissions[0].split()[0])
    assert found.admissions == (f"{relaxed} would admit {closest.key[:8]}",)
    assert not relaxed.violation(closest.metrics["accuracy"].value)
    assert sum(relaxed.violation(network.metrics["accuracy"].value) == 0 for network in networks) == 1
    assert infeasibility(moonas.load_study("free", url)) is None
    for command in ("front", "show"):
        told = cli(command, "strict", "--storage", url)
        assert found.admissions[0] in told
        assert f"none of {len(networks)} networks meets all constraints" in told
    assert json.loads(cli("front", "strict", "--storage", url, "--format", "json")) == []
    shown = json.loads(cli("show", "strict", "--storage", url, "--format", "json"))["infeasible"]
    assert shown["constraints"] == [{"constraint": "accuracy>=0.9999", "excluded": len(networks), "alone": len(networks)}]
    page = moonas.write_report("strict", tmp_path / "report.html", url).read_text(encoding="utf-8")
    assert found.admissions[0].replace(">", "&gt;") in page
