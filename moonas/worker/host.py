"""What a machine of a cluster runs for one slot: a local worker process, so that a task lives there as it does at home.

It is called from afar and answers with JSON text alone. It ends, and its worker with it, when whoever started it is gone.
"""

from __future__ import annotations

import json
import os
import platform

import moonas
from moonas.errors import ClusterError
from moonas.worker.local import LocalPool


class Host:
    """One slot.

    device: "cuda", the first GPU that the process may use, or "cpu". threads: CPU threads of a task. loaders: processes that read
    images, unless the machine's environment says how many. version: of moonas where the loop runs; raises ClusterError for another.
    """

    def __init__(self, device: str, threads: int, loaders: int, version: str) -> None:
        if version != moonas.__version__:
            raise ClusterError(f"{platform.node()} has moonas {moonas.__version__}, but the loop is of {version}")
        os.environ.setdefault("MOONAS_LOADERS", str(loaders))
        self._pool = LocalPool(["cuda:0" if device == "cuda" else "cpu"], threads)
        self._task, self._worker = 0, ""

    def name(self) -> str:
        """Of this process, with its machine."""
        return f"{platform.node()}/{os.getpid()}"

    def start(self, number: int, task: str) -> None:
        """Give the free worker a task, as JSON; what it reports bears the number."""
        worker = self._pool.ready(0)
        self._task, self._worker = number, worker
        self._pool.start(0, json.loads(task))

    def command(self, command: str) -> None:
        """Tell the task to `pause`, `stop` or `prune` at its next checkpoint."""
        self._pool.command(0, command)

    def kill(self, reason: str = "") -> None:
        """End the worker at once; what it had reported is kept. reason: as of `LocalPool.kill`."""
        self._pool.kill(0, reason)

    def listen(self, seconds: float) -> str:
        """What the task has reported since the last call, after `seconds` at the latest: [[number, kind, message], ...] as JSON."""
        heard, event = [], self._pool.next_event(seconds)
        while event is not None:
            if event.worker == self._worker:  # not the last words of a worker before this one
                heard.append((self._task, event.kind, event.message))
            event = self._pool.next_event(0)
        return json.dumps(heard)

    def close(self) -> None:
        """End the worker for good."""
        self._pool.close()
