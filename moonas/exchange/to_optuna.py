"""A study as an Optuna study: one trial each, under the same number.

Akiba et al., KDD 2019, doi:10.1145/3292500.3330701. What Optuna has no place for stands in user attributes; the one called `moonas`
is what `from_optuna` brings the study back from.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from moonas.architecture import Architecture
from moonas.errors import StudyConflictError
from moonas.exchange.optuna_storage import MARK, open_storage, study_names
from moonas.outer.identity import measured_key, measurement_of
from moonas.outer.plan import Design
from moonas.outer.samplers.optuna import distribution
from moonas.outer.samplers.parameters import Parameters
from moonas.results.study import Study
from moonas.store.records import CandidateRecord, EvaluationRecord, TrialRecord
from moonas.store.states import TrialState
from moonas.study.budgets import budget_text
from moonas.study.ranges import Range


def export_study(study: Study, address: str, replace: bool = False) -> int:
    """Write `study` into the Optuna storage at `address`, under its own name; returns how many trials that were.

    An earlier export of the same study is written anew. Raises StudyConflictError where anything else has that name, unless it is
    to be replaced; StorageError.
    """
    import optuna

    storage = open_storage(address, create=True)
    _make_room(storage, study, replace)
    directions = [objective.entry.direction for objective in study.config.objectives]
    found = optuna.create_study(storage=storage, study_name=study.name, directions=directions)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        found.set_metric_names([objective.metric for objective in study.config.objectives])
    found.set_user_attr(MARK, _about(study))
    count = 0
    for trial in optuna_trials(study):
        found.add_trial(trial)
        count += 1
    return count


def _about(study: Study) -> dict[str, Any]:
    config = {**study.config.to_json(), "storage": None, "artifacts": None}
    return {"study": config, "created": study.record.created, "device": study.store.device(study.record.id)}


def _make_room(storage: Any, study: Study, replace: bool) -> None:
    """Delete what has the study's name, where that may be."""
    import optuna

    if study.name not in study_names(storage):
        return
    there = optuna.load_study(study_name=study.name, storage=storage)
    mark = there.user_attrs.get(MARK)
    ours = isinstance(mark, Mapping) and mark.get("created") == study.record.created
    if not replace and not (ours and all(MARK in trial.user_attrs for trial in there.get_trials(deepcopy=False))):
        what = "trials that moonas did not write" if ours else f"another study {study.name!r}"
        raise StudyConflictError(f"the Optuna storage holds {what}; --replace overwrites it")
    optuna.delete_study(study_name=study.name, storage=storage)


def optuna_trials(study: Study) -> Iterator[Any]:
    """The trials of a study as Optuna's `FrozenTrial`s, in the order of their numbers."""
    import optuna

    names = Names(study)
    records = _records(study)
    curves = _curves(study)
    for trial in study.trials():
        params = names.values(Design.from_params(trial.params))
        complete = trial.state is TrialState.COMPLETE and trial.values is not None
        frozen = optuna.trial.FrozenTrial(
            number=trial.number,
            trial_id=trial.number,
            state=optuna.trial.TrialState[trial.state.value],
            value=None,
            values=[trial.values[o.metric] for o in study.config.objectives] if complete and trial.values else None,
            datetime_start=None if trial.state is TrialState.WAITING else datetime.fromtimestamp(trial.started or trial.created),
            datetime_complete=None if trial.finished is None else datetime.fromtimestamp(trial.finished),
            params=params,
            distributions={name: names.distributions[name] for name in params},
            user_attrs=_user_attributes(trial, records[trial.id]),
            system_attrs={},
            intermediate_values=curves.get(trial.id, {}),
        )
        for bound in study.config.constraints:
            given_up = not complete and bound.metric == "accuracy"  # of a training that did not end
            if trial.values is not None and bound.metric in trial.values and not given_up:
                frozen.set_constraint(str(bound), bound.violation(trial.values[bound.metric]))
        yield frozen


class Names:
    """A study's parameters under the names that people know them by, with the values that they stand for.

    As `Parameters` has them, but `channels`, `cells` and `budget` are the channels, cells and budgets themselves.
    """

    def __init__(self, study: Study) -> None:
        self.parameters = Parameters(study.plan)
        self.lists: dict[str, list[Any]] = {
            "channels": list(self.parameters.widths),
            "cells": list(self.parameters.depths),
            "budget": [budget_text(budget) for budget in study.plan.budgets],
        }
        self.distributions = {name: self._distribution(name, values) for name, values in self.parameters.ranges.items()}

    def values(self, design: Design) -> dict[str, Any]:
        """{name: value} of one trial."""
        found = self.parameters.values(design)
        return {name: self.lists[name][value] if name in self.lists else value for name, value in found.items()}

    def _distribution(self, name: str, values: Range) -> Any:
        from optuna import distributions

        if name in self.lists:
            return distributions.CategoricalDistribution(self.lists[name])
        return distribution(values)


def _user_attributes(trial: TrialRecord, candidates: list[dict[str, Any]]) -> dict[str, Any]:
    """For people the metrics and the primary architecture; for moonas the whole record."""
    known: dict[str, Any] = {"replicate": trial.replicate, **(trial.values or {})}
    for candidate in candidates:
        if candidate["origin"] == "primary":
            architecture = Architecture.from_json(candidate["genotype"])
            known |= {"architecture": architecture.key, "genotype": architecture.to_text()}
    known |= {name: value for name, value in (("violation", trial.violation), ("reason", trial.reason)) if value is not None}
    whole = asdict(trial) | {"state": trial.state.value, "candidates": candidates}
    return {**known, MARK: whole}


def _records(study: Study) -> dict[int, list[dict[str, Any]]]:
    """Of each trial, by its id, the candidates decoded from it with what was measured of them."""
    known = {evaluation.key: evaluation for evaluation in study.store.evaluations(study.record.id)}
    device = study.store.device(study.record.id)
    trials = {trial.id: trial for trial in study.trials()}
    found: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for candidate in study.store.candidates(study.record.id):
        trial = trials[candidate.trial_id]
        keys = {"evaluate": measurement_of(study.plan, candidate, trial, Design.from_params(trial.params))}
        if device:
            keys["measure"] = measured_key(study.plan, candidate.architecture, candidate.skeleton, device)
        measured = {kind: _evaluation(known[key]) for kind, key in keys.items() if key in known}
        found[candidate.trial_id].append({**_candidate(candidate), "measured": measured})
    return found


def _candidate(candidate: CandidateRecord) -> dict[str, Any]:
    names = ("genotype", "function_key", "skeleton_json", "params", "macs", "origin", "score", "budget")
    return {name: getattr(candidate, name) for name in names}


def _evaluation(evaluation: EvaluationRecord) -> dict[str, Any]:
    names = ("metrics", "seconds", "device", "versions", "data_checksum")
    return {name: getattr(evaluation, name) for name in names}


def _curves(study: Study) -> dict[int, dict[int, float]]:
    """Of each trial, by its id, the accuracy on the validation part by epochs of training, where accuracy alone is the objective.

    Optuna knows such curves of one objective only.
    """
    if [objective.metric for objective in study.config.objectives] != ["accuracy"]:
        return {}
    found: dict[int, dict[int, float]] = {}
    for task in study.store.tasks(study.record.id, kind="evaluate"):
        steps = {step.step: step.metrics.get("valid_accuracy") for step in study.store.progress(task.id)}
        curve = {step: value for step, value in steps.items() if value is not None}
        found |= {trial_id: curve for trial_id in task.trial_ids if curve}
    return found
