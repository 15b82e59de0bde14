"""What every search method keeps to, on every space and with every handler that its entry names; new entries are covered too.

Each search runs once, uninterrupted, as its study plans it; the tests look at its states between two epochs and at its result.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from moonas.data.dataset import Data, load_data
from moonas.inner.methods.random import Random
from moonas.inner.search import Search
from moonas.networks.network import build
from moonas.outer.candidates import decode_trial, shortlist
from moonas.outer.plan import Design, Plan
from moonas.spaces.costs import cost
from moonas.spaces.mixture import mixture_from_json
from moonas.specs import SearchSpec
from moonas.study.loading import study_from
from moonas.study.methods import METHODS
from moonas.study.spaces import SPACES
from moonas.worker.checkpoint import pack, unpack

SMALLER: dict[str, dict[str, Any]] = {  # what a space is shortened to; others are taken whole
    "darts-cnn": {"nodes": 2, "operations": ["none", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "dil_conv_3x3"]},
    "tnd-cnn": {"nodes": 1, "normal": ["none", "skip_connect", "sep_conv_3x3", "conv_1x1"], "reduce": ["none", "max_pool_3x3"]},
}
# One epoch of warm-up and one without, in each stage; of these, a method is given the settings that it has
SHORT = {"epochs": 2, "warmup_epochs": 1, "batch": 20, "channel_divisor": 2, "samples": 2, "weight_samples": 2, "deepen": 3}
BUDGETS = {"params": ["15%", "50%", "100%"], "macs": ["60%", "100%"]}
WEIGHTS = {"net", "weight_optimizer"}  # entries of a method's state that its architecture steps leave alone
RUNNING = {"generator", "passes"}  # streams and counters, which go on in every phase

Case = tuple[str, str, str]  # method, space, handler
CASES: list[Case] = [  # a method without `load` runs nothing: what it names is tested with the outer loop
    (name, space, handler) for name, e in METHODS.items() if e.load for space in e.spaces for handler in e.handlers
]
SEARCHING = [case for case in CASES if METHODS[case[0]].searches]
PAIRS = [case for case in SEARCHING if case[2] == METHODS[case[0]].handlers[0]]
LEARNING = [case for case in PAIRS if not METHODS[case[0]].draws]


def settings(method: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Those of `wanted` that the method has."""
    return {field.name: wanted[field.name] for field in fields(METHODS[method].config) if field.name in wanted}


@lru_cache
def plan_of(case: Case) -> Plan:
    method, space, handler = case
    study = {
        "name": "contract",
        "data": {"name": "digits", "images": 100},
        "space": {"name": space, **SMALLER.get(space, {})},
        "search": {"channels": 4, "cells": 3},
        "final": {"channels": 6, "cells": 3},
        "objectives": ["accuracy", "params"],
        "methods": [{"name": method, "handler": handler, **settings(method, SHORT)}],
        "budgets": BUDGETS,
    }
    return Plan(study_from(study), "contract.yaml")


def designs(plan: Plan) -> list[Design]:
    return list(plan.designs({plan.config.methods[0].label: [{}]}))


@dataclass
class Trace:
    """An uninterrupted search: of every epoch its metrics and what the method then believes; states, the first of them new."""

    spec: SearchSpec
    data: Data
    metrics: list[dict[str, float]]
    states: list[bytes]
    beliefs: list[dict[str, Any]]
    result: dict[str, Any]


@lru_cache
def trace_of(case: Case) -> Trace:
    """For the tightest budget, where the search knows it."""
    plan = plan_of(case)
    spec = plan.search_spec(designs(plan)[0], replicate=0)
    search = Search(spec, load_data(spec.data, spec.seed))
    trace = Trace(spec, search.data, [], [pack(search.state_dict())], [], {})
    for epoch in range(search.epochs):
        trace.metrics.append(search.run_epoch(epoch))
        trace.states.append(pack(search.state_dict()))
        method = search.method
        belief = {name: getattr(method, name)() for name in ("probabilities", "scores", "shares", "slot_scores")}
        trace.beliefs.append({**belief, "mixture": search.snapshot()["mixture"]})
    trace.result = search.result()
    return trace


def each(cases: list[Case]) -> Callable:
    return pytest.mark.parametrize("case", cases, ids="/".join)


def leaves(value: Any) -> list[Any]:
    """Tensors and scalars of a nested state, in order."""
    if isinstance(value, Mapping):
        return [leaf for key in sorted(value) for leaf in leaves(value[key])]
    return [leaf for item in value for leaf in leaves(item)] if isinstance(value, list | tuple) else [value]


