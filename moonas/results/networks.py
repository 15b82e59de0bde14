"""Measured networks, as the database has them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from moonas.architecture import Architecture
from moonas.outer.archive import standard_error
from moonas.outer.candidates import stored_costs
from moonas.outer.identity import measured_key, measurement_of
from moonas.outer.plan import Design
from moonas.outer.pruning import networks_given_up
from moonas.skeleton import Skeleton
from moonas.specs import Bounds, Device
from moonas.store.records import CandidateRecord, EvaluationKey, EvaluationRecord, Place, Records
from moonas.study.metrics import METRICS, spread_name
from moonas.worker.out_of_memory import HALVED

if TYPE_CHECKING:
    from moonas.results.study import Study


MOST_KEYS = 1000  # that are looked up at once: what is read of an archive takes far more memory than what is made of it


@dataclass(frozen=True)
class Measured:
    """A metric of a network.

    protocol: how it was obtained; None for what is known without running anything.
    replicates, error: of an accuracy, how many values it is the mean of, and its standard error. halved: how many of these come
    from a training that took half the batch after memory ran out.
    device, spread: of a measured metric, what it was measured on, and the interquartile range of its single readings.
    """

    value: float
    protocol: str | None = None
    replicates: int | None = None
    error: float | None = None
    device: Device | None = None
    spread: float | None = None
    halved: int = 0

    def to_json(self) -> dict[str, Any]:
        if self.protocol is None:
            return {"value": self.value}
        if self.device is None:
            halved = {"halved": self.halved} if self.halved else {}
            found = {"value": self.value, "protocol": self.protocol, "replicates": self.replicates, "standard_error": self.error}
            return found | halved
        return {"value": self.value, "protocol": self.protocol, "interquartile_range": self.spread, "device": dict(self.device)}


@dataclass(frozen=True)
class Network:
    """One measured network: an architecture at one final skeleton.

    trial, method, budget, origin: of the first trial that decoded it; budget None where it had none.
    on_front: a member of the present front. settings: those of its training that the study varies; recipe: identity of the protocol
    with them, empty where nothing varies. runs: the values of its metrics in each replicate that measured it, where `metrics` has
    their means.
    """

    key: str
    architecture: Architecture
    skeleton: Skeleton
    trial: int
    method: str
    budget: Bounds | None
    origin: str
    on_front: bool
    metrics: Mapping[str, Measured]
    settings: Mapping[str, Any] = field(default_factory=dict)
    recipe: str = ""
    runs: Mapping[int, Mapping[str, float]] = field(default_factory=dict)

    @property
    def values(self) -> dict[str, float]:
        """Its metrics as plain numbers."""
        return {name: measured.value for name, measured in self.metrics.items()}

    @property
    def place(self) -> Place:
        return Place(self.key, self.skeleton.key, self.recipe)

    @property
    def evaluations(self) -> int:
        """How many evaluations its means are taken over."""
        return max(measured.replicates or 0 for measured in self.metrics.values())

    def to_json(self) -> dict[str, Any]:
        """`genotype` is what `Architecture.from_json` reads, `skeleton` the keyword arguments of `Skeleton`."""
        return {
            "key": self.key,
            "genotype": self.architecture.to_json(),
            "skeleton": self.skeleton.to_json(),
            "trial": self.trial,
            "method": self.method,
            "budget": self.budget and {metric: dict(bound) for metric, bound in self.budget.items()},
            "origin": self.origin,
            **({"settings": dict(self.settings)} if self.settings else {}),
            "metrics": {name: measured.to_json() for name, measured in self.metrics.items()},
        }

    def to_row(self) -> dict[str, Any]:
        """One row of a table."""
        return {
            "key": self.key,
            "trial": self.trial,
            "method": self.method,
            "budget": self.budget,
            "channels": self.skeleton.channels,
            "cells": self.skeleton.cells,
            "on_front": self.on_front,
            **self.settings,
            **{name: measured.value for name, measured in self.metrics.items()},
        }


def read_archive(study: Study, keys: Collection[str] | None = None) -> Records[Network]:
    """Every network measured by the study's protocol, the cheapest first; of all architectures, or of those with these keys."""
    if keys is None or len(keys) > MOST_KEYS:
        every = sorted({one.architecture for one in study.store.decoded(study.record.id)} if keys is None else keys)
        parts = [read_archive(study, every[first : first + MOST_KEYS]) for first in range(0, len(every), MOST_KEYS)]
        return _cheapest_first(study, chain.from_iterable(parts))
    present = {member.place for member in study.store.front(study.record.id)}
    candidates = sorted(study.store.candidates(study.record.id, architectures=keys), key=lambda c: (c.trial, c.id))
    trials = {trial.id: trial for trial in study.store.trials(study.record.id, architectures=keys)}
    designs = {id: Design.from_params(trial.params) for id, trial in trials.items()}
    recipes = {id: study.plan.recipe(design) for id, design in designs.items()}
    first: dict[Place, CandidateRecord] = {}
    for candidate in candidates:
        first.setdefault(Place(candidate.architecture, candidate.skeleton, recipes[candidate.trial_id]), candidate)
    known = {evaluation.key: evaluation for evaluation in study.store.evaluations(study.record.id, architectures=keys)}
    found: dict[Place, dict[EvaluationKey, EvaluationRecord]] = {}
    measured: dict[Place, dict[str, Measured]] = {}
    device = study.store.device(study.record.id)
    given_up = networks_given_up(study.store, study.record.id, study.plan)
    for candidate in candidates:
        key = measurement_of(study.plan, candidate, trials[candidate.trial_id], designs[candidate.trial_id])
        place = Place(candidate.architecture, candidate.skeleton, recipes[candidate.trial_id])
        if study.plan.measured:
            on_device = known.get(measured_key(study.plan, *place[:2], device)) if device else None
            if on_device is None:
                continue
            measured[place] = _on_device(on_device, study.plan.measured)
        if key in known and place not in given_up:
            found.setdefault(place, {})[key] = known[key]
    costs = {place: stored_costs(study.plan, candidate) for place, candidate in first.items()}
    networks = [
        Network(
            key=candidate.architecture,
            architecture=Architecture.from_json(candidate.genotype),
            skeleton=Skeleton.from_json(candidate.skeleton_json),
            trial=candidate.trial,
            method=trials[candidate.trial_id].params["method"],
            budget=candidate.budget,
            settings=designs[candidate.trial_id].settings if place.recipe else {},
            recipe=place.recipe,
            origin=candidate.origin,
            on_front=place in present,
            metrics={
                **_accuracies([evaluation for _, evaluation in sorted(found[place].items())]),
                **measured.get(place, {}),
                **{name: Measured(value) for name, value in costs[place].items()},
            },
            runs={
                replicate: {name: measured.value for name, measured in (_accuracies(evaluations) | measured.get(place, {})).items()}
                | costs[place]
                for replicate, evaluations in _by_replicate(found[place]).items()
            },
        )
        for place, candidate in first.items()
        if place in found
    ]
    return _cheapest_first(study, networks)


