"""Optuna's samplers and pymoo's algorithms: repeatable, resumed exactly, within the constraints, and better than chance."""

import json
import subprocess
import sys
from importlib.util import find_spec
from statistics import fmean

import numpy as np
import pytest

from moonas.errors import StudyFileError, UsageError
from moonas.outer.plan import Plan
from moonas.outer.samplers.sampler import History, Told, make_sampler
from moonas.preview import preview
from moonas.seeds import stream
from moonas.store.store import Store
from moonas.study.loading import study_from
from tests.outer.fakes import Crash, FakePool, drive, small_study
from tests.outer.studies import plan
from tests.outer.test_direct import DIRECT

OPTUNA = ["random", "tpe", "nsga2", "nsga3", "qmc"]
PYMOO = ["pymoo:nsga2", "pymoo:unsga3", "pymoo:smsemoa", "pymoo:rvea", "pymoo:spea2"]
if find_spec("numba"):
    PYMOO.append("pymoo:agemoea2")
DARTS = {
    "name": "darts",
    "alpha_lr": {"log": [1e-4, 1e-2]},
    "batch": {"int": [8, 12]},
    "weight_decay": {"uniform": [0, 1]},
    "epochs": [1, 2, 4],
}
MIXED = {"methods": ["direct", DARTS, "random"], "budgets": {"params": ["30%", "60%"]}, "constraints": ["params<=2M", "macs<=90k"]}


def named(name, **settings):
    """A sampler as a study file gives it, with small populations and few random trials, so that it soon learns."""
    if name in ("random", "qmc"):
        return name
    return {"name": name, **({"n_startup_trials": 6} if name in ("tpe", "gp") else {"population_size": 8}), **settings}


def told(question, design, replicate):
    """What a trial finds: a number drawn from the design, and its costs; some fail, some miss the constraints, some are pruned."""
    rng = np.random.default_rng(stream(design.to_params(), replicate))
    luck, accuracy = rng.random(2)
    params = question.known_costs(design)["params"] if design.choices else 400 * design.channels
    violation = float(luck > 0.7)
    if luck < 0.1:
        return "FAIL", None, None
    if luck < 0.2:
        return "PRUNED", None, 0.5
    return "COMPLETE", [-accuracy, params], violation


def lead(question, trials, *, history=None, slots=1, fresh=False, finds=told):
    """Ask for trials with up to `slots` running until there are `trials`; returns the history.

    fresh: every ask is answered by a sampler made for it alone, from what a database would give back.
    """
    history, sampler = history or History(), make_sampler(question)
    running = [number for number, trial in enumerate(history.trials) if trial.state == "RUNNING"]

    def finish():
        number = running.pop(stream(len(history.trials), len(running)) % len(running))
        trial = history.trials[number]
        design = history.draw(history._draw_of[number]).design
        state, values, violation = finds(question, design, trial.replicate)
        history.tell(number, Told(trial.params, trial.replicate, state, values, trial.attributes, violation))

    while len(history.trials) < trials:
        if fresh:
            sampler, history = make_sampler(question), stored(history)
        proposal = sampler.ask(history) if len(running) < slots else None
        if proposal is None:
            finish()
            continue
        running.append(len(history.trials))
        history.add(Told(proposal.design.to_params(), proposal.replicate, "RUNNING", None, proposal.attributes))
    while running:
        finish()
    return history


def stored(history):
    """The same history, as a database gives it back."""
    again = History()
    for trial in history.trials:
        parts = json.loads(
            json.dumps([trial.params, trial.replicate, trial.state, trial.values, trial.attributes, trial.violation])
        )
        again.add(Told(*parts))
    return again


def asked(history):
    return [(trial.params, trial.replicate, trial.attributes) for trial in history.trials]


@pytest.mark.parametrize("name", OPTUNA + PYMOO)
def test_a_sampler_made_for_each_ask_asks_what_one_kept_in_memory_does(name):
    question = plan(**MIXED, sampler=named(name), replicates=2, trials=64)
    kept, fresh = (lead(question, 64, slots=3, fresh=fresh) for fresh in (False, True))
    assert asked(kept) == asked(fresh)
    assert {trial.state for trial in kept.trials} == {"COMPLETE", "FAIL", "PRUNED"}
    assert len({trial.params["method"] for trial in kept.trials}) == 3
    other = lead(plan(**MIXED, sampler=named(name), replicates=2, trials=64, seed=1), 6)
    assert asked(other) != asked(kept)[:6]


