"""From a stored study to what its report draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from moonas.infeasible import infeasibility
from moonas.report.figures import front_axes
from moonas.report.records import Band, BudgetInfo, HypervolumeStep, ObjectiveInfo, Point, ReportData, TrialInfo, Value
from moonas.results.networks import Network
from moonas.results.study import Study
from moonas.seeds import digest
from moonas.specs import device_text
from moonas.store.records import AttemptRecord, TrialRecord
from moonas.study.bounds import Bound
from moonas.study.budgets import parse_budget
from moonas.study.metrics import METRICS
from moonas.study.validation import plain


def report_data(study: Study) -> ReportData:
    """Everything a report shows of `study`."""
    store, study_id = study.store, study.record.id
    attempts = store.attempts(study_id)
    of_trial: dict[int, list[AttemptRecord]] = {}
    numbers = {trial.id: trial.number for trial in study.trials()}
    tasks = {task.id: [numbers[trial] for trial in task.trial_ids] for task in store.tasks(study_id)}
    for attempt in attempts:
        for number in tasks[attempt.task_id]:
            of_trial.setdefault(number, []).append(attempt)
    history = study.front_history()
    steps = [HypervolumeStep(evaluations=s.evaluations, hypervolume=s.hypervolume, cause=s.cause) for s in history]
    archive = study.archive()
    measured = sum(network.evaluations for network in archive)
    if steps and measured > steps[-1].evaluations:
        steps.append(HypervolumeStep(evaluations=measured, hypervolume=steps[-1].hypervolume, cause="the latest evaluation"))
    data = replace(
        outline(study),
        versions=_versions(study),
        settings=_settings(study),
        points=tuple(point_of(network) for network in archive),
        history=tuple(steps),
        trials=tuple(_trial(trial, of_trial.get(trial.number, [])) for trial in study.trials()),
        reference=study.reference,
        device_seconds=store.device_seconds(study_id),
        knee=point_of(study.best(knee=True)).id if sum(network.on_front for network in archive) > 2 else "",
        infeasibility=infeasibility(study),
    )
    return replace(data, bands=bands(study, front_axes(data))) if archive else data


def outline(study: Study) -> ReportData:
    """What a study asks, without anything that it has found."""
    return ReportData(
        name=study.name,
        state=study.state.value,
        created=study.record.created,
        version=study.record.version,
        versions={},
        settings={},
        objectives=tuple(
            ObjectiveInfo(name=o.metric, label=o.entry.label, direction=o.entry.direction, unit=o.entry.unit)
            for o in study.config.objectives
        ),
        budgets=tuple(
            BudgetInfo(text=text, metric=bound.metric, lower=bound.lower, upper=bound.upper)
            for text, bound in _bounds(study).items()
        ),
    )


def bands(study: Study, axes: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Band]:
    """What the replicates alone attain in each pair of metrics; nothing where there are no two, or none attains anything."""
    bands = {}
    for pair in axes:
        found = study.attainment((0.25, 0.5, 0.75), pair)
        easy, median, hard = (tuple((float(x), float(y)) for x, y in found.surfaces[share]) for share in (0.25, 0.5, 0.75))
        better = tuple(max if METRICS[name].direction == "maximize" else min for name in pair)
        if found.replicates > 1 and easy:
            bands[pair] = Band(replicates=found.replicates, easy=easy, median=median, hard=hard, better=(better[0], better[1]))
    return bands


def _settings(study: Study) -> dict[str, Any]:
    """The study file, resolved; of its device tables only what they are, without their hundreds of numbers."""
    tables = [
        f"{table.name}, fitted on {device_text(table.device)}, key {digest(plain(table))}" for table in study.config.device_tables
    ]
    return study.config.to_json() | {"device_tables": tables}


def _bounds(study: Study) -> dict[str, Bound]:
    """Every bound that some budget of the study has, once."""
    bounds = [Bound(metric, b.get("lower"), b.get("upper")) for budget in study.plan.budgets for metric, b in budget.items()]
    return {str(bound): bound for bound in bounds}


def point_of(network: Network) -> Point:
    """A measured network as figures and tables take it."""
    return Point(
        key=network.key,
        architecture=network.architecture,
        skeleton=network.skeleton,
        on_front=network.on_front,
        trial=network.trial,
        method=network.method,
        budget=network.budget,
        origin="extra" if network.origin == "extra" else "primary",
        replicates=network.evaluations,
        metrics={name: Value(value=measured.value, error=measured.error) for name, measured in network.metrics.items()},
        settings=network.settings,
        recipe=network.recipe,
    )


def _trial(trial: TrialRecord, attempts: list[AttemptRecord]) -> TrialInfo:
    errors = [attempt.error or attempt.reason or "" for attempt in attempts if attempt.reason]
    return TrialInfo(
        number=trial.number,
        state=trial.state.value,
        method=trial.params["method"],
        budget=parse_budget(trial.params["budget"]) or None,
        replicate=trial.replicate,
        values=trial.values or {},
        seconds=sum(attempt.seconds or 0.0 for attempt in attempts) or None,
        error="\n".join(filter(None, [trial.reason, *errors])) or None,
    )


def _versions(study: Study) -> dict[str, str]:
    """Packages and devices that the study's evaluations were made with."""
    found: dict[str, set[str]] = {}
    for evaluation in study.store.evaluations(study.record.id):
        for name, version in evaluation.versions.items():
            found.setdefault(name, set()).add(str(version))
        found.setdefault("device", set()).add(str(evaluation.device.get("name", evaluation.device.get("type", ""))))
        if evaluation.data_checksum:  # a measurement on a device reads no data
            found.setdefault("data", set()).add(evaluation.data_checksum[:16])
    return {name: ", ".join(sorted(values)) for name, values in sorted(found.items())}
