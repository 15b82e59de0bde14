"""What a study found, read from its database: the front, the archive, trials, and the best under a bound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from moonas.architecture import Architecture
from moonas.errors import UsageError, nearest
from moonas.front import choices
from moonas.front.attainment import attained
from moonas.outer.archive import Archive, standard_error
from moonas.outer.candidates import fell_back, stored_costs
from moonas.outer.identity import measured_key, measurement_of
from moonas.outer.plan import Design, Plan
from moonas.outer.pruning import networks_given_up
from moonas.skeleton import Skeleton
from moonas.specs import Bounds, Device
from moonas.store.lease import has_died
from moonas.store.records import CandidateRecord, EvaluationKey, EvaluationRecord, FrontRecord, Place, Records, TrialRecord
from moonas.store.store import Store
from moonas.study.bounds import Bound, no_worse_than
from moonas.study.loading import study_from
from moonas.study.metrics import METRICS, selectable_metric, spread_name
from moonas.study.objectives import minimised
from moonas.study.relaxation import admissions, missed
from moonas.study.schema import StudyConfig


@dataclass(frozen=True)
class Measured:
    """A metric of a network.

    protocol: how it was obtained; None for what is known without running anything.
    replicates, error: of an accuracy, how many values it is the mean of, and its standard error.
    device, spread: of a measured metric, what it was measured on, and the interquartile range of its single readings.
    """

    value: float
    protocol: str | None = None
    replicates: int | None = None
    error: float | None = None
    device: Device | None = None
    spread: float | None = None

    def to_json(self) -> dict[str, Any]:
        if self.protocol is None:
            return {"value": self.value}
        if self.device is None:
            return {"value": self.value, "protocol": self.protocol, "replicates": self.replicates, "standard_error": self.error}
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


@dataclass(frozen=True)
class Attainment:
    """What the fronts of a study's replicates reach.

    objectives: names of metrics. surfaces: by share, the corners of what at least that share of the replicates attains, each a row
    of values in the order and in the signs of the objectives; 0.5 is the median front.
    """

    objectives: tuple[str, ...]
    replicates: int
    surfaces: Mapping[float, np.ndarray]


class Study:
    """A study in a database, to be read. `config`: its file, resolved."""

    def __init__(self, store: Store, name: str) -> None:
        self.store = store
        self.record = store.study(name)
        self.name, self.state = self.record.name, self.record.state
        self.config: StudyConfig = study_from(self.record.config, f"study {name}")

    @property
    def is_driven(self) -> bool:
        """Whether a living process drives the study, as far as can be told from here."""
        holder = self.record.lease_holder
        return holder is not None and not has_died(holder)

    @property
    def finds_networks(self) -> bool:
        """Whether its points are networks; those of functions are settings alone."""
        return self.config.space.name != "none"

    @cached_property
    def plan(self) -> Plan:
        """What follows from the study's file."""
        return Plan(self.config, f"study {self.name}")

    def front(self, number: int | None = None) -> Records[Network]:
        """The present Pareto front, or front `number` of its history, the cheapest member first. Raises UsageError."""
        if number is not None:
            self.front_step(number)
        members = {member.place for member in self.store.front(self.record.id, number)}
        return Records(network for network in self.archive() if network.place in members)

    def archive(self) -> Records[Network]:
        """Every network measured by the study's protocol, the cheapest first."""
        present = {member.place for member in self.store.front(self.record.id)}
        candidates = sorted(self.store.candidates(self.record.id), key=lambda c: (c.trial, c.id))
        trials = {trial.id: trial for trial in self.trials()}
        designs = {id: Design.from_params(trial.params) for id, trial in trials.items()}
        recipes = {id: self.plan.recipe(design) for id, design in designs.items()}
        first: dict[Place, CandidateRecord] = {}
        for candidate in candidates:
            first.setdefault(Place(candidate.architecture, candidate.skeleton, recipes[candidate.trial_id]), candidate)
        known = {evaluation.key: evaluation for evaluation in self.store.evaluations(self.record.id)}
        found: dict[Place, dict[EvaluationKey, EvaluationRecord]] = {}
        measured: dict[Place, dict[str, Measured]] = {}
        device = self.store.device(self.record.id)
        given_up = networks_given_up(self.store, self.record.id, self.plan)
        for candidate in candidates:
            key = measurement_of(self.plan, candidate, trials[candidate.trial_id])
            place = Place(candidate.architecture, candidate.skeleton, recipes[candidate.trial_id])
            if self.plan.measured:
                on_device = known.get(measured_key(self.plan, *place[:2], device)) if device else None
                if on_device is None:
                    continue
                measured[place] = _on_device(on_device, self.plan.measured)
            if key in known and place not in given_up:
                found.setdefault(place, {})[key] = known[key]
        costs = {place: stored_costs(self.plan, candidate) for place, candidate in first.items()}
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
                    replicate: {
                        name: measured.value for name, measured in (_accuracies(evaluations) | measured.get(place, {})).items()
                    }
                    | costs[place]
                    for replicate, evaluations in _by_replicate(found[place]).items()
                },
            )
            for place, candidate in first.items()
            if place in found
        ]
        further = [objective.metric for objective in self.config.objectives[1:]]
        rising = list(dict.fromkeys(name for name in ("params", *further) if networks and name in networks[0].metrics))

        def order(network: Network) -> tuple[Any, ...]:
            return *(network.metrics[name].value for name in rising), *network.place

        return Records(sorted(networks, key=order))

    def networks_of(self, prefix: str) -> Records[Network]:
        """The measured networks of the one architecture whose key begins with `prefix`, one per width and depth.

        Raises UsageError where no architecture or several match, or where it was never measured.
        """
        key = self.store.architecture_by_prefix(self.record.id, prefix).key
        found = Records(network for network in self.archive() if network.key == key)
        if not found:
            raise UsageError(f"architecture {key} of study {self.name!r} has not been measured")
        return found

    def trials(self) -> Records[TrialRecord]:
        """Every trial, in the order of their numbers."""
        return Records(self.store.trials(self.record.id))

    def collapses(self) -> dict[int, str]:
        """Of each trial whose search collapsed, by its number: in which epoch, and what gave it away."""
        numbers = {trial.id: trial.number for trial in self.trials()}
        found: dict[int, str] = {}
        for task in self.store.tasks(self.record.id, kind="search"):
            collapse = (task.result or {}).get("collapse")
            if collapse:
                text = f"collapsed in epoch {collapse['epoch']}: {collapse['reason']}"
                found |= {numbers[trial_id]: text for trial_id in task.trial_ids}
        return dict(sorted(found.items()))

    def fallbacks(self) -> dict[int, str]:
        """Of each trial that was decoded by an earlier stage of its search, by its number: why."""
        results = {
            trial_id: task.result
            for task in self.store.tasks(self.record.id, kind="search")
            for trial_id in (task.trial_ids if (task.result or {}).get("earlier") else ())
        }
        found: dict[int, str] = {}
        for candidate in self.store.candidates(self.record.id) if results else ():
            if candidate.origin != "primary" or candidate.trial_id not in results:
                continue
            if fell_back(self.plan.space, results[candidate.trial_id] or {}, Architecture.from_json(candidate.genotype)):
                found[candidate.trial] = "decoded by an earlier stage: the operations left at the end cannot meet the budget"
        return dict(sorted(found.items()))

    def front_history(self) -> Records[FrontRecord]:
        """Every change of the front, the oldest first, with its hypervolume."""
        return Records(self.store.front_history(self.record.id))

    def front_step(self, number: int | None = None) -> FrontRecord | None:
        """Front `number` of the history, or the latest; None where there is none yet. Raises UsageError for one that never was."""
        history = self.front_history()
        if number is None:
            return history[-1] if history else None
        for step in history:
            if step.number == number:
                return step
        known = f"it has fronts {history[0].number} to {history[-1].number}" if history else "it has none yet"
        raise UsageError(f"study {self.name!r} has no front {number}; {known}")

    def best(
        self,
        under: Mapping[str, float] | Sequence[Bound] | None = None,
        *,
        knee: bool = False,
        weights: Mapping[str, float] | None = None,
    ) -> Network:
        """One network among those that meet the study's constraints and `under`: the one of the best first objective, or a choice.

        under: limits such as `{"params": 2e6}`, in each metric's worse direction, or bounds. knee: the one that is hardest to
        leave, see `moonas.front.choices.knee`. weights: of objectives, 1 where not named; the compromise that they ask for, see
        `moonas.front.choices.compromise`. Both choose on the front of those networks.
        Raises UsageError where nothing qualifies, naming what would.
        """
        if knee and weights is not None:
            raise UsageError("the knee weighs all objectives alike; ask for it or give weights, not both")
        factors = self._factors(weights or {})
        fitting = self._fitting([*_as_bounds(under), *self.config.constraints])
        points = np.array([minimised(self.config.objectives, network.values) for network in fitting])
        if knee:
            return fitting[choices.knee(points)]
        return fitting[int(points[:, 0].argmin()) if weights is None else choices.compromise(points, factors)]

    def _fitting(self, bounds: Sequence[Bound]) -> list[Network]:
        """The networks that meet all bounds. Raises UsageError where there are none."""
        networks = self.archive()
        if not networks:
            raise UsageError(f"study {self.name!r} has measured nothing yet")
        for bound in bounds:
            if bound.metric not in networks[0].metrics:
                raise UsageError(f"{bound.metric} is not measured in this study; it has: {', '.join(networks[0].metrics)}")
        fitting = [network for network in networks if not missed(bounds, network.values)]
        if not fitting:
            asked = " and ".join(map(str, bounds))
            ends = [_span([network.values[bound.metric] for network in networks], bound.metric) for bound in bounds]
            told = admissions(bounds, [network.values for network in networks], [network.key[:8] for network in networks])
            message = f"no measured network of {self.name!r} meets {asked}; it has {', '.join(dict.fromkeys(ends))}"
            raise UsageError("\n".join([message, *told]))
        return fitting

    def _factors(self, weights: Mapping[str, float]) -> np.ndarray:
        """A weight for each objective. Raises UsageError."""
        names = [objective.metric for objective in self.config.objectives]
        given = {selectable_metric(name): weight for name, weight in weights.items()}
        for name, weight in given.items():
            if name not in names:
                raise UsageError(f"{name} is no objective of this study{nearest(name, names)}\nIt has: {', '.join(names)}.")
            if not weight >= 0:
                raise UsageError(f"the weight of {name} must be at least 0, not {weight:g}")
        factors = np.array([given.get(name, 1.0) for name in names])
        if not factors.any():
            raise UsageError("at least one objective must have a weight above 0")
        return factors

    def attainment(self, shares: Sequence[float] = (0.25, 0.5, 0.75), objectives: Sequence[str] | None = None) -> Attainment:
        """The front that at least each share of the replicates attains, each replicate by what it alone measured.

        shares: above 0, at most 1; the default is a median front with a band around it. Networks that miss a constraint in a
        replicate do not count there. objectives: one to three metrics; the study's own where absent.
        Raises UsageError where there are more than three, where one is not measured, or where nothing is measured yet.
        """
        names = tuple(map(selectable_metric, objectives or [objective.metric for objective in self.config.objectives]))
        if len(names) > 3:
            raise UsageError(f"attainment is known for at most three objectives; name some of {', '.join(names)}")
        networks = self.archive()
        if not networks:
            raise UsageError(f"study {self.name!r} has measured nothing yet")
        if absent := [name for name in names if name not in networks[0].metrics]:
            raise UsageError(f"{absent[0]} is not measured in this study; it has: {', '.join(networks[0].metrics)}")
        if wrong := [share for share in shares if not 0 < share <= 1]:
            raise UsageError(f"a share of the replicates lies above 0 and reaches at most 1, not {wrong[0]:g}")
        signs = np.array([1 if METRICS[name].direction == "minimize" else -1 for name in names])
        fronts = []
        replicates = sorted({replicate for network in networks for replicate in network.runs})
        for replicate in replicates:
            runs = [network.runs[replicate] for network in networks if replicate in network.runs]
            values = [[run[name] for name in names] for run in runs if not missed(self.config.constraints, run)]
            fronts.append(signs * np.array(values).reshape(-1, len(names)))
        return Attainment(names, len(replicates), {share: signs * attained(fronts, share) for share in shares})

    @property
    def reference(self) -> dict[str, float]:
        """The worst corner of the hypervolume's box, in each metric's own sign."""
        archive = Archive(self.config.objectives, (), self.plan.spans)
        corner = zip(self.config.objectives, archive.reference, strict=True)
        return {o.metric: o.sign * value + 0.0 for o, value in corner}  # no accuracy of -0


def _accuracies(evaluations: Sequence[EvaluationRecord]) -> dict[str, Measured]:
    metrics = {}
    for name in sorted(set(evaluations[0].metrics) & set(METRICS)):
        values = [evaluation.metrics[name] for evaluation in evaluations]
        metrics[name] = Measured(float(np.mean(values)), evaluations[0].protocol, len(values), standard_error(values))
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


def _as_bounds(under: Mapping[str, float] | Sequence[Bound] | None) -> list[Bound]:
    if isinstance(under, Mapping):
        return [no_worse_than(metric, value) for metric, value in under.items()]
    return list(under or ())


def _span(values: list[float], metric: str) -> str:
    return f"{metric} from {min(values):,.6g} to {max(values):,.6g}"
