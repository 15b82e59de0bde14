"""A pool of one slot in the loop's own process, for studies whose tasks all need no torch and no time."""

from __future__ import annotations

import os
import platform
from collections import deque
from collections.abc import Mapping
from functools import partial
from typing import Any

from moonas.worker.instant import run_instant
from moonas.worker.local import Event
from moonas.worker.outcome import outcome


class InlinePool:
    """A task runs when it is started and is over at once, so that no command ever reaches one."""

    def __init__(self) -> None:
        self.devices = ["cpu"]
        self._name = f"{platform.node()}/{os.getpid()}"
        self._events: deque[Event] = deque()

    def ready(self, slot: int) -> str:
        return self._name

    def busy(self, slot: int) -> str:
        return ""

    def start(self, slot: int, task: Mapping[str, Any]) -> None:
        message = outcome(partial(run_instant, task["spec"]))
        self._events.append(Event(slot, message.pop("event"), message, self._name))

    def command(self, slot: int, command: str) -> None:
        """Nothing is running."""

    def kill(self, slot: int, reason: str = "") -> None:
        """Nothing is running."""

    def next_event(self, timeout: float) -> Event | None:
        return self._events.popleft() if self._events else None

    def close(self) -> None:
        """Nothing to end."""
