"""What a task came to, as the loop is told of it, wherever it ran."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

from moonas.errors import DataError, DeviceError, StorageError
from moonas.worker.out_of_memory import OUT_OF_MEMORY, is_out_of_memory

Report = Callable[[dict[str, Any]], str | None]  # what a task tells; answered "continue" or None, "stop", "prune" or "pause"


class TaskInterrupted(Exception):
    """The task ended at a checkpoint because the answer to its report was so. action: stop, prune or pause."""

    def __init__(self, action: str) -> None:
        super().__init__(action)
        self.action = action


def outcome(run: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Run a task. Returns `{"event": "result" | "interrupted" | "unable" | "out of memory" | "error", ...}`."""
    try:
        return {"event": "result", "result": run()}
    except TaskInterrupted as interruption:
        return {"event": "interrupted", "action": interruption.action}
    except (DataError, DeviceError, StorageError) as error:  # no trial's fault: the same befalls every task here
        return {"event": "unable", "reason": str(error)}
    except Exception as error:
        event = OUT_OF_MEMORY if is_out_of_memory(error) else "error"
        return {"event": event, "reason": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}