@pytest.mark.parametrize("name", [name for name in OPTUNA + PYMOO if name != "pymoo:rvea"])
def test_more_trials_go_on_as_if_they_had_been_asked_for_at_once(name):
    short, whole = (plan(**MIXED, sampler=named(name), trials=trials) for trials in (20, 30))
    history = lead(short, 20)
    assert make_sampler(short).ask(history) is None
    assert asked(lead(whole, 30, history=history)) == asked(lead(whole, 30))


def test_rvea_which_reckons_with_the_number_of_trials_goes_on_from_what_was_really_tried():
    short, whole = (plan(**MIXED, sampler=named("pymoo:rvea"), trials=trials) for trials in (20, 30))
    history = lead(short, 20)
    before = asked(history)
    kept = lead(whole, 30, history=stored(history))
    assert asked(kept) == asked(lead(whole, 30, history=stored(history), fresh=True))
    assert asked(kept)[:20] == before


@pytest.mark.parametrize("name", OPTUNA + PYMOO)
def test_what_is_known_to_miss_a_constraint_is_not_asked_for(name):
    question = Plan(study_from({**DIRECT, "constraints": ["params<=250k"], "sampler": named(name), "trials": 40}))
    history = lead(question, 40)
    costs = [question.known_costs(history.draw(number).design)["params"] for number in range(40)]
    assert max(costs) <= 250_000
    assert len(set(costs)) > 3


