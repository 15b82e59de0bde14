"""What a stored study found, trial by trial, and how its searches score architectures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from moonas.architecture import Architecture, Edge
from moonas.outer.identity import measurement_of
from moonas.outer.plan import Design
from moonas.results.study import Study
from moonas.spaces.choices import Choices
from moonas.spaces.scores import scores_from_json
from moonas.spaces.space import chosen_edges
from moonas.store.states import TrialState


@dataclass(frozen=True)
class Outcome:
    """A complete trial, judged by its primary network.

    valid, test: accuracies; a table has no test accuracy, and its own stands for both. search_seconds: device-seconds until the
    architecture was known, a search divided among the trials that it serves. evaluation_seconds: those of the judgement, whichever
    study made it. search: the result of its search, empty where there was none. params: the trial's. costs: exact ones of the
    network. tasks: whole device-seconds of what led to the architecture, by the keys of the tasks.
    """

    method: str
    budget: str
    replicate: int
    architecture: Architecture
    valid: float
    test: float
    search_seconds: float
    evaluation_seconds: float
    search: Mapping[str, Any]
    params: Mapping[str, Any]
    costs: Mapping[str, int]
    tasks: Mapping[str, float]


def outcomes(study: Study) -> list[Outcome]:
    """Of every complete trial, in the order of their numbers."""
    store, study_id = study.store, study.record.id
    tasks = {task.id: task for task in store.tasks(study_id)}
    searches = {trial_id: task.result or {} for task in tasks.values() if task.kind == "search" for trial_id in task.trial_ids}
    spent: dict[int, dict[str, float]] = defaultdict(lambda: defaultdict(float))  # by trial and task
    for attempt in store.attempts(study_id):
        task = tasks[attempt.task_id]
        for trial_id in task.trial_ids if attempt.kind != "evaluate" else ():
            spent[trial_id][task.key] += attempt.seconds or 0.0
    sharers = {task.key: len(task.trial_ids) for task in tasks.values()}
    primaries = {candidate.trial_id: candidate for candidate in store.candidates(study_id) if candidate.origin == "primary"}
    known = {evaluation.key: evaluation for evaluation in store.evaluations(study_id)}
    found = []
    for trial in store.trials(study_id, TrialState.COMPLETE):
        primary = primaries[trial.id]
        evaluation = known[measurement_of(study.plan, primary, trial, Design.from_params(trial.params))]
        found.append(
            Outcome(
                method=trial.params["method"],
                budget=trial.params["budget"],
                replicate=trial.replicate,
                architecture=Architecture.from_json(primary.genotype),
                valid=evaluation.metrics["accuracy"],
                test=evaluation.metrics.get("test_accuracy", evaluation.metrics["accuracy"]),
                search_seconds=sum(seconds / sharers[key] for key, seconds in spent[trial.id].items()),
                evaluation_seconds=evaluation.seconds,
                search=searches.get(trial.id, {}),
                params=trial.params,
                costs={"params": primary.params, "macs": primary.macs},
                tasks=spent[trial.id],
            )
        )
    return found


def believed(choices: Choices, search: Mapping[str, Any]) -> list[np.ndarray]:
    """The score that a finished search gives to every option of every slot.

    An operation that a search in stages has dropped keeps its score from the last stage that had it.
    """
    if search.get("slot_scores"):
        return choices.scores(search["slot_scores"])
    scores = scores_from_json(search["scores"])
    for before in map(scores_from_json, search.get("earlier", ())):  # the latest stage first
        scores = {name: np.where(np.isneginf(matrix), before[name], matrix) for name, matrix in scores.items()}
    return choices.scores(scores)


def score_of(choices: Choices, scores: list[np.ndarray], architecture: Architecture) -> float:
    """The score of an architecture: the sum over slots of that of its option."""
    chosen = chosen_edges(architecture)
    total = 0.0
    for index, (slot, values) in enumerate(zip(choices.slots, scores, strict=True)):
        places, options = _options(choices, index)
        own = [edge for edge in chosen[slot.slot.group] if edge[:2] in places]
        total += float(values[options[_operating(own)]])
    return total


@lru_cache(maxsize=64)
def _options(choices: Choices, index: int) -> tuple[frozenset[tuple[int, int]], dict[frozenset[Edge], int]]:
    """The (node, predecessor) pairs that a slot decides about, and where each of its options stands."""
    options = choices.slots[index].slot.options
    places = frozenset(edge[:2] for option in options for edge in option)
    return places, {_operating(option): number for number, option in enumerate(options)}


def _operating(edges: Iterable[Edge]) -> frozenset[Edge]:
    """Edges without those of operation `none`, which some spaces write and others leave out."""
    return frozenset(edge for edge in edges if edge[2] != "none")
