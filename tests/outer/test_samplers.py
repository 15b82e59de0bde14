"""What chooses the next trial: the grid in its order, and the random sampler by its seed alone."""

import pytest

from moonas.outer.plan import Design
from moonas.outer.samplers.sampler import History, Told, make_sampler
from moonas.study.loading import study_from
from tests.outer.studies import plan

BUDGETS = {"params": ["30%", "60%"]}  # 1,388 fits C = 2 only; 2,253 fits both: three pairs
OPEN = [{"name": "darts", "epochs": [1, 2], "alpha_lr": [0.1, 0.01]}, "random"]


def asked(sampler, history=None):
    """Every proposal until there is none, as (design, replicate); the history takes each in."""
    history, proposals = history or History(), []
    while (proposal := sampler.ask(history)) is not None:
        proposals.append((proposal.design, proposal.replicate))
        history.add(Told(proposal.design.to_params(), proposal.replicate, "COMPLETE", [0.1, 1.0], proposal.attributes))
    return proposals


def random_plan(**changed):
    methods = [{"name": "darts", "alpha_lr": {"log": [1e-4, 1e-2]}, "batch": {"int": [8, 12]}, "weight_decay": {"uniform": [0, 1]}}]
    return plan(**{"methods": [*methods, "random"], "budgets": BUDGETS, "sampler": "random", "trials": 12, **changed})


def test_the_grid_crosses_methods_settings_fitting_pairs_and_replicates():
    sampler = make_sampler(plan(methods=OPEN, budgets=BUDGETS, replicates=2))
    proposals = asked(sampler)
    assert sampler.total == len(proposals) == (4 + 1) * 3 * 2
    assert len({(str(design.to_params()), replicate) for design, replicate in proposals}) == 30
    assert [(design.to_params()["budget"], design.channels) for design, _ in proposals[:3]] == [
        ("params<=1388", 2),
        ("params<=2253", 2),
        ("params<=2253", 4),
    ]
    assert [design.settings for design, _ in proposals[:12:3]] == [
        {"alpha_lr": 0.1, "epochs": 1},
        {"alpha_lr": 0.1, "epochs": 2},
        {"alpha_lr": 0.01, "epochs": 1},
        {"alpha_lr": 0.01, "epochs": 2},
    ]


def test_a_grid_ends_after_the_number_of_trials_the_file_gives():
    whole, capped = asked(make_sampler(plan(budgets=BUDGETS))), make_sampler(plan(budgets=BUDGETS, sampler="grid", trials=2))
    assert capped.total == 2
    assert asked(capped) == whole[:2]


def test_without_a_sampler_a_number_of_trials_is_spent_by_our_own_and_a_sweep_tries_everything():
    assert plan(budgets=BUDGETS).config.sampler.name == "grid"
    config = plan(budgets=BUDGETS, trials=5).config
    assert config.sampler.name == "moonas"
    assert study_from(config.to_json()) == config
    assert study_from(plan(budgets=BUDGETS, sampler="grid", trials=5).config.to_json()).sampler.name == "grid"


def test_the_grid_sees_every_corner_before_it_repeats_one():
    proposals = asked(make_sampler(plan(methods=OPEN, budgets=BUDGETS, replicates=2)))
    assert [replicate for _, replicate in proposals] == [0] * 15 + [1] * 15
    assert [design for design, _ in proposals[:15]] == [design for design, _ in proposals[15:]]
    assert proposals[12][0].method == "random"


def test_a_grid_taken_up_again_asks_only_what_no_trial_has():
    whole = asked(make_sampler(plan(budgets=BUDGETS)))
    history = History()
    for design, replicate in (whole[3], whole[0]):
        history.add(Told(design.to_params(), replicate, "FAIL", None, {}))
    assert asked(make_sampler(plan(budgets=BUDGETS)), history) == [whole[1], whole[2], *whole[4:]]