def hits(design):
    """The share of a cell's edges that have the operation planted there: 1 for one cell of 15,625."""
    planted = ["nor_conv_3x3", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3", "none"]
    return fmean(choice == wanted for choice, wanted in zip(design.choices.values(), planted, strict=True))


def found_late(name, finds, trials=160):
    """The mean of `hits` over the last quarter of a study's draws."""
    question = Plan(study_from({**DIRECT, "constraints": ["accuracy>=0.5"], "sampler": named(name), "trials": trials}))
    history = lead(question, trials, finds=finds)
    return fmean(hits(history.draw(number).design) for number in range(3 * trials // 4, trials))


@pytest.mark.parametrize("name", [name for name in OPTUNA + PYMOO if name not in ("random", "qmc")])
def test_a_learning_sampler_comes_nearer_to_a_planted_optimum_than_chance(name):
    def finds(question, design, replicate):
        return "COMPLETE", [-hits(design), 1e6 * (1.1 - hits(design))], 0.0

    assert found_late(name, finds) > 0.4, "a random cell has 0.2 on average, with a standard error of 0.03 over 40 cells"


@pytest.mark.parametrize("name", ["tpe", "nsga2", "pymoo:nsga2"])
def test_a_violation_that_is_only_told_afterwards_leads_to_what_meets_the_constraints(name):
    def finds(question, design, replicate):
        return "COMPLETE", [-0.5, 1e6], 1 - hits(design)

    assert found_late(name, finds) > 0.4


def test_a_chance_sampler_does_not_come_nearer():
    assert found_late("random", lambda question, design, replicate: ("COMPLETE", [-hits(design), 1e6], 0.0)) < 0.3


def test_a_generation_is_closed_when_all_of_it_is_finished_whoever_finishes_first():
    question = plan(**MIXED, sampler=named("pymoo:nsga2"), trials=40)
    history, sampler = History(), make_sampler(question)
    for _ in range(8):
        proposal = sampler.ask(history)
        history.add(Told(proposal.design.to_params(), 0, "RUNNING", None, proposal.attributes))
    assert [trial.attributes["generation"] for trial in history.trials] == [0] * 8
    assert sampler.ask(history) is None, "all of the first generation still run"
    assert asked(lead(question, 40, slots=8)) == asked(lead(question, 40, slots=1))


@pytest.mark.parametrize(("name", "slots"), [("nsga2", 1), ("tpe", 1), ("pymoo:nsga2", 3)])
def test_a_study_killed_again_and_again_asks_the_same_trials(name, slots, tmp_path):
    raw = small_study(methods=["direct", "random"], sampler=named(name), trials=24, replicates=1, constraints=["macs<=1M"])
    found = []
    for place, crashes in (("whole.db", []), ("killed.db", [5, 9, 17, 4])):
        with Store.open(f"sqlite:///{tmp_path}/{place}", create=True) as store:
            for crash_after in crashes:
                with pytest.raises(Crash):
                    drive(store, raw, FakePool(slots, crash_after))
            drive(store, raw, FakePool(slots))
            study = store.study("small")
            trials = [(trial.number, trial.params, trial.state, trial.values) for trial in store.trials(study.id)]
            found.append((trials, [(member.architecture, member.values) for member in store.front(study.id)]))
    assert found[0] == found[1]
    assert len(found[0][0]) == 24


def test_gp_asks_in_a_process_of_its_own_what_it_would_have_asked():
    question = plan(**MIXED, sampler=named("gp", n_startup_trials=3), trials=6)
    kept = lead(question, 6)
    again = lead(question, 6, history=stored_until(kept, 5))
    assert asked(kept) == asked(again)
    assert "torch" not in loaded("gp", 2)


def stored_until(history, number):
    again = History()
    for trial in stored(history).trials[:number]:
        again.add(trial)
    return again


def loaded(name, trials):
    """The heavy packages that a process loads which asks for some trials."""
    code = (
        "import sys\n"
        "from tests.outer.test_learning_samplers import MIXED, lead, named, plan\n"
        f"loaded = set(sys.modules)\nlead(plan(**MIXED, sampler=named({name!r}), trials={trials}), {trials})\n"
        "print(*({'optuna', 'pymoo', 'torch'} & (set(sys.modules) - loaded)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_a_study_loads_only_the_package_of_its_own_sampler():
    assert loaded("pymoo:nsga2", 10) == {"pymoo"}
    assert loaded("tpe", 10) == {"optuna"}


def test_a_sampler_that_needs_more_objectives_or_a_package_says_so(monkeypatch):
    with pytest.raises(StudyFileError, match="pymoo:rvea needs at least 2 objectives"):
        plan(sampler="pymoo:rvea", trials=9, objectives=["accuracy"])
    with pytest.raises(StudyFileError, match="did you mean 'pymoo:nsga2'"):
        plan(sampler="pymoo:nsga", trials=9)
    monkeypatch.setattr("moonas.outer.samplers.sampler.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'moonas\[numba\]'"):
        make_sampler(plan(sampler="pymoo:agemoea2", trials=9))


@pytest.mark.parametrize("name", OPTUNA + PYMOO)
def test_a_study_that_leaves_nothing_open_can_be_asked_for_all_the_same(name):
    history = lead(plan(methods=["random"], final={"channels": 2, "cells": 3}, sampler=named(name), trials=18), 18)
    assert {trial.params["method"] for trial in history.trials} == {"random"}


@pytest.mark.parametrize("name", ["nsga2", "nsga3", "tpe", "pymoo:nsga2", "pymoo:unsga3", "pymoo:spea2"])
def test_one_objective_will_do(name):
    question = plan(**{**MIXED, "objectives": ["accuracy"]}, sampler=named(name), trials=30)

    def finds(question, design, replicate):
        state, values, violation = told(question, design, replicate)
        return state, values and values[:1], violation

    assert len(lead(question, 30, finds=finds).trials) == 30


def test_plan_asks_the_first_trials_of_a_sampler_that_learns():
    found = preview({**DIRECT, "sampler": "nsga2", "trials": 5000}, measure=False)
    assert (found["trials"], found["asked"], found["searches"], found["evaluations"]) == (5000, 32, 0, 5000)
    searched = {
        **DIRECT,
        "methods": ["darts"],
        "sampler": "random",
        "trials": 100,
        "replicates": 2,
        "budgets": {"params": ["20%", "none"]},
    }
    found = preview(searched, measure=False)
    assert (found["trials"], found["asked"], found["searches"]) == (100, 64, 2), "one search a replicate serves every budget"