def same(one: Any, other: Any) -> bool:
    pairs = leaves(one), leaves(other)
    return len(pairs[0]) == len(pairs[1]) and all(
        torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b for a, b in zip(*pairs, strict=True)
    )


def architecture_part(state: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in state.items() if name not in WEIGHTS | RUNNING}


def test_every_space_is_searched_by_random_and_by_a_method_that_learns():
    searched = set(SPACES) - {"none"}  # which holds no network
    assert {space for name, space, _ in CASES if name == "random"} == searched
    assert {space for _, space, _ in LEARNING} == searched


@each(CASES)
def test_decoded_architectures_belong_to_their_space_and_obey_every_budget(case: Case):
    plan = plan_of(case)
    assert len(designs(plan)) == 6
    for design in designs(plan):
        if METHODS[case[0]].searches:
            result = json.loads(json.dumps(trace_of(case).result))  # as the database gives it back
        else:
            proposed = Random(plan.search_spec(design, replicate=0)).propose()
            result = {"scores": None, "architecture": proposed.to_json()}
        skeleton = plan.final_skeleton((6, 3))
        for found in shortlist(plan, design, 0, result)[:3]:
            for candidate in decode_trial(plan, design, result, found):  # what a collapsed search had found before, besides
                plan.space.check(candidate.architecture)
                costs = cost(candidate.architecture, skeleton)
                assert costs == (candidate.params, candidate.macs)
                for metric, bound in design.budget.items():
                    assert getattr(costs, metric) <= bound["upper"]
    with torch.device("meta"):  # of the last one: what the numbers say is what there is
        assert sum(weight.numel() for weight in build(candidate.architecture, skeleton).parameters()) == costs.params


@each(SEARCHING)
def test_a_search_resumed_at_any_epoch_repeats_the_uninterrupted_one_bit_for_bit(case: Case):
    """From each state the next one follows, and from the last but one the result."""
    trace = trace_of(case)
    assert len(trace.metrics) in (2, 6)  # 6: two epochs in each of three stages
    for epoch, expected in enumerate(trace.metrics):
        resumed = Search(trace.spec, trace.data)
        torch.manual_seed(epoch)  # nothing may depend on torch's global generator
        if epoch:
            resumed.load_state_dict(unpack(trace.states[epoch]))
        assert resumed.run_epoch(epoch) == expected
        assert same(unpack(pack(resumed.state_dict())), unpack(trace.states[epoch + 1]))
    assert resumed.result() == trace.result


@each(SEARCHING)
def test_states_pass_through_files_unchanged_and_results_through_json(case: Case):
    trace = trace_of(case)
    search = Search(trace.spec, trace.data)
    search.load_state_dict(unpack(trace.states[-1]))
    assert same(search.state_dict(), unpack(trace.states[-1]))
    assert json.loads(json.dumps(trace.result, allow_nan=False)) == trace.result
    assert not same(unpack(trace.states[-1]), unpack(trace.states[0]))


@each(SEARCHING)
def test_beliefs_have_the_shapes_of_the_space_and_probabilities_add_up_to_one(case: Case):
    space, staged = plan_of(case).space, METHODS[case[0]].staged
    for belief in trace_of(case).beliefs:
        for name, group in space.groups.items():
            probabilities, scores = belief["probabilities"][name], belief["scores"][name]
            assert probabilities.shape == scores.shape == group.shape
            assert not probabilities.requires_grad
            assert not scores.requires_grad
            torch.testing.assert_close(probabilities.sum(dim=1).double(), torch.ones(len(group.edges)).double())
            assert (probabilities >= 0).all()
            dropped = scores == -torch.inf
            assert (scores.isfinite() | dropped).all()
            assert (probabilities[dropped] == 0).all()
            assert staged or not dropped.any()
            assert belief["shares"] is None or belief["shares"][name].shape == group.shape[:1]
            if METHODS[case[0]].draws:
                assert belief["mixture"] is None
                continue
            mixture = mixture_from_json(space, belief["mixture"])[name]
            assert (np.isnan(mixture.operations) == dropped.cpu().numpy()).all()
            assert np.abs(np.nan_to_num(mixture.operations) - probabilities.cpu().numpy()).max() <= 0.0005 + 1e-6
            if (
                mixture.edges is not None and group.kept is not None
            ):  # over the edges into a node: all of it, or as many as are kept
                by_node = [mixture.edges[[node == end for _, end in group.edges]].sum() for node in group.nodes]
                whole = 1 if belief["shares"] is None else group.kept
                np.testing.assert_allclose(by_node, whole, atol=0.0005 * len(group.edges))
        if belief["slot_scores"] is not None:
            assert [len(scores) for scores in belief["slot_scores"]] == [len(slot.options) for slot in space.slots()]


