"""What a study would do, before it does it: trials, searches, what each budget reaches, time and memory."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any

import numpy as np

from moonas import api
from moonas.architecture import Architecture
from moonas.outer.past import history_of
from moonas.outer.plan import Plan
from moonas.outer.promotion import epochs_text, trainings
from moonas.outer.samplers.sampler import Proposal, Told, make_sampler
from moonas.outer.single import run_one
from moonas.spaces.sampling import FeasibleSet
from moonas.specs import Bounds
from moonas.study.budgets import budget_text
from moonas.study.samplers import SAMPLERS
from moonas.worker.devices import slot_devices
from moonas.worker.local import LocalPool

FIRST = 32  # draws that are asked of a sampler that does not end by itself


def preview(question: str | Path | Mapping[str, Any], *, measure: bool = True) -> dict[str, Any]:
    """Trials, distinct searches and evaluations of a study; per budget and size the reachable costs and how many architectures.

    A sampler that learns asks later trials by what it is told: of one that does not end by itself only the first `FIRST` draws are
    asked (`asked` says how many trials that are), and the numbers of searches and evaluations are scaled from them.
    measure: also estimate seconds and memory, from a few measured steps of every kind of task, each in a worker process; of what is
    looked up in a table nothing is measured, nor of functions.
    Raises StudyFileError; TaskError where a measured step fails.
    """
    plan = api.validate(question)
    proposals, total = _proposals(plan)
    searching = [proposal for proposal in proposals if not _named(plan, proposal)]
    keys = [plan.search_spec(p.design, p.replicate).key for p in searching]
    searches = dict(zip(keys, searching, strict=True))
    growth = _distinct(keys, round(len(keys) * total / len(proposals))) / max(1, len(searches))
    found = {
        "name": plan.config.name,
        "sampler": plan.config.sampler.name,
        "trials": total,
        "asked": len(proposals),
        "searches": round(growth * sum(plan.config.method(p.design.method).entry.searches for p in searches.values())),
        "evaluations": sum(_evaluations(plan, total)),
        "rungs": [
            {"epochs": epochs, "evaluations": number}
            for epochs, number in zip(_epochs(plan), _evaluations(plan, total), strict=True)
        ],
        "spans": plan.spans,
        "budgets": [_reach(plan, budget, size) for budget, size in plan.pairs if plan.space.groups]
        + [
            {"budget": budget_text(budget), "channels": size[0], "cells": size[1], "left_out": reason}
            for budget, size, reason in plan.left_out
        ],
    }
    if measure and not plan.instant and plan.space.groups:
        found["estimate"] = _estimate(plan, proposals, list(searches.values()), total, growth)
    return found


def _proposals(plan: Plan) -> tuple[list[Proposal], int]:
    """The trials that would be asked, none having been told, or the first of them; and how many there would be."""
    sampler, history = make_sampler(plan), history_of(plan)
    proposals: list[Proposal] = []
    most = inf if SAMPLERS[plan.config.sampler.name].finite else FIRST * plan.config.replicates
    while len(proposals) < most and (proposal := sampler.ask(history)) is not None:
        proposals.append(proposal)
        history.add(Told(proposal.design.to_params(), proposal.replicate, "RUNNING", None, proposal.attributes))
    return proposals, max(sampler.total, len(proposals))


def _evaluations(plan: Plan, trials: int) -> list[int]:
    """About how many evaluations so many trials need at each rung, and by the protocol itself, extra architectures included."""
    promotion = plan.config.promotion
    *below, top = trainings(trials, promotion.factor, len(plan.rungs)) if promotion else [trials]
    return [*below, top * (1 + plan.config.decode.extra)]


def _epochs(plan: Plan) -> list[int | None]:
    """Those of each of these evaluations, where promotion tells them apart."""
    return [*plan.rungs, plan.config.protocol.settings.epochs] if plan.rungs else [None]


def _distinct(keys: Sequence[str], total: int) -> int:
    """How many different keys `total` like these may have: new ones go on coming as often as in their second half."""
    half = len(keys) // 2
    known, early = len(set(keys)), len(set(keys[:half]))
    return known + round((known - early) / max(1, len(keys) - half) * (total - len(keys)))


def _reach(plan: Plan, budget: Bounds, size: tuple[int, int]) -> dict[str, Any]:
    bounds = plan.bounds(budget)
    return {
        "budget": budget_text(budget),
        "channels": size[0],
        "cells": size[1],
        "left_out": None,
        "architectures": FeasibleSet(plan.space, plan.table(size), bounds).count,
        **{metric: plan.decoders[size].reachable_within(metric, bounds) for metric in plan.spans},
    }


def _estimate(plan: Plan, proposals: list[Proposal], searches: list[Proposal], trials: int, searches_each: float) -> dict[str, Any]:
    """Seconds of all tasks together, by timing each kind once and scaling with its number.

    trials: how many there will be. searches_each: how many searches each of those given stands for.

    Searches and evaluations are shared among the slots, measurements are not. Evaluations and measurements are timed on a random
    architecture within the budget, at each size.
    """
    extra, numbers = plan.config.decode.extra, _evaluations(plan, trials)
    networks = trials + extra * numbers[-1] // (1 + extra)
    devices = slot_devices(plan.config.workers)
    pool = LocalPool(devices[:1], plan.config.workers.threads_per_task)
    parts: dict[str, float] = {}
    alone: dict[str, float] = {}
    memory = 0.0
    try:
        for method in plan.config.methods:
            same = [p for p in searches if p.design.method == method.label]
            if same and method.entry.searches:
                spec = plan.search_spec(same[0].design, same[0].replicate)
                measured = _time(pool, spec.to_json())
                number = round(len(same) * searches_each)
                parts[f"{number} {'search' if number == 1 else 'searches'} by {method.label}"] = measured["seconds"] * number
                memory = max(memory, measured["memory_mib"])
        for size in plan.sizes:
            same = [p for p in proposals if (p.design.channels, p.design.cells) == size]
            if not same:
                continue
            share, where = len(same) / len(proposals), f"at {size[0]} channels, {size[1]} cells"
            proposal, architecture = same[len(same) // 2], _an_architecture(plan, same[len(same) // 2])
            for rung, epochs in enumerate(() if plan.inherits or plan.looks_up else _epochs(plan)):
                protocol = plan.protocol(proposal.design, rung)
                evaluation = plan.evaluate_spec(architecture, plan.final_skeleton(size), proposal.replicate, protocol)
                measured, expected = _time(pool, evaluation.to_json()), share * numbers[rung]
                length = f" of {epochs_text(epochs)}" if epochs else ""
                parts[f"{expected:.0f} evaluations{length} {where}"] = measured["seconds"] * expected
                memory = max(memory, measured["memory_mib"])
            if plan.measured:
                expected, began = share * networks, time.monotonic()
                run_one(pool, plan.measure_spec(architecture, plan.final_skeleton(size), None).to_json(), lambda progress: None)
                alone[f"{expected:.0f} measurements {where}, one at a time"] = (time.monotonic() - began) * expected
    finally:
        pool.close()
    return {
        "slots": len(devices),
        "device": devices[0],
        "device_seconds": sum(parts.values()) + sum(alone.values()),
        "seconds": sum(parts.values()) / len(devices) + sum(alone.values()),
        "memory_mib": memory,
        "parts": parts | alone,
    }


def _named(plan: Plan, proposal: Proposal) -> bool:
    return plan.config.method(proposal.design.method).named


def _an_architecture(plan: Plan, proposal: Proposal) -> Architecture:
    design = proposal.design
    if _named(plan, proposal):
        return plan.architecture(design)
    feasible = FeasibleSet(plan.space, plan.table((design.channels, design.cells)), plan.bounds(design.budget))
    return feasible.sample(np.random.default_rng(0))


def _time(pool: LocalPool, spec: Mapping[str, Any]) -> dict[str, float]:
    return run_one(pool, {"kind": "time", "of": dict(spec)}, lambda progress: None)
