"""The process of one slot: reads tasks as JSON lines, runs them one after another, writes JSON lines back.

It ends when its standard input does, so no worker outlives the loop that started it, however that loop ended.
In: `{"task": {...}}` and `{"command": "pause"}`. Out: `{"event": "progress" | "result" | "interrupted" | "unable" | "error", ...}`.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import traceback
from typing import Any

from moonas.errors import DataError, DeviceError, StorageError
from moonas.registry import load_object

RUN_TASK = "moonas.worker.tasks:run_task"


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
    channel = Channel()
    channel.send(event="ready")
    run_task = load_object(RUN_TASK)
    interrupted = load_object("moonas.worker.tasks:TaskInterrupted")
    while True:
        task = channel.tasks.get()
        try:
            result = run_task(task.pop("spec"), channel.report, **task)
        except interrupted as action:
            channel.send(event="interrupted", action=str(action))
        except (DataError, DeviceError, StorageError) as error:  # no trial's fault: the same befalls every task here
            channel.send(event="unable", reason=str(error))
        except Exception as error:
            channel.send(event="error", reason=f"{type(error).__name__}: {error}", traceback=traceback.format_exc())
        else:
            channel.send(event="result", result=result)


if __name__ == "__main__":
    main()
