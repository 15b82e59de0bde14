"""One trial in full: its settings, and what became of each of its tasks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import TYPE_CHECKING, Any, NamedTuple

from moonas.outer.plan import Design
from moonas.spaces.mixture import GroupMixture, mixture_from_json
from moonas.spaces.space import Space, make_space
from moonas.store.pages import trials_served
from moonas.store.records import AttemptRecord, ProgressRecord, TaskRecord, TrialRecord
from moonas.study.handlers import HANDLERS
from moonas.study.methods import METHODS
from moonas.study.protocols import PROTOCOLS
from moonas.study.validation import plain

if TYPE_CHECKING:
    from moonas.results.study import Study


class Setting(NamedTuple):
    """One setting of a trial.

    part: what it belongs to: "trial", "method", "handler" or "protocol". default: what the settings of that part have where nothing
    is said; None of what has no default. chosen: by the sampler, for this trial.
    """

    part: str
    name: str
    value: Any
    default: Any = None
    chosen: bool = False

    @property
    def differs(self) -> bool:
        """Whether it is worth a look: chosen for this trial, or not the default."""
        return self.chosen or self.value != self.default


@dataclass(frozen=True)
class Work:
    """A task of a trial. trials: the numbers of all that it serves. attempts: in the order they began."""

    record: TaskRecord
    trials: tuple[int, ...]
    attempts: tuple[AttemptRecord, ...]


@dataclass(frozen=True)
class TrialStory:
    """A trial and its tasks, in the order they were added."""

    trial: TrialRecord
    works: tuple[Work, ...]

    @property
    def search(self) -> TaskRecord | None:
        """Its search, which may be shared; None before there is one."""
        return next((work.record for work in self.works if work.record.kind == "search"), None)

    @property
    def collapse(self) -> Mapping[str, Any] | None:
        """`{"epoch", "reason"}` where its search collapsed."""
        result = self.search.result if self.search else None
        return (result or {}).get("collapse")


def trial_story(study: Study, number: int) -> TrialStory:
    """Raises UsageError where the study has no such trial."""
    trial = study.store.trial(study.record.id, number)
    served = trials_served(study.store.database, trial.id)
    attempts = study.store.attempts(study.record.id, trial=number)
    works = (
        Work(task, served[task.id], tuple(attempt for attempt in attempts if attempt.task_id == task.id))
        for task in study.store.tasks(study.record.id, trial=number)
    )
    return TrialStory(trial, tuple(works))


def has_search(study: Study, trial: TrialRecord) -> bool:
    """Whether a search network is trained for a trial."""
    return study.config.method(trial.params["method"]).entry.searches


def settings_of_trial(study: Study, trial: TrialRecord) -> list[Setting]:
    """All of them: those that were chosen or differ from their defaults first, in the order of a study file otherwise."""
    return sorted(_settings(study, trial), key=lambda setting: not setting.differs)


def _settings(study: Study, trial: TrialRecord) -> Iterator[Setting]:
    design = Design.from_params(trial.params)
    method = study.config.method(design.method)
    if study.finds_networks:
        for name in ("budget", "channels", "cells"):
            yield Setting("trial", name, trial.params[name], chosen=True)
    for name, value in design.choices.items():
        yield Setting("trial", name, value, chosen=True)
    parts: list[tuple[str, type[Any], Mapping[str, Any]]] = [
        ("method", METHODS[method.name].config, method.spec(design.settings)),
        ("handler", HANDLERS[method.handler.name].config, method.handler.to_json()),
    ]
    if study.finds_networks:
        protocol = study.plan.protocol(design)
        parts.append(("protocol", PROTOCOLS[protocol["name"]].config, protocol))
    for part, config, values in parts:
        usual = {field.name: plain(field.default) for field in fields(config) if field.default is not MISSING}
        for name, value in values.items():
            yield Setting(part, name, value, usual.get(name), chosen=part == "method" and name in design.settings)


def mixtures(study: Study, search: TaskRecord, most: int | None = None) -> tuple[Space, list[tuple[int, dict[str, GroupMixture]]]]:
    """The space of a search, and (epoch, {group: mixture}) of its epochs, thinned to `most`. Raises ValueError for damaged ones."""
    space = make_space(search.spec["space"])
    return space, [(step, mixture_from_json(space, data)) for step, data in thinned(study.store.mixtures(search.id), most)]


def steps_of(study: Study, task: TaskRecord, most: int | None = None) -> list[ProgressRecord]:
    """What a task reported, step by step, thinned to `most`."""
    return thinned(study.store.progress(task.id), most)


def thinned(found: Sequence[Any], most: int | None) -> list[Any]:
    """An even choice of so many, the first and the last among them."""
    if most is None or len(found) <= most:
        return list(found)
    if most < 2:
        return list(found[len(found) - most :])
    return [found[round(place * (len(found) - 1) / (most - 1))] for place in range(most)]
