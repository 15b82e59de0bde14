"""What searches start from: results of other studies, looked up once and stored with the study that uses them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from moonas.errors import MoonasError, UsageError
from moonas.store.store import Store
from moonas.study.schema import StudyConfig
from moonas.study.variants import Method


def with_distributions(config: StudyConfig, store: Store, stored: StudyConfig | None = None) -> StudyConfig:
    """The study with the distribution of every `warm_start` filled in.

    stored: the study as it was created, whose distributions stay, even where their source is gone by now.
    Raises UsageError where the source has none, UnknownStudyError.
    """
    kept = {method.label: method.settings.get("warm_start") for method in stored.methods} if stored else {}
    return replace(config, methods=tuple(_filled(method, kept.get(method.label), store) for method in config.methods))


def _filled(method: Method, kept: Mapping[str, Any] | None, store: Store) -> Method:
    start = method.settings.get("warm_start")
    if start is None or start["distribution"] is not None:
        return method
    if kept is not None and {**kept, "distribution": None} == start:
        found = kept["distribution"]
    else:
        found = _distribution(store, method.label, start["study"], start["trial"])
    return replace(method, settings={**method.settings, "warm_start": {**start, "distribution": found}})


def _distribution(store: Store, label: str, study: str, trial: int) -> Mapping[str, Any]:
    where = f"methods: {label}: warm_start"
    try:
        record = store.study(study)
        store.trial(record.id, trial)
    except MoonasError as error:
        raise type(error)(f"{where}: {error}") from error
    for task in store.tasks(record.id, kind="search", trial=trial):
        if task.result and task.result.get("distribution"):
            return task.result["distribution"]
    raise UsageError(f"{where}: trial {trial} of study {study!r} has left no distribution: it must be a finished trial of parsec")
