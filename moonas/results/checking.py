"""What a database says of its studies that does not follow from what else it says of them: values, costs, fronts, hypervolumes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isclose

import numpy as np

from moonas.architecture import Architecture
from moonas.errors import MoonasError
from moonas.front.dominance import non_dominated
from moonas.outer.archive import Archive
from moonas.outer.candidates import stored_costs
from moonas.outer.identity import measurement_of
from moonas.outer.plan import Design
from moonas.results.study import Study
from moonas.skeleton import Skeleton
from moonas.store.checks import BACKUP
from moonas.store.states import TrialState
from moonas.store.store import Store
from moonas.study.bounds import Bound, total_violation
from moonas.study.changes import hash_of
from moonas.study.objectives import minimised


def contradictions(store: Store, found: Sequence[str]) -> list[str]:
    """A sentence per fault, with what would do.

    found: what the rows show by themselves. The studies named there are left out, and all of a damaged file: what follows from such
    rows says nothing. So is a study that is driven at the moment, which changes while it is read.
    """
    if any(fault.startswith(("the file", "row")) for fault in found):
        return []
    names = [summary.name for summary in store.studies()]
    sound = [name for name in names if not any(fault.startswith(f"study {name!r}") for fault in found)]
    return [f"study {name!r}: {fault}" for name in sound for fault in _of_study(store, name)]


def _of_study(store: Store, name: str) -> Iterator[str]:
    record = store.study(name)
    if hash_of(record.config) != record.config_hash:
        yield f"its configuration is not the one it was stored with, by its hash; {BACKUP}"
    try:
        study = Study(store, name)
        plan = study.plan
    except MoonasError as error:
        yield f"its configuration cannot be read: {error}. A plugin that it needs may be missing, or it was changed; {BACKUP}"
        return
    if study.is_driven:
        return
    yield from _wrong_costs(study)
    yield from _wrong_values(study)
    members = [(member.place, member.values) for member in store.front(record.id)]
    step = study.front_step()
    if step is not None:
        found = Archive(plan.config.objectives, plan.config.constraints, plan.spans).hypervolume(members)
        if not isclose(found, step.hypervolume, rel_tol=1e-9):
            yield f"the hypervolume of front {step.number} is {step.hypervolume:.6g} there, by its members {found:.6g}; {BACKUP}"
    if all(trial.state is TrialState.COMPLETE for trial in study.trials()):  # others may have been measured by other studies since
        yield from _wrong_front(study)


def _wrong_costs(study: Study) -> Iterator[str]:
    """Costs that are not those of their networks, and candidates outside the budgets they were decoded for."""
    right: set[tuple[str, str]] = set()
    for candidate in study.store.candidates(study.record.id):
        about = f"trial {candidate.trial}, {candidate.architecture}"
        costs = stored_costs(study.plan, candidate)
        for metric, ends in (candidate.budget or {}).items():
            if metric in costs and Bound(metric, **ends).violation(costs[metric]):
                yield f"{about}: {metric} is {costs[metric]}, outside its budget {Bound(metric, **ends)}; {BACKUP}"
        if (place := (candidate.architecture, candidate.skeleton)) not in right and costs:
            right.add(place)
            exact = study.plan.costs(Architecture.from_json(candidate.genotype), Skeleton.from_json(candidate.skeleton_json))
            for metric, stored in (("params", candidate.params), ("macs", candidate.macs)):
                if exact[metric] != stored:
                    yield f"{about}: {metric} is stored as {stored}, of the architecture it is {exact[metric]}; {BACKUP}"


def _wrong_values(study: Study) -> Iterator[str]:
    """Complete trials whose values are not what was measured of their primary network."""
    known = study.store.measurements(study.record.id)
    primaries = {c.trial: c for c in study.store.candidates(study.record.id) if c.origin == "primary"}
    for trial in study.trials():
        if trial.state is not TrialState.COMPLETE:
            continue
        primary = primaries.get(trial.number)
        measured = known.get(measurement_of(study.plan, primary, trial, Design.from_params(trial.params))) if primary else None
        if measured is None:
            yield f"trial {trial.number} is COMPLETE, but its network was not measured; {BACKUP}"
            continue
        for metric, value in (trial.values or {}).items():
            if metric in measured and measured[metric] != value:
                yield f"trial {trial.number}: {metric} is {value:g}, but was measured as {measured[metric]:g}; {BACKUP}"


def _wrong_front(study: Study) -> Iterator[str]:
    """The stored front against the front of what was measured."""
    config = study.config
    values = {network.place: network.values for network in study.archive()}
    stored = {member.place: member.values for member in study.store.front(study.record.id)}
    feasible = [place for place in values if not total_violation(config.constraints, values[place])]
    points = np.array([minimised(config.objectives, values[place]) for place in feasible]).reshape(-1, len(config.objectives))
    rightly = {place for place, kept in zip(feasible, non_dominated(points), strict=True) if kept}
    for place in sorted(rightly - stored.keys()):
        yield f"{place.architecture} belongs on the front by what was measured, but is not there; {BACKUP}"
    for place in sorted(stored.keys() - rightly):
        yield f"{place.architecture} is on the front, but does not belong there by what was measured; {BACKUP}"
    for place in sorted(stored.keys() & rightly):
        for metric, value in stored[place].items():
            if value != (right := values[place][metric]):
                yield f"{place.architecture} is on the front with {metric} {value:g}, measured as {right:g}; {BACKUP}"