def _cheapest_first(study: Study, found: Iterable[Network]) -> Records[Network]:
    networks = list(found)
    further = [objective.metric for objective in study.config.objectives[1:]]
    rising = list(dict.fromkeys(name for name in ("params", *further) if networks and name in networks[0].metrics))

    def order(network: Network) -> tuple[Any, ...]:
        return *(network.metrics[name].value for name in rising), *network.place

    return Records(sorted(networks, key=order))


def _accuracies(evaluations: Sequence[EvaluationRecord]) -> dict[str, Measured]:
    metrics, halved = {}, sum(HALVED in evaluation.device for evaluation in evaluations)
    for name in sorted(set(evaluations[0].metrics) & set(METRICS)):
        values = [evaluation.metrics[name] for evaluation in evaluations]
        metrics[name] = Measured(
            float(np.mean(values)), evaluations[0].protocol, len(values), standard_error(values), halved=halved
        )
    return metrics


def _by_replicate(found: Mapping[EvaluationKey, EvaluationRecord]) -> dict[int, list[EvaluationRecord]]:
    groups: dict[int, list[EvaluationRecord]] = {}
    for key, evaluation in sorted(found.items()):
        groups.setdefault(key.replicate, []).append(evaluation)
    return groups


def _on_device(measurement: EvaluationRecord, names: Sequence[str]) -> dict[str, Measured]:
    found = measurement.metrics
    return {
        name: Measured(found[name], measurement.protocol, device=measurement.device, spread=found.get(spread_name(name)))
        for name in names
    }