@each(LEARNING)
def test_warm_up_leaves_the_architecture_and_its_optimizer_untouched(case: Case):
    trace = trace_of(case)
    new, warm, moved = (unpack(state)["method"] for state in trace.states[:3])
    assert same(architecture_part(new), architecture_part(warm))
    assert not same(new["net"], warm["net"])
    assert not same(architecture_part(warm), architecture_part(moved))
    assert ["valid_loss" in metrics for metrics in trace.metrics] == [False, True] * (len(trace.metrics) // 2)


@contextmanager
def optimizer_steps(method: Any, seen: list[dict[str, Any]]) -> Iterator[None]:
    """Adds the method's state before and after every optimizer step inside the block, under "before" and "after"."""

    def look(when: str) -> Callable:
        def hook(optimizer: torch.optim.Optimizer, *_: Any) -> None:
            moves = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
            kind = "weights" if moves & {id(weight) for weight in method.net.weights()} else "architecture"
            seen.append({"kind": kind, "when": when, "state": copy.deepcopy(method.state_dict())})

        return hook

    hooks = [register_optimizer_step_pre_hook(look("before")), register_optimizer_step_post_hook(look("after"))]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@each(LEARNING)
def test_architecture_steps_leave_weights_and_statistics_bit_identical_and_weight_steps_the_architecture(case: Case):
    trace = trace_of(case)
    search = Search(trace.spec, trace.data)
    search.load_state_dict(unpack(trace.states[1]))
    search.net.train()
    train, valid = (next(search.data.batches(part, 16, seed=0)) for part in (search.data.train_w, search.data.train_alpha))
    search.method.step(train, valid, epoch=1)  # so that optimizers have a state
    start, seen = copy.deepcopy(search.method.state_dict()), []
    with optimizer_steps(search.method, seen):
        search.method.step(train, valid, epoch=1)
    end = search.method.state_dict()
    assert [(one["kind"], one["when"]) for one in seen] == [
        ("architecture", "before"),
        ("architecture", "after"),
        ("weights", "before"),
        ("weights", "after"),
    ]
    moved, rested = seen[1]["state"], seen[2]["state"]
    for name in WEIGHTS:
        assert same(start[name], moved[name])
        assert not same(start[name], end[name])
    assert not same(architecture_part(start), architecture_part(moved))
    assert same(architecture_part(rested), architecture_part(end))


def test_budgets_matter_in_every_space():
    """Bounds that all led to one architecture would show nothing."""
    kinds: dict[str, int] = {}
    for case in PAIRS:
        plan, result = plan_of(case), trace_of(case).result
        found = {shortlist(plan, design, 0, result)[0].architecture.key for design in designs(plan)}
        kinds[case[1]] = max(len(found), kinds.get(case[1], 0))
    assert all(count > 1 for count in kinds.values()), kinds


@each([case for case in PAIRS if METHODS[case[0]].leaves])
def test_a_search_goes_on_from_what_another_has_left_and_its_resumption_repeats_it(case: Case):
    trace, name = trace_of(case), METHODS[case[0]].leaves
    left = json.loads(json.dumps(trace.result))[name]  # as the database gives it back
    spec = replace(trace.spec, start={"search": trace.spec.key, "parameters": left})
    search = Search(spec, trace.data)
    assert search.method.leaves()[name] == left
    assert same(search.method.state_dict()["net"], unpack(trace.states[0])["method"]["net"])
    search.run_epoch(0)
    state = pack(search.state_dict())
    metrics = search.run_epoch(1)
    resumed = Search(spec, trace.data)
    resumed.load_state_dict(unpack(state))
    assert resumed.run_epoch(1) == metrics
    assert same(resumed.state_dict(), search.state_dict())
    assert not same(unpack(state)["method"], unpack(trace.states[1])["method"])


def test_every_method_that_learns_architectures_can_be_continued_but_those_that_draw_them():
    assert {name for name, entry in METHODS.items() if entry.leaves} == {case[0] for case in LEARNING}
