"""What a sampler learns before the first trial: trials of elsewhere, looked up once and stored with the study that uses them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from moonas.errors import MoonasError, Problem, StudyFileError, UsageError
from moonas.outer.plan import Plan
from moonas.outer.rows import DesignReader
from moonas.outer.samplers.sampler import Draw, History, Told
from moonas.seeds import canonical_json
from moonas.store.states import TrialState
from moonas.store.store import Store
from moonas.study.bounds import total_violation
from moonas.study.changes import changes
from moonas.study.history import Past, Rows
from moonas.study.loading import study_from
from moonas.study.numbers import parse_number, parse_whole
from moonas.study.objectives import minimised
from moonas.study.schema import StudyConfig
from moonas.study.variants import Method

ALIKE = ("data", "space", "search", "final.stem", "protocol", "measure")  # what values of two studies must share to be compared


def history_of(plan: Plan) -> History:
    """The history of a study before its first trial. Raises StudyFileError with every trial of elsewhere that does not fit it."""
    history = History()
    for draw in past_draws(plan):
        history.learn(draw)
    return history


def past_draws(plan: Plan) -> list[Draw]:
    """One for each design among the trials of the study's `history`: the mean over its replicates. Raises StudyFileError."""
    reader, problems = _Reader(plan), []
    trials: dict[str, list[Told]] = {}
    for index, past in enumerate(plan.config.history):
        for key, row in (past.trials or {}).items():
            try:
                told = reader.told(row)
            except UsageError as error:
                problems.append(Problem(f"history[{index}]", f"{past.where(key)}, {error}"))
            else:
                trials.setdefault(canonical_json(dict(told.params)), []).append(told)
    if problems:
        raise StudyFileError(f"study {plan.config.name}", problems)
    return [replace(Draw.of(same), imported=True) for same in trials.values()]


def with_past(plan: Plan, store: Store, stored: StudyConfig | None = None) -> tuple[Past, ...]:
    """The history of the plan's study with the trials of every study it names; those that do not fit are left out.

    stored: the study as it was created, whose trials stay, whatever has become of their source.
    Raises UsageError where a study measures otherwise, or none of its trials fits; UnknownStudyError.
    """
    kept = {past.study: past.trials for past in stored.history if past.study} if stored else {}

    def filled(index: int, past: Past) -> Past:
        if past.study is None or past.trials is not None:
            return past
        try:
            return replace(past, trials=kept.get(past.study) or _trials_of(plan, store, past))
        except MoonasError as error:
            raise type(error)(f"history[{index}]: {error}") from error

    return tuple(filled(index, past) for index, past in enumerate(plan.config.history))


def _trials_of(plan: Plan, store: Store, past: Past) -> Rows:
    record = store.study(past.study or "")
    other = study_from(record.config, str(past))
    differing = [change for change in changes(other, plan.config) if change.path.startswith(ALIKE)]
    if differing:
        raise UsageError(f"{past} measures otherwise, and its values would mislead the sampler: {'; '.join(map(str, differing))}")
    mine = {method.label: _closed(method) for method in plan.config.methods}
    theirs = {method.label: _closed(method) for method in other.methods}
    names = {o.metric for o in plan.config.objectives} | {c.metric for c in plan.config.constraints}
    reader, found = _Reader(plan), Rows()
    misfit = "it has no complete trial"
    for trial in store.trials(record.id, TrialState.COMPLETE):
        label = trial.params["method"]
        if mine.get(label) != theirs[label]:
            misfit = (
                f"{past.where(str(trial.number))}, column method: {label!r} is not a method of this study with the same settings"
            )
            continue
        metrics = {f"metrics.{name}": value for name, value in (trial.values or {}).items() if name in names}
        row = {**trial.params, "replicate": trial.replicate, **metrics}
        try:
            reader.told(row)
        except UsageError as error:
            misfit = f"{past.where(str(trial.number))}, {error}"
        else:
            found[str(trial.number)] = row
    if not found:
        raise UsageError(f"no complete trial of {past} fits this study: {misfit}")
    return found


def _closed(method: Method) -> tuple[Any, ...]:
    """What two variants must share for trials of one to be trials of the other; the ranges of open settings may differ."""
    settings = {name: value for name, value in method.settings.items() if name != "returns"}
    return method.name, method.handler, settings, set(method.open), method.continue_from


class _Reader:
    """Reads rows of a table as trials of a study. Raises UsageError naming the column."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.designs = plan, DesignReader(plan, "column ")

    def told(self, row: Mapping[str, Any]) -> Told:
        design = self.designs.design(row)
        config = self.plan.config
        names = [o.metric for o in config.objectives] + [c.metric for c in config.constraints]
        metrics = {name: float(self.designs.read(row, f"metrics.{name}", parse_number)) for name in names}
        return Told(
            params=design.to_params(),
            replicate=self.designs.read(row, "replicate", parse_whole) if "replicate" in row else 0,
            state=TrialState.COMPLETE,
            values=minimised(config.objectives, metrics),
            attributes={},
            violation=total_violation(config.constraints, metrics),
            limited=config.limited(metrics),
        )
