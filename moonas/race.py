"""The race of a study's methods: what each alone adds to the front, and what it cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np

from moonas.front.dominance import non_dominated
from moonas.front.hypervolume import hypervolume
from moonas.outer.archive import Archive
from moonas.outer.restoring import no_collection
from moonas.results.study import Study
from moonas.results.tally import Tally, tally
from moonas.store.records import Place
from moonas.store.states import TrialState
from moonas.study.bounds import Bound
from moonas.study.budgets import parse_budget
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


def race(study: Study, known: Tally | None = None) -> list[Runner]:
    """A runner for each method of the study, in the order of its file. known: `tally(study)`, where it is at hand."""
    with no_collection():
        return _race(study, known or tally(study))


def _race(study: Study, known: Tally) -> list[Runner]:
    trials, networks = known.trials, known.values
    method_of = {id: trial.params["method"] for id, trial in trials.items()}
    finders: dict[Place, set[str]] = {place: set() for place in networks}
    missed: set[int] = set()
    bounds_of = cache(lambda budget: study.plan.bounds(parse_budget(budget)))
    for trial_id, place, primary in known.found:
        finders[place].add(method_of[trial_id])
        bounds = bounds_of(trials[trial_id].params["budget"]) if primary else {}
        if any(Bound(name, **ends).violation(networks[place][name]) for name, ends in bounds.items()):
            missed.add(trial_id)
    hours = _device_hours(study, method_of)
    collapsed = study.collapses()
    worth = _Worth(study, networks)
    runners = []
    for method in study.config.methods:
        own = [trial for trial in trials.values() if method_of[trial.id] == method.label]
        complete = [trial for trial in own if trial.state is TrialState.COMPLETE]
        accuracies = [trial.values["accuracy"] for trial in complete if trial.values and "accuracy" in trial.values]
        found = [place for place in networks if method.label in finders[place]]
        others = [place for place in networks if finders[place] - {method.label}]
        runners.append(
            Runner(
                method=method.label,
                complete=len(complete),
                pruned=sum(trial.state is TrialState.PRUNED for trial in own),
                failed=sum(trial.state is TrialState.FAIL for trial in own),
                networks=len(found),
                accuracy=float(np.mean(accuracies)) if accuracies else None,
                hypervolume=worth.of(found),
                exclusive=worth.of(networks) - worth.of(others),
                device_hours=hours.get(method.label, 0.0),
                collapses=sum(trial.number in collapsed for trial in own),
                misses=sum(trial.id in missed for trial in complete),
            )
        )
    return runners


def _device_hours(study: Study, method_of: Mapping[int, str]) -> dict[str, float]:
    hours: dict[str, float] = {}
    for trial_id, seconds in study.store.device_seconds_by_trial(study.record.id).items():
        hours[method_of[trial_id]] = hours.get(method_of[trial_id], 0.0) + seconds / 3600
    return hours


class _Worth:
    """Hypervolumes of some of a study's networks: of those that meet its constraints."""

    def __init__(self, study: Study, networks: Mapping[Place, Mapping[str, float]]) -> None:
        self.archive = Archive(study.config.objectives, study.config.constraints, study.plan.spans)
        self.values = {
            place: minimised(self.archive.objectives, metrics)
            for place, metrics in networks.items()
            if not self.archive.violation(metrics)
        }

    def of(self, places: Iterable[Place]) -> float:
        """What these alone dominate."""
        points = np.array([self.values[place] for place in places if place in self.values])
        points = points.reshape(-1, len(self.archive.objectives))
        return hypervolume(points[non_dominated(points)], np.array(self.archive.reference), np.array(self.archive.ideal))
