"""Taking a study up where its database says it stands."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from moonas.outer.advancing import Advancing
from moonas.outer.candidates import stored_costs
from moonas.outer.identity import measured_key, measurement_of
from moonas.outer.plan import Design
from moonas.outer.samplers.sampler import Told
from moonas.outer.stagnation import volumes_after
from moonas.outer.steps import check_device, measured_values
from moonas.outer.work import OpenTask, OpenTrial
from moonas.store.records import ArtifactRecord, Place, TrialRecord
from moonas.store.states import TaskState, TrialState
from moonas.store.store import Store
from moonas.store.weights import search_weights
from moonas.study.objectives import minimised
from moonas.study.schema import StudyConfig


def restore(advancing: Advancing, store: Store) -> None:
    """Take in what is stored of a study, and bring the trials that are not finished as far as they go.

    advancing: without any trial as yet. What a dead loop left running waits already, see `Ledger.reset_running`.
    Raises DeviceError where the study has measured on another device.
    """
    with no_collection():
        _restore(advancing, store)


@contextmanager
def no_collection() -> Iterator[None]:
    """Python's search for cycles among objects that are all being kept takes as long as all else."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _restore(advancing: Advancing, store: Store) -> None:
    study_id, findings = advancing.ledger.study_id, advancing.findings
    findings.bound = store.device(study_id)
    if findings.device is not None:
        check_device(advancing.plan, findings.bound, findings.device)
    advancing.pruner.restore(store, study_id)
    _restore_tasks(advancing, store)
    records, rungs = store.trials(study_id), store.rungs(study_id)
    designs = {trial.id: Design.from_params(trial.params) for trial in records}
    _restore_networks(advancing, store, records, designs, rungs)
    changes = store.front_history(study_id, advancing.plan.protocol_identity)
    findings.keeping.restore(store)
    findings.hypervolume = changes[-1].hypervolume if changes else 0.0
    advancing.trials.volumes = volumes_after(records, changes)
    _restore_trials(advancing, records, rungs)
    for unfinished in list(advancing.trials.open.values()):
        advancing.advance(unfinished)


def recall(advancing: Advancing, store: Store) -> None:
    """Take in the trials and tasks of a study, to change some of them; nothing goes on."""
    study_id = advancing.ledger.study_id
    with no_collection():
        _restore_tasks(advancing, store)
        _restore_trials(advancing, store.trials(study_id), store.rungs(study_id))


def _restore_tasks(advancing: Advancing, store: Store) -> None:
    study_id = advancing.ledger.study_id
    halved, weights = store.halved(study_id), search_weights(store.database, study_id)
    for task in store.tasks_at_hand(study_id):
        reason = ""
        if task.state is TaskState.FAIL:
            reason = next((a.reason or "" for a in reversed(store.attempts(study_id, task_id=task.id))), "")
        checkpoints: list[Mapping[str, Any]] = [_location(artifact) for artifact in reversed(task.checkpoints)]
        result = task.result
        if task.kind == "search" and result and result.get("weights"):  # where they lie now, if they still do
            result = {**result, "weights": _location(weights[task.key]) if task.key in weights else {"url": None}}
        advancing.tasks[task.kind, task.key] = OpenTask(
            task, task.state, result, reason, checkpoints, batch=halved.get((task.kind, task.key))
        )


def _restore_networks(
    advancing: Advancing, store: Store, records: Sequence[TrialRecord], designs: Mapping[int, Design], rungs: Mapping[int, int]
) -> None:
    """Fill the archive and the rungs. designs: by a trial's id. rungs: {number of a trial: the rung it was promoted to}."""
    plan, findings, device = advancing.plan, advancing.findings, advancing.findings.device
    findings.known.update(store.measurements(advancing.ledger.study_id))
    by_id = {trial.id: trial for trial in records}
    read = store.candidates if plan.config.device_tables else store.decoded  # the tables speak of genotypes
    for candidate in read(advancing.ledger.study_id):
        trial, design = by_id[candidate.trial_id], designs[candidate.trial_id]
        key = measurement_of(plan, candidate, trial, design)
        place = Place(candidate.architecture, candidate.skeleton, plan.recipe_of(key.protocol))
        on_device = measured_key(plan, candidate.architecture, candidate.skeleton, device) if device else None
        measured = findings.known.get(on_device) if on_device else {}
        if measured is None:
            continue
        costs = stored_costs(plan, candidate) | measured_values(plan, measured)
        if key in findings.known and place not in advancing.pruner.given_up:
            findings.archive.add(place, costs, key, findings.known[key])
        if candidate.origin == "primary" and advancing.rungs.top:
            advancing.rungs.restore(trial, design, candidate, rungs.get(trial.number, 0), findings.known, costs)
    findings.members = findings.archive.front()


def _restore_trials(advancing: Advancing, records: Sequence[TrialRecord], rungs: Mapping[int, int]) -> None:
    """Fill the history, and open what is not finished. rungs: as of `_restore_networks`."""
    trials = advancing.trials
    for trial in records:
        trials.history.add(_told(advancing.plan.config, trial))
        advancing.continuing.add(trial.params, trial.replicate, trial.sampler_attrs)
        if trial.state in trials.finished:
            trials.finished[trial.state] += 1
        else:
            trials.open[trial.id] = OpenTrial.of(trial, rungs.get(trial.number, 0))


def _told(config: StudyConfig, trial: TrialRecord) -> Told:
    values = limited = None
    if trial.state is TrialState.COMPLETE and trial.values:
        values = minimised(config.objectives, trial.values)
        limited = config.limited(trial.values)
    return Told(trial.params, trial.replicate, trial.state, values, trial.sampler_attrs, trial.violation, limited)


def _location(artifact: ArtifactRecord) -> dict[str, Any]:
    return {"id": artifact.id, "url": artifact.url, "sha256": artifact.sha256, "bytes": artifact.bytes}
