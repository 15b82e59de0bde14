"""Methods against the pool: by hand on made-up outcomes, and read from studies that a pool without torch has run."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.comparison import Comparison
from benchmarks.methods import again_of, noise_table, pool_of, training_report
from benchmarks.outcomes import Outcome, believed, outcomes, score_of
from moonas.architecture import Architecture
from moonas.results.study import Study
from moonas.skeleton import Skeleton
from moonas.spaces.costs import cost_table
from moonas.spaces.decode import Decoder
from moonas.spaces.space import make_space
from moonas.store.store import Store
from moonas.study.loading import study_from
from tests.outer.fakes import FakePool, drive, small_study

SPACES = {"darts-cnn": 5, "tnd-cnn": 5, "nas-bench-201": 3}


def outcome(method, budget, replicate, valid, test, search=0.0, evaluation=10.0):
    return Outcome(method, budget, replicate, Architecture("", {}, {}), valid, test, search, evaluation, {}, {}, {}, {})


@pytest.fixture
def made_up():
    """Two budgets, two replicates. All evaluations take 10 s, and searches only those of `seeks` at "small": 20 s."""
    accuracy = {("small", 0): 0.5, ("small", 1): 0.6, ("large", 0): 0.7, ("large", 1): 0.9}
    found = [outcome("seeks", b, r, value, value - 0.1, 20.0 * (b == "small")) for (b, r), value in accuracy.items()]
    found += [outcome("random", b, r, 0.5, 0.4) for b, r in accuracy]
    pool = {
        "small": [
            outcome("random", "small", r, valid, test) for r, (valid, test) in enumerate([(0.1, 0.4), (0.2, 0.3), (0.3, 0.2)])
        ],
        "large": [outcome("random", "large", r, 0.2 + 0.2 * r, 0.2 + 0.2 * r) for r in range(3)],
    }
    return Comparison(SimpleNamespace(), found, pool)


def test_a_replicate_counts_as_one_observation_with_its_budgets_together(made_up):
    found = made_up.over_budgets("seeks", lambda one: one.valid)
    assert (found.value, found.error, found.freedom) == pytest.approx((0.675, 0.075, 1))


def test_pairs_are_of_one_budget_and_replicate(made_up):
    found = made_up.paired("seeks", "test")
    assert (found.value, found.error) == pytest.approx((0.575 - 0.4, 0.075))
    del made_up.found[-1]
    assert np.isnan(made_up.paired("seeks", "test").value)


def test_at_equal_time_random_keeps_the_best_by_valid_of_the_draws_it_can_pay_for(made_up):
    assert made_up.draws_in_equal_time("seeks") == {"small": 3.0, "large": 1.0}
    small, large = made_up.random("test", made_up.draws_in_equal_time("seeks"))
    assert small.value == pytest.approx(0.2)  # the best by `valid`, and the worst on `test`
    assert large.value == pytest.approx(0.4)
    assert made_up.above_random("seeks", "test", {"small": 3.0, "large": 1.0}).value == pytest.approx(0.575 - 0.3)
    assert made_up.above_random("seeks", "test").value == pytest.approx(0.575 - 0.35)


@pytest.mark.parametrize("name", SPACES)
def test_the_score_of_an_architecture_is_what_decoding_says_it_is(name):
    space = make_space({"name": name})
    skeleton = Skeleton(space=name, channels=4, cells=SPACES[name], input_shape=(1, 8, 8), classes=10)
    decoder = Decoder(space, cost_table(space, skeleton))
    rng = np.random.default_rng(0)
    scores = {group: rng.normal(size=one.shape) for group, one in space.groups.items()}
    search = {"scores": {group: matrix.tolist() for group, matrix in scores.items()}, "slot_scores": None, "earlier": []}
    low, high = decoder.reachable()["params"]
    for bound in (None, {"params": {"upper": (low + high) // 3}}):
        decoded = decoder.decode(scores, bound)
        assert score_of(decoder.choices, believed(decoder.choices, search), decoded.architecture) == pytest.approx(decoded.score)


def test_an_operation_that_was_dropped_keeps_the_score_of_its_last_stage():
    space = make_space({"name": "nas-bench-201"})
    skeleton = Skeleton(space=space.name, channels=4, cells=3, input_shape=(1, 8, 8), classes=10)
    choices = Decoder(space, cost_table(space, skeleton)).choices
    stages = [np.full((6, 5), score) for score in (-1.0, -2.0, -3.0)]  # the last stage first
    stages[0][:, 1:], stages[1][:, 2:] = -np.inf, -np.inf
    rows = [[[None if np.isinf(value) else value for value in row] for row in stage] for stage in stages]
    search = {"scores": {"cell": rows[0]}, "slot_scores": None, "earlier": [{"cell": rows[1]}, {"cell": rows[2]}]}
    cell = Architecture.from_genotype("|none~0|+|skip_connect~0|nor_conv_3x3~1|+|avg_pool_3x3~0|nor_conv_1x1~1|skip_connect~2|")
    assert score_of(choices, believed(choices, search), cell) == -1 - 2 - 3 - 3 - 3 - 2


@pytest.fixture
def studies(tmp_path):
    question = small_study(
        methods=["random", {"name": "darts", "epochs": 2}, {"name": "random-shared", "epochs": 2, "candidates": 3}]
    )
    with Store.open(f"sqlite:///{tmp_path}/moonas.db", create=True) as store:
        runs = FakePool()
        drive(store, question, runs)
        before = len(runs.started)
        pool = pool_of(study_from(question), 4)
        drive(store, pool, runs)
        yield Study(store, "small"), Study(store, pool["name"]), runs.started[before:]


def test_outcomes_are_those_of_the_trials_primary_networks(studies):
    study, pool, _ = studies
    found = outcomes(study)
    assert len(found) == 3 * 3 * 2
    assert len(outcomes(pool)) == 3 * 4
    told = {(t.params["method"], t.params["budget"], t.replicate): t.values["accuracy"] for t in study.trials()}
    assert {(one.method, one.budget, one.replicate): one.valid for one in found} == told
    assert all(one.test != one.valid for one in found)


def test_a_search_is_divided_among_its_trials_and_an_evaluation_charged_to_each(studies):
    study, _, _ = studies
    found, attempts = outcomes(study), study.store.attempts(study.record.id)
    before = sum(attempt.seconds for attempt in attempts if attempt.kind != "evaluate")
    assert sum(one.search_seconds for one in found) == pytest.approx(before)
    trained = sum(attempt.seconds for attempt in attempts if attempt.kind == "evaluate")
    once = {(one.architecture.key, one.replicate): one.evaluation_seconds for one in found}
    assert sum(once.values()) == pytest.approx(trained)


def test_a_pool_repeats_no_evaluation_that_the_study_has_made(studies):
    study, pool, started = studies
    drawn = {(one.budget, one.replicate): one.valid for one in outcomes(pool)}
    same = [one for one in outcomes(study) if one.method == "random"]
    assert {(one.budget, one.replicate): one.valid for one in same}.items() <= drawn.items()
    trained = [task for task in started if task["spec"]["kind"] == "evaluate"]
    assert len(trained) <= len(drawn) - len(same)


def test_a_report_has_a_line_for_every_method_and_one_for_random(studies):
    study, pool, _ = studies
    drive(study.store, again_of(pool), FakePool())
    again = outcomes(Study(study.store, f"{pool.name}-again"))
    assert {one.architecture for one in again} == {one.architecture for one in outcomes(pool)}
    text = "\n".join(training_report(Comparison.read(study, pool), again))
    assert text.count("| darts |") == 2 * 2 + 1 + 1  # accuracies and differences on both parts, beliefs, the race
    assert text.count("| random-shared |") == 2 * 2 + 1  # it scores no architecture
    assert text.count("| random, 4+4+4 draws |") == 2


def test_what_networks_differ_by_is_told_from_what_trainings_do(made_up):
    one, other = (Architecture(key, {}, {}) for key in "ab")
    drawn = [
        replace(outcome("random", "small", 0, 0.5, 0.4), architecture=one),
        replace(outcome("random", "small", 0, 0.9, 0.8), architecture=other),
    ]
    again = [replace(drawn[0], replicate=1, valid=0.6), replace(drawn[1], replicate=1, valid=1.0)]
    table = list(noise_table(replace(made_up, pool={"small": drawn}), again))
    # valid: means 0.55 and 0.95, each 0.05 about its own: 0.16 between on one degree of freedom, 0.01 inside on two
    assert table[-1] == "| valid | 27.84 | 7.07 | 0.94 | 0.97 |"
