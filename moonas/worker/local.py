"""Local workers: one spawned process per slot, pinned to a device, so that a crash of torch never takes the loop down."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from moonas.errors import UsageError
from moonas.storage import without_storage
from moonas.study.sections import Workers

LOG_LINES = 40  # of a worker's log kept for the reason of its death
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Event:
    """Something a slot reported.

    kind: "progress", "result", "interrupted", "unable" (data are missing, a disk is full), "error" or "died".
    worker: the name of the process, by which the last words of one that died are told from those of its successor.
    """

    slot: int
    kind: str
    message: Mapping[str, Any] = field(default_factory=dict)
    worker: str = ""


def gpu_count() -> int:
    """NVIDIA GPUs that this process may use, found without loading torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([part for part in visible.split(",") if part.strip() and part.strip() != "-1"])
    driver = Path("/proc/driver/nvidia/gpus")
    return len(list(driver.iterdir())) if driver.is_dir() else 0


def cpu_count() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def slot_devices(workers: Workers) -> list[str]:
    """The device of every slot: `cuda:0` and so on, or `cpu`. Raises UsageError for a GPU that is not there."""
    gpus = gpu_count()
    if isinstance(workers.devices, tuple):
        if missing := [index for index in workers.devices if index >= gpus]:
            raise UsageError(f"workers.devices: there is no GPU {missing[0]} here; {gpus} found. Use `devices: auto` or `cpu`")
        indices: Sequence[int] = workers.devices
    else:
        indices = range(gpus) if workers.devices == "auto" else ()
    if indices:
        return [f"cuda:{index}" for index in indices for _ in range(workers.tasks_per_device or 1)]
    return ["cpu"] * (workers.tasks_per_device or max(1, cpu_count() // workers.threads_per_task))


class LocalPool:
    """A process per slot, started at once and again after it died.

    devices: the device of each slot. threads: CPU threads of a task.
    """

    def __init__(self, devices: Sequence[str], threads: int = 1) -> None:
        self.devices = list(devices)
        self.events: queue.Queue[Event] = queue.Queue()
        self._threads = threads
        self._slots = [self._spawn(index) for index in range(len(devices))]

    def ready(self, slot: int) -> str:
        """Make sure that a free slot has a living process; returns its name."""
        if self._slots[slot].process.poll() is not None:
            self._slots[slot] = self._spawn(slot)
        return self._slots[slot].name

    def start(self, slot: int, task: Mapping[str, Any]) -> None:
        """Give a ready slot a task: the keyword arguments of `moonas.worker.tasks.run_task`."""
        self._slots[slot].send({"task": {**task, "device": "cuda" if self.devices[slot].startswith("cuda") else "cpu"}})

    def command(self, slot: int, command: str) -> None:
        """Tell the task in a slot to `pause`, `stop` or `prune` at its next checkpoint."""
        self._slots[slot].send({"command": command})

    def next_event(self, timeout: float) -> Event | None:
        """The next event of any slot, or None after `timeout` seconds."""
        try:
            return self.events.get(timeout=timeout)
        except queue.Empty:
            return None

    def kill(self, slot: int) -> None:
        """End a slot's process at once; what it had reported is kept."""
        self._slots[slot].process.kill()

    def close(self) -> None:
        """End every process at once."""
        for slot in self._slots:
            slot.closing = True
            with contextlib.suppress(OSError):
                slot.process.kill()
        for slot in self._slots:
            slot.process.wait()

    def _spawn(self, index: int) -> _Slot:
        environment = {
            **without_storage(os.environ),
            **dict.fromkeys(THREAD_VARIABLES, str(self._threads)),
            "PYTHONUNBUFFERED": "1",
        }
        environment.setdefault("MOONAS_LOADERS", str(max(1, cpu_count() // len(self.devices))))
        device = self.devices[index]
        if device.startswith("cuda"):
            number = int(device.removeprefix("cuda:"))
            allowed = environment.get("CUDA_VISIBLE_DEVICES")
            environment["CUDA_VISIBLE_DEVICES"] = allowed.split(",")[number].strip() if allowed else str(number)
            environment["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # deterministic matrix products
        else:
            environment["CUDA_VISIBLE_DEVICES"] = ""
        process = subprocess.Popen(
            [sys.executable, "-m", "moonas.worker.process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=environment,
            start_new_session=True,  # Ctrl-C reaches the loop alone, which decides what it means
        )
        return _Slot(index, process, self.events)


class _Slot:
    """One process with the threads that read what it writes."""

    def __init__(self, index: int, process: subprocess.Popen[str], events: queue.Queue[Event]) -> None:
        self.index, self.process, self.events = index, process, events
        self.name = f"{platform.node()}/{process.pid}"
        self.closing = False
        self.log: deque[str] = deque(maxlen=LOG_LINES)
        self._logger = threading.Thread(target=self._read_log, daemon=True)
        self._logger.start()
        threading.Thread(target=self._read_events, daemon=True).start()

    def send(self, message: Mapping[str, Any]) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):  # a dead process is told by its `died` event
            self.process.stdin.write(json.dumps(message) + "\n")
            self.process.stdin.flush()

    def _read_events(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            try:
                message = json.loads(line)
            except ValueError:
                continue  # cut off by a kill
            kind = message.pop("event")
            if kind != "ready":
                self.events.put(Event(self.index, kind, message, self.name))
        code = self.process.wait()
        self._logger.join(timeout=5)
        if not self.closing:
            self.events.put(Event(self.index, "died", {"reason": _death(code), "log": "".join(self.log)}, self.name))

    def _read_log(self) -> None:
        assert self.process.stderr is not None
        self.log.extend(self.process.stderr)


def _death(code: int) -> str:
    if code >= 0:
        return f"the worker process ended with exit code {code}"
    import signal

    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    hint = "; the machine may have run out of memory" if name == "SIGKILL" else ""
    return f"the worker process was killed by {name}{hint}"
