"""Trials that the user chose, as samplers see them: draws of their own, told like any other."""

from collections.abc import Mapping
from typing import Any

import pytest

from moonas.outer.plan import Design, Plan
from moonas.outer.samplers.sampler import ENQUEUED, History, Proposal, Told, make_sampler
from tests.outer.studies import plan

OPEN = {"name": "darts", "alpha_lr": {"log": [1e-4, 1e-2]}}
BUDGETS = {"params": ["40%", "60%", "80%", "none"]}


def question(sampler: Any, **changed: Any) -> Plan:
    return plan(**{"methods": ["random", OPEN], "budgets": BUDGETS, "sampler": sampler, "trials": 20, "replicates": 1, **changed})


def add(history: History, design: Design, replicate: int, attributes: Mapping[str, Any], values: list[float]) -> None:
    history.add(Told(design.to_params(), replicate, "COMPLETE", values, attributes))


def asked(history: History, proposal: Proposal | None, values: list[float]) -> Proposal:
    assert proposal is not None
    add(history, proposal.design, proposal.replicate, proposal.attributes, values)
    return proposal


def chosen(study: Plan, budget: int, width: int = 4) -> Design:
    return Design("random", study.budgets[budget], width, 3, {})


def test_an_enqueued_draw_helps_to_fill_the_latest_generation_of_optunas_nsga2() -> None:
    study = question({"name": "nsga2", "population_size": 2})
    sampler, history = make_sampler(study), History()
    first = asked(history, sampler.ask(history), [-0.5, 3000.0])
    add(history, chosen(study, 1), 0, {ENQUEUED: True}, [-0.9, 2000.0])
    second = asked(history, sampler.ask(history), [-0.6, 2500.0])
    generations = [next(iter(proposal.attributes["trial"].values())) for proposal in (first, second)]
    assert generations == [0, 1]
    again, resumed = make_sampler(study), History()
    for trial in history.trials[:2]:
        resumed.add(trial)
    assert again.ask(resumed) == second


def test_a_generation_of_pymoos_may_consist_of_enqueued_draws_without_the_settings_of_other_methods() -> None:
    pytest.importorskip("pymoo")
    study = question({"name": "pymoo:nsga2", "population_size": 4})
    sampler, history = make_sampler(study), History()
    for place in range(4):
        add(history, chosen(study, place), 0, {ENQUEUED: True}, [-0.5 - place / 10, 1000.0 + 500 * place])
    offspring = [asked(history, sampler.ask(history), [-0.7, 2000.0]) for _ in range(4)]
    assert {proposal.attributes["generation"] for proposal in offspring} == {1}
    assert asked(history, sampler.ask(history), [-0.7, 2000.0]).attributes["generation"] == 2


def test_an_enqueued_trial_takes_the_place_of_one_draw_of_pymoos_generation() -> None:
    pytest.importorskip("pymoo")
    study = question({"name": "pymoo:nsga2", "population_size": 4})
    undisturbed, history = History(), History()
    for _ in range(4):
        asked(undisturbed, make_sampler(study).ask(undisturbed), [-0.5, 2000.0])
    sampler = make_sampler(study)
    asked(history, sampler.ask(history), [-0.5, 2000.0])
    add(history, chosen(study, 0), 0, {ENQUEUED: True}, [-0.9, 2000.0])
    later = [asked(history, sampler.ask(history), [-0.5, 2000.0]) for _ in range(2)]
    assert [dict(p.design.to_params()) for p in later] == [trial.params for trial in undisturbed.trials[2:4]]


def test_replicates_that_an_enqueued_trial_comes_between_are_still_one_draw() -> None:
    study = question("random", replicates=3)
    sampler, history = make_sampler(study), History()
    one = asked(history, sampler.ask(history), [-0.5, 2000.0])
    add(history, chosen(study, 0), 0, {ENQUEUED: True}, [-0.9, 1000.0])
    two = asked(history, sampler.ask(history), [-0.7, 2000.0])
    three = asked(history, sampler.ask(history), [-0.6, 2000.0])
    assert [(p.design, p.replicate) for p in (two, three)] == [(one.design, 1), (one.design, 2)]
    assert history.drawn == 2
    assert history.draw(0).values == (pytest.approx(-0.6), 2000.0)
    assert history.draw(1).values == (-0.9, 1000.0)


def test_a_grid_goes_on_to_its_end_beside_what_is_not_on_it_and_counts_it_among_trials_where_these_are_given() -> None:
    on_grid = question("grid", trials=None, methods=["random"])
    off = Design("random", {"params": {"upper": 2222}}, 4, 3, {})
    for limit, expected in ((None, 9), (5, 5)):
        study = question("grid", trials=limit, methods=["random"])
        sampler, history = make_sampler(study), History()
        add(history, off, 0, {ENQUEUED: True}, [-0.5, 2000.0])
        while (proposal := sampler.ask(history)) is not None:
            asked(history, proposal, [-0.5, 2000.0])
        assert len(history.trials) == expected
    assert len(on_grid.pairs) == 8