@pytest.mark.parametrize(
    "extension",
    [
        {"replicates": 2},
        {"budgets": {"params": ["100%", "30%", "60%"]}},
        {"methods": [{"name": "darts", "label": "more"}, "random"]},
    ],
)
def test_an_extended_grid_goes_on_with_what_the_extension_adds(extension):
    before = {"budgets": BUDGETS, "methods": ["random"]}
    history = History()
    first = asked(make_sampler(plan(**before)), history)
    added = asked(make_sampler(plan(**{**before, **extension})), history)
    fresh = asked(make_sampler(plan(**{**before, **extension})))
    assert len(added) == len(fresh) - len(first) > 0
    assert all(one in fresh for one in first + added)
    assert not any(one in first for one in added)


def test_the_random_sampler_is_determined_by_the_seed():
    assert asked(make_sampler(random_plan())) == asked(make_sampler(random_plan()))
    assert asked(make_sampler(random_plan())) != asked(make_sampler(random_plan(seed=1)))


def test_the_random_sampler_ends_after_its_trials_and_may_be_extended():
    sampler = make_sampler(random_plan())
    history = History()
    twelve = asked(sampler, history)
    assert sampler.total == len(twelve) == 12
    more = asked(make_sampler(random_plan(trials=20)), history)
    assert twelve + more == asked(make_sampler(random_plan(trials=20)))


def test_a_random_sampler_taken_up_again_asks_what_it_would_have_asked():
    whole = asked(make_sampler(random_plan(replicates=3)))
    history = History()
    for design, replicate in whole[:7]:
        history.add(Told(design.to_params(), replicate, "RUNNING", None, {}))
    assert asked(make_sampler(random_plan(replicates=3)), history) == whole[7:]


def test_replicates_of_the_random_sampler_come_in_runs_and_count_as_trials():
    proposals = asked(
        make_sampler(random_plan(methods=[{"name": "darts", "alpha_lr": {"log": [1e-4, 1e-2]}}], replicates=3, trials=10))
    )
    assert [replicate for _, replicate in proposals] == [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]
    for start in (0, 3, 6):
        assert proposals[start][0] == proposals[start + 1][0] == proposals[start + 2][0]
    assert len({str(design.to_params()) for design, _ in proposals}) == 4


def test_random_draws_stay_within_their_ranges_and_the_fitting_pairs():
    found = random_plan(trials=120)
    designs = [design for design, _ in asked(make_sampler(found))]
    assert {(design.to_params()["budget"], design.channels) for design in designs} == {
        ("params<=1388", 2),
        ("params<=2253", 2),
        ("params<=2253", 4),
    }
    assert {design.method for design in designs} == {"darts", "random"}
    open_settings = [design.settings for design in designs if design.method == "darts"]
    assert all(1e-4 <= s["alpha_lr"] <= 1e-2 and 0 <= s["weight_decay"] <= 1 for s in open_settings)
    assert {s["batch"] for s in open_settings} == {8, 9, 10, 11, 12}
    assert 0.3 < sum(s["alpha_lr"] < 1e-3 for s in open_settings) / len(open_settings) < 0.7, "log-uniform"
    assert all(not design.settings for design in designs if design.method == "random")


def test_every_proposal_is_stored_and_read_back_whole():
    for sampler in (make_sampler(random_plan()), make_sampler(plan(methods=OPEN, budgets=BUDGETS))):
        for design, _ in asked(sampler):
            assert Design.from_params(design.to_params()) == design


def test_more_replicates_for_a_random_study_repeat_no_trial():
    darts = [{"name": "darts", "alpha_lr": {"log": [1e-4, 1e-2]}}]
    history = History()
    first = asked(make_sampler(random_plan(methods=darts, replicates=2, trials=4)), history)
    added = asked(make_sampler(random_plan(methods=darts, replicates=3, trials=9)), history)
    assert len({(str(design.to_params()), replicate) for design, replicate in first + added}) == 9
    assert [replicate for _, replicate in first + added] == [0, 1, 0, 1, 2, 0, 1, 2, 0]
