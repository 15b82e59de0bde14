"""A study is made, or found as it was stored, and driven in this process until it ends."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import moonas
from moonas.errors import Interrupted, StudyConflictError, UnknownStudyError
from moonas.store.records import StudyRecord
from moonas.store.states import StudyState

if TYPE_CHECKING:
    from moonas.outer.loop import Loop, Watcher
    from moonas.outer.plan import Plan
    from moonas.outer.slots import Pool
    from moonas.specs import Device
    from moonas.store.store import Store


class Silent:
    """A watcher that shows nothing."""

    def tick(self, loop: Loop) -> None:
        """Nothing to do."""

    def note(self, text: str) -> None:
        """Nothing to do."""


def create_or_match(store: Store, plan: Plan, extend: bool) -> tuple[StudyRecord, Plan]:
    """The stored study of the plan's name, with what the file adds; a new one where there is none.

    Raises StudyConflictError where the file differs from the stored study in what must not change.
    """
    from moonas.outer.past import with_past
    from moonas.outer.plan import Plan
    from moonas.outer.warm_start import with_distributions
    from moonas.study.changes import changes, scientific_hash
    from moonas.study.loading import study_from
    from moonas.study.schema import SCHEMA

    record, stored = None, None
    with suppress(UnknownStudyError):
        record = store.study(plan.config.name)
        stored = study_from(record.config, f"study {record.name}")
    config = replace(with_distributions(plan.config, store, stored), history=with_past(plan, store, stored))
    if config != plan.config:
        plan = Plan(config)
    data, config_hash = config.to_json(), scientific_hash(config)
    if record is None or stored is None:
        new: dict[str, Any] = {"schema": SCHEMA, "config_hash": config_hash, "seed": config.seed, "version": moonas.__version__}
        try:
            return store.create_study(config.name, data, **new), plan
        except StudyConflictError:  # another process has just made it
            return create_or_match(store, plan, extend)
    found = changes(stored, config)
    if refused := [change for change in found if change.kind == "refused"]:
        listed = "\n".join(f"  {change}" for change in refused)
        raise StudyConflictError(
            f"study {config.name!r} is stored with other settings, which must not change under its name:\n{listed}\n"
            f"Give the file another `name`, or delete the study: moonas delete {config.name}"
        )
    added = [change for change in found if change.kind == "addition"]
    if added and not extend:
        listed = "\n".join(f"  {change}" for change in added)
        raise StudyConflictError(f"the file adds to study {config.name!r}:\n{listed}\nRun it with --extend to accept this.")
    if found:
        with store.ledger(record.id) as ledger:
            ledger.update_study_config(data, config_hash, "; ".join(map(str, found)))
    return store.study(config.name), plan


def drive(store: Store, record: StudyRecord, plan: Plan, artifacts: str, watcher: Watcher | None) -> StudyState:
    """Work on a study in this process until it ends; returns how. artifacts: URL of the folder for its files.

    Raises LeaseError where another process drives it; Interrupted after Ctrl-C or SIGTERM, everything saved.
    """
    from moonas.outer.loop import Loop
    from moonas.worker.inline import InlinePool
    from moonas.worker.pools import make_pool

    watcher = watcher or Silent()
    with store.ledger(record.id) as ledger:
        pool: Pool = InlinePool() if plan.instant else make_pool(plan.config.workers, watcher.note)
        try:
            device = _measuring_device(pool, plan) if plan.measured else None
            loop = Loop(store, ledger, record, plan, pool, artifacts, watcher, device)
            with _pausing_on_signals(loop, watcher) as caught:
                state = loop.run()
        finally:
            pool.close()
    if caught:
        raise Interrupted(f"paused; everything is saved. Go on with: moonas resume {plan.config.name}", caught[0])
    return state


def _measuring_device(pool: Pool, plan: Plan) -> Device:
    """Fingerprint of the pool's first device, found by measuring one network there, which also shows whether all can be measured.

    Raises TaskError where a metric is not available.
    """
    import numpy as np

    from moonas.outer.single import run_one

    size, decoder = next(iter(plan.decoders.items()))
    some = decoder.decode({name: np.zeros(group.shape) for name, group in plan.space.groups.items()})
    spec = plan.measure_spec(some.architecture, plan.final_skeleton(size), None)
    once = replace(spec, settings={**spec.settings, "warmups": 0, "repeats": 1})
    return run_one(pool, once.to_json(), lambda progress: None)["device"]


@contextmanager
def _pausing_on_signals(loop: Loop, watcher: Watcher) -> Iterator[list[int]]:
    """Ctrl-C and SIGTERM pause the loop; a second one ends it where it stands. Yields the signals caught."""
    from moonas.outer.requests import ending_text

    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield caught
        return

    def handle(number: int, frame: Any) -> None:
        caught.append(number)
        if len(caught) > 1:
            raise Interrupted(f"stopped; go on with: moonas resume {loop.config.name}", number)
        loop.pause()
        watcher.note(f"{ending_text(loop)}; once more to stop at once")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
