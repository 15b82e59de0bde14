"""What a user asks of a study that runs, or ran, from another process: pause, stop, cancel, retry, enqueue.

Where a loop drives the study, it is asked through the database and answers there; where none does, the change is made here, with
the study's lease held meanwhile. Every function returns in a line what came of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from moonas.api import opened
from moonas.errors import LeaseError, UsageError
from moonas.storage import storage_url
from moonas.store.states import StudyState

if TYPE_CHECKING:
    from moonas.outer.changing import Changes
    from moonas.outer.plan import Plan
    from moonas.store.ledger import Ledger
    from moonas.store.records import StudyRecord
    from moonas.store.store import Store

WAIT = 10.0  # seconds that a command waits for a loop to answer; a living one looks twice a second, but may be busy for longer
POLL = 0.1
UNDRIVEN = (StudyState.NEW, StudyState.PAUSED, StudyState.STOPPED)  # states that say themselves that there is more to do

Alone = Callable[["Store", "Ledger", "StudyRecord"], str]


def pause(name: str, storage: str | None = None, *, wait: float = WAIT) -> str:
    """Let running tasks end at their next checkpoint, and the loop with exit code 0.

    wait: how many seconds for the loop to answer; 0 leaves the request to it. Raises UnknownStudyError; LeaseError where a loop
    drives the study but does not answer in time: the request stands.
    """
    return _ask(name, storage, wait, "pause", {}, lambda store, ledger, record: _end(ledger, record, StudyState.PAUSED))


def stop(name: str, storage: str | None = None, *, wait: float = WAIT) -> str:
    """Start nothing new, let running trials finish, and end the loop. wait, raises: as of `pause`."""
    return _ask(name, storage, wait, "stop", {}, lambda store, ledger, record: _end(ledger, record, StudyState.STOPPED))


def cancel(name: str, trials: Sequence[int] = (), storage: str | None = None, *, wait: float = WAIT) -> str:
    """Kill the running tasks of these trials, which fail with that reason; of all that run, and end the loop, where none is named.

    wait, raises: as of `pause`; UsageError for an unknown trial.
    """

    def alone(store: Store, ledger: Ledger, record: StudyRecord) -> str:
        changes = _changes(store, ledger, record)
        with ledger.together():
            text, _ = changes.cancel(trials)
            if record.state is StudyState.RUNNING:
                ledger.set_state(StudyState.PAUSED if trials else StudyState.STOPPED, text)
        return text

    return _ask(name, storage, wait, "cancel", {"trials": list(trials)}, alone)


def retry(name: str, trials: Sequence[int] = (), storage: str | None = None, *, wait: float = WAIT) -> str:
    """Open these failed or cancelled trials again, all of them where none is named, from their last checkpoints where any are left.

    wait, raises: as of `pause`; UsageError for a trial that is unknown or did not fail.
    """
    return _ask(
        name,
        storage,
        wait,
        "retry",
        {"trials": list(trials)},
        lambda store, ledger, record: _open(store, ledger, record, lambda changes: changes.retry(trials)),
    )


def enqueue(
    name: str,
    storage: str | None = None,
    *,
    method: str | None = None,
    budget: str | None = None,
    channels: int | None = None,
    cells: int | None = None,
    replicate: int = 0,
    settings: Mapping[str, Any] | None = None,
    wait: float = WAIT,
) -> str:
    """One more trial, before the next that the sampler chooses.

    method: label of a variant. budget: such as `params=20%`, or as `moonas trials` shows it. channels, cells: of the final network.
    What the study leaves no choice in may be absent. settings: those that the method leaves open; for `direct` the operations too.
    wait, raises: as of `pause`; UsageError where that is no trial of the study, naming what would be, or one that it has already.
    """
    from moonas.outer.rows import column_of, read_trial

    fixed = {"method": method, "budget": budget, "channels": channels, "cells": cells, "replicate": replicate}
    row = {column: value for column, value in fixed.items() if value is not None}
    with opened(storage_url(storage), name) as store:  # what is no trial of the study is refused at once, whoever drives it
        plan = _plan(store.study(name))
        row |= {column_of(plan, setting): value for setting, value in (settings or {}).items()}
        read_trial(plan, row)
    return _ask(
        name,
        storage,
        wait,
        "enqueue",
        {"row": row},
        lambda store, ledger, record: _open(store, ledger, record, lambda changes: changes.enqueue(row)),
    )


def _ask(name: str, storage: str | None, wait: float, kind: str, payload: Mapping[str, Any], alone: Alone) -> str:
    """Hand a request to the loop that drives a study, or do it here where none does."""
    with opened(storage_url(storage), name) as store:
        study, request, until = store.study(name), None, time.monotonic() + wait
        while True:
            try:
                with store.ledger(study.id) as ledger:
                    if request is None or store.withdraw(request):
                        return alone(store, ledger, store.study(name))
            except LeaseError as held:
                driven = str(held)
            if request is None:
                request = store.add_request(study.id, kind, payload)
            if not wait:
                return f"asked; {driven.split('; ')[0]}, and takes it up as soon as it looks"
            while (answer := store.answer(study.id, request)) is None and time.monotonic() < until and _is_held(store, name):
                time.sleep(POLL)
            if answer is not None and answer.data:
                if answer.data["refused"]:
                    raise UsageError(answer.data["text"])
                return str(answer.data["text"])
            if time.monotonic() >= until and _is_held(store, name):
                raise LeaseError(
                    f"{driven}.\nIt has not answered within {wait:g} s. The request stands: it is done once that loop looks"
                )


def _is_held(store: Store, name: str) -> bool:
    from moonas.store.lease import has_died

    holder = store.study(name).lease_holder
    return holder is not None and not has_died(holder)


def _end(ledger: Ledger, record: StudyRecord, state: StudyState) -> str:
    """What pausing or stopping comes to where no loop is: one that died left the study RUNNING."""
    if record.state is StudyState.RUNNING:
        ledger.reset_running()
        ledger.set_state(state, "its loop had ended without a word")
        return f"no process drives {record.name}; it is {state} now. Go on with: moonas resume {record.name}"
    return f"no process drives {record.name}; it is {record.state}"


def _open(store: Store, ledger: Ledger, record: StudyRecord, change: Callable[[Changes], str]) -> str:
    """Make a change that opens trials, for the next loop to go on with."""
    changes = _changes(store, ledger, record)
    with ledger.together():
        text = change(changes)
        if changes.trials.open and record.state not in UNDRIVEN:
            ledger.set_state(StudyState.PAUSED, text)
    return f"{text}. Go on with: moonas resume {record.name}" if changes.trials.open else text


def _plan(record: StudyRecord) -> Plan:
    from moonas.outer.plan import Plan
    from moonas.study.loading import study_from

    return Plan(study_from(record.config, f"study {record.name}"), f"study {record.name}")


def _changes(store: Store, ledger: Ledger, record: StudyRecord) -> Changes:
    from moonas.outer.changing import Changes

    return Changes.without_loop(_plan(record), store, ledger)
