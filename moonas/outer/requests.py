"""What other processes ask of a loop through the database: pause, stop, cancel, retry, enqueue."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from moonas.errors import UsageError
from moonas.outer.changing import Changes
from moonas.outer.stagnation import CANCELLED
from moonas.store.reads import REQUEST
from moonas.store.records import RequestRecord
from moonas.store.states import StudyState

if TYPE_CHECKING:
    from moonas.outer.loop import Loop

LOOK = 0.5  # seconds between looks at the requests
STOPPED = "stopped on request"


class Requests:
    """Takes requests up in their order, each in one transaction together with the event that answers it."""

    def __init__(self, loop: Loop) -> None:
        self.loop, self.store, self.ledger = loop, loop.store, loop.ledger
        self.changes = Changes(loop.advancing, loop.store, in_loop=True)
        self.since = self.store.study(loop.study.name).lease_since or 0.0
        self._looked = time.monotonic() - LOOK

    def take(self, at_once: bool = False) -> bool:
        """Do what has been asked since the last look, which costs a short read; whether there was anything."""
        if not at_once and time.monotonic() - self._looked < LOOK:
            return False
        self._looked = time.monotonic()
        requests = self.store.requests(self.ledger.study_id)
        for request in requests:
            with self.ledger.together():
                self.ledger.take_request(request.id)
                try:
                    text, refused = self._do(request), False
                except UsageError as error:
                    text, refused = str(error), True
                self.ledger.add_event(REQUEST, f"{request.kind}: {text}", {"request": request.id, "text": text, "refused": refused})
            self.loop.watcher.note(f"{request.kind}: {text}" if refused else text)
        return bool(requests)

    def _do(self, request: RequestRecord) -> str:
        """Returns what came of a request; raises UsageError where that is refused."""
        trials = request.payload.get("trials", [])
        ends = request.kind in ("pause", "stop") or (request.kind == "cancel" and not trials)
        if ends and request.created < self.since:
            return f"asked before this loop began, so not done: {request.kind} is for a loop that runs"
        match request.kind:
            case "pause":
                return self._pause()
            case "stop":
                return self._stop()
            case "cancel":
                return self._cancel(trials)
            case "retry":
                return self._opened(self.changes.retry(trials))
            case "enqueue":
                return self._opened(self.changes.enqueue(request.payload.get("row", {})))
        raise UsageError(f"this moonas knows no request {request.kind!r}")

    def _pause(self) -> str:
        self.loop.pause()
        return pausing_text(self.loop)

    def _stop(self) -> str:
        if self.loop.ending is StudyState.PAUSED:
            return pausing_text(self.loop)
        self.loop.stop(STOPPED)
        return stopping_text(self.loop)

    def _cancel(self, trials: list[int]) -> str:
        text, tasks = self.changes.cancel(trials)
        self.loop.slots.kill(tasks, CANCELLED)
        if trials:
            return text
        self.loop.stop(CANCELLED)
        return f"{text}; nothing new starts"

    def _opened(self, text: str) -> str:
        """What is opened while the loop ends is left to the next one."""
        return text if self.loop.ending is None else f"{text}; this loop is ending: moonas resume {self.loop.config.name} goes on"


def ending_text(loop: Loop) -> str:
    """What a loop that is to end still waits for; empty where it is not to."""
    if loop.ending is None:
        return ""
    return pausing_text(loop) if loop.ending is StudyState.PAUSED else stopping_text(loop)


def pausing_text(loop: Loop) -> str:
    count = len(loop.slots.running)
    return f"pausing: {count} task{' ends at its' if count == 1 else 's end at their'} next checkpoint"


def stopping_text(loop: Loop) -> str:
    count = sum(trial.begun for trial in loop.trials.open.values())
    return f"stopping: {count} running trial{' finishes' if count == 1 else 's finish'}, nothing new starts"
