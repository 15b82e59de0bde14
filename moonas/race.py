"""The race of a study's methods: what each alone adds to the front, and what it cost."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from moonas.front.hypervolume import hypervolume
from moonas.outer.archive import Archive
from moonas.outer.plan import Design
from moonas.results.networks import Network
from moonas.results.study import Study
from moonas.store.records import Place
from moonas.store.states import TrialState
from moonas.study.objectives import minimised


@dataclass(frozen=True)
class Runner:
    """One method variant of a study.

    complete, pruned, failed: its trials. networks: different ones that it found. accuracy: mean over its complete trials, of their
    primary network. hypervolume: of its networks alone; exclusive: what all networks together would lose without those that only
    it found; both as a share of the study's box. device_hours: of its tasks, a shared one divided among its trials. collapses: its
    trials whose search collapsed. misses: its complete trials whose primary network lies outside its budget.
    """

    method: str
    complete: int
    pruned: int
    failed: int
    networks: int
    accuracy: float | None
    hypervolume: float
    exclusive: float
    device_hours: float
    collapses: int
    misses: int

    @property
    def exclusive_per_hour(self) -> float | None:
        """Exclusive hypervolume per device-hour; None where it took no time."""
        return self.exclusive / self.device_hours if self.device_hours else None

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "exclusive_per_hour": self.exclusive_per_hour}


def race(study: Study) -> list[Runner]:
    """A runner for each method of the study, in the order of its file."""
    trials = {trial.id: trial for trial in study.trials()}
    method_of = {id: trial.params["method"] for id, trial in trials.items()}
    networks = {network.place: network for network in study.archive()}
    finders: dict[Place, set[str]] = {place: set() for place in networks}
    misses = dict.fromkeys(trials, False)
    for candidate in study.store.candidates(study.record.id):
        design = Design.from_params(trials[candidate.trial_id].params)
        place = Place(candidate.architecture, candidate.skeleton, study.plan.recipe(design))
        if place in finders:
            finders[place].add(method_of[candidate.trial_id])
            if candidate.origin == "primary":
                bounds = study.plan.bounds(design.budget)
                costs = {name: networks[place].metrics[name].value for name in bounds}
                misses[candidate.trial_id] = any(
                    not bound.get("lower", -np.inf) <= costs[name] <= bound.get("upper", np.inf) for name, bound in bounds.items()
                )
    hours = _device_hours(study, method_of)
    collapsed = study.collapses()
    whole = _hypervolume(study, list(networks.values()))
    runners = []
    for method in study.config.methods:
        own = [trial for trial in trials.values() if method_of[trial.id] == method.label]
        complete = [trial for trial in own if trial.state is TrialState.COMPLETE]
        accuracies = [trial.values["accuracy"] for trial in complete if trial.values and "accuracy" in trial.values]
        others = [network for place, network in networks.items() if finders[place] - {method.label}]
        found = [network for place, network in networks.items() if method.label in finders[place]]
        runners.append(
            Runner(
                method=method.label,
                complete=len(complete),
                pruned=sum(trial.state is TrialState.PRUNED for trial in own),
                failed=sum(trial.state is TrialState.FAIL for trial in own),
                networks=len(found),
                accuracy=float(np.mean(accuracies)) if accuracies else None,
                hypervolume=_hypervolume(study, found),
                exclusive=whole - _hypervolume(study, others),
                device_hours=hours.get(method.label, 0.0),
                collapses=sum(trial.number in collapsed for trial in own),
                misses=sum(misses[trial.id] for trial in complete),
            )
        )
    return runners


def _device_hours(study: Study, method_of: dict[int, str]) -> dict[str, float]:
    served = {task.id: task.trial_ids for task in study.store.tasks(study.record.id)}
    hours: dict[str, float] = {}
    for attempt in study.store.attempts(study.record.id):
        for trial_id in served[attempt.task_id]:
            share = (attempt.seconds or 0.0) / 3600 / len(served[attempt.task_id])
            hours[method_of[trial_id]] = hours.get(method_of[trial_id], 0.0) + share
    return hours


def _hypervolume(study: Study, networks: list[Network]) -> float:
    """Of those that meet the study's constraints."""
    archive = Archive(study.config.objectives, study.config.constraints, study.plan.spans)
    metrics = [{name: measured.value for name, measured in network.metrics.items()} for network in networks]
    values = [minimised(archive.objectives, one) for one in metrics if not archive.violation(one)]
    points = np.array(values).reshape(-1, len(archive.objectives))
    return hypervolume(points, np.array(archive.reference), np.array(archive.ideal))
