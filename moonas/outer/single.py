"""One task alone, without a study."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from moonas.errors import TaskError
from moonas.outer.slots import Pool


def run_one(pool: Pool, spec: Mapping[str, Any], report: Callable[[Mapping[str, Any]], None]) -> dict[str, Any]:
    """Run one task in slot 0 of a pool and wait for its result. Raises TaskError."""
    pool.ready(0)
    pool.start(0, {"spec": spec, "artifacts": None, "checkpoint": None})
    while True:
        event = pool.next_event(timeout=60.0)
        if event is None or event.kind == "begun":
            continue
        if event.kind == "progress":
            report(event.message)
        elif event.kind == "result":
            return dict(event.message["result"])
        else:
            detail = event.message.get("traceback") or event.message.get("log", "")
            raise TaskError(f"the task failed: {event.message['reason']}\n{detail}".rstrip())
