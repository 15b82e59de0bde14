"""The process of one slot: reads tasks as JSON lines, runs them one after another, writes JSON lines back.

It ends when its standard input does, and where it cannot notice that any more the system ends it, so no worker outlives the loop
that started it, however that loop ended. A fault of compiled code, and SIGUSR1, leave the Python stack of every thread in the log.
In: `{"task": {...}}` and `{"command": "pause"}`. Out: `{"event": "ready" | "begun" | "progress", ...}` and what `outcome` returns.
"""

from __future__ import annotations

import ctypes
import faulthandler
import json
import os
import queue
import signal
import sys
import threading
from functools import partial
from typing import Any

from moonas.registry import load_object
from moonas.worker.out_of_memory import OUT_OF_MEMORY, free_memory
from moonas.worker.outcome import outcome

RUN_TASK = "moonas.worker.tasks:run_task"
PR_SET_PDEATHSIG = 1  # of <sys/prctl.h>


class Channel:
    """The two pipes to the loop; a thread of its own reads, so that a command reaches a running task."""

    def __init__(self) -> None:
        self._out = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
        os.dup2(2, 1)  # what libraries print goes to the log, not between the messages
        self.command: str | None = None
        self.tasks: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def send(self, **message: Any) -> None:
        """Write one message. A closed pipe means that the loop is gone: the process ends."""
        try:
            self._out.write(json.dumps(message) + "\n")
            self._out.flush()
        except BrokenPipeError:
            os._exit(0)

    def report(self, progress: dict[str, Any]) -> str:
        """What a task reports; answers with the latest command, or `continue`."""
        self.send(event="progress", **progress)
        return self.command or "continue"

    def _read(self) -> None:
        for line in sys.stdin:
            message = json.loads(line)
            if "task" in message:
                self.command = None
                self.tasks.put(message["task"])
            else:
                self.command = message["command"]
        os._exit(0)


def main() -> None:
    """Serve tasks until the loop is gone."""
    _die_with_the_loop()
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1)
    channel = Channel()
    run_task = load_object(RUN_TASK)
    channel.send(event="ready")
    while True:
        task = channel.tasks.get()
        channel.send(event="begun")
        found = outcome(partial(run_task, task.pop("spec"), channel.report, **task))
        if found["event"] == OUT_OF_MEMORY:
            free_memory()
        channel.send(**found)


def _die_with_the_loop() -> None:
    """Have Linux kill this process with its parent: one that is stopped, or hangs in compiled code, reads no end of its input."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main()
