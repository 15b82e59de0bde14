"""Local workers: one spawned process per slot, pinned to a device, so that a crash of torch never takes the loop down."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from moonas.worker.devices import environment, gpu_of
from moonas.worker.idle import Gpus

WORKER = "moonas.worker.process"  # the module that a worker runs
LOG_LINES = 60  # of a worker's log kept for the reason of its death
LAST_WORDS = 0.3  # seconds that a process which hangs has to write where it stands


@dataclass(frozen=True)
class Event:
    """Something a slot reported.

    kind: "begun" (a task was taken up), "progress", "result", "interrupted", "unable" (data are missing, a disk is full), "out of
    memory", "error" or "died", whose message says by `started` whether the process had come so far as to take tasks.
    worker: the name of the process, by which the last words of one that died are told from those of its successor.
    """

    slot: int
    kind: str
    message: Mapping[str, Any] = field(default_factory=dict)
    worker: str = ""


class LocalPool:
    """A process per slot, started at once and again after it died.

    devices: the device of each slot. threads: CPU threads of a task. only_idle: leave GPUs alone that others use.
    Raises UsageError where it cannot be found out who uses them.
    """

    def __init__(self, devices: Sequence[str], threads: int = 1, only_idle: bool = False) -> None:
        self.devices = list(devices)
        self.events: queue.Queue[Event] = queue.Queue()
        self._threads = threads
        self._gpus = Gpus() if only_idle and any(map(gpu_of, devices)) else None
        self._slots = [self._spawn(index) for index in range(len(devices))]

    def ready(self, slot: int) -> str:
        """Make sure that a free slot has a living process; returns its name."""
        if self._slots[slot].process.poll() is not None:
            self._slots[slot] = self._spawn(slot)
        return self._slots[slot].name

    def busy(self, slot: int) -> str:
        """Who else uses the GPU of a slot, where that is asked for; empty where it may be given a task."""
        gpu, device = gpu_of(self.devices[slot]), self.devices[slot]
        if self._gpus is None or gpu is None:
            return ""
        mine = [other.process.pid for other in self._slots if self.devices[other.index] == device and other.has_worked]
        return self._gpus.used_by_others(gpu, mine)

    def start(self, slot: int, task: Mapping[str, Any]) -> None:
        """Give a ready slot a task: the keyword arguments of `moonas.worker.tasks.run_task`."""
        self._slots[slot].has_worked = True
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

    def kill(self, slot: int, reason: str = "") -> None:
        """End a slot's process with its children; what it had reported is kept.

        reason: what its `died` event shall say of one that hangs, which is asked first to write into its log where it stands.
        """
        self._slots[slot].kill(reason)

    def close(self) -> None:
        """End every process at once."""
        for slot in self._slots:
            slot.closing = True
            slot.kill()
        for slot in self._slots:
            with contextlib.suppress(subprocess.TimeoutExpired):  # one that waits for a device or a network drive, not to be killed
                slot.process.wait(timeout=5)

    def _spawn(self, index: int) -> _Slot:
        process = subprocess.Popen(
            [sys.executable, "-m", WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=environment(self.devices[index], self._threads, len(self.devices)),
            start_new_session=True,  # Ctrl-C reaches the loop alone, which decides what it means
        )
        return _Slot(index, process, self.events)


class _Slot:
    """One process, the head of a group of its own, with the threads that read what it writes and wait for its end.

    is_ready: it has come so far as to take tasks. has_worked: it was given one.
    """

    def __init__(self, index: int, process: subprocess.Popen[str], events: queue.Queue[Event]) -> None:
        self.index, self.process, self.events = index, process, events
        self.name = f"{platform.node()}/{process.pid}"
        self.closing = self.is_ready = self.has_worked = False
        self.log: deque[str] = deque(maxlen=LOG_LINES)
        self._reason = ""
        self._readers = [threading.Thread(target=read, daemon=True) for read in (self._read_log, self._read_events)]
        for reader in self._readers:
            reader.start()
        threading.Thread(target=self._wait, daemon=True).start()

    def send(self, message: Mapping[str, Any]) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):  # a dead process is told by its `died` event
            self.process.stdin.write(json.dumps(message) + "\n")
            self.process.stdin.flush()

    def kill(self, reason: str = "") -> None:
        """See `LocalPool.kill`."""
        if self.process.poll() is not None:
            return
        if reason:
            self._reason = reason
            self.process.send_signal(signal.SIGUSR1)
            time.sleep(LAST_WORDS)
        self._kill_group()

    def _kill_group(self) -> None:
        with contextlib.suppress(OSError):  # nobody is left
            os.killpg(self.process.pid, signal.SIGKILL)

    def _read_events(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            try:
                message = json.loads(line)
            except ValueError:
                continue  # cut off by a kill
            kind = message.pop("event")
            if kind == "ready":
                self.is_ready = True
            else:
                self.events.put(Event(self.index, kind, message, self.name))

    def _read_log(self) -> None:
        assert self.process.stderr is not None
        self.log.extend(self.process.stderr)

    def _wait(self) -> None:
        code = self.process.wait()
        self._kill_group()  # children that it left behind, which hold its pipes open
        for reader in self._readers:
            reader.join(timeout=5)
        if not self.closing:
            message = {"reason": self._reason or _death(code), "log": "".join(self.log), "started": self.is_ready}
            self.events.put(Event(self.index, "died", message, self.name))


def _death(code: int) -> str:
    if code >= 0:
        return f"the worker process ended with exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    hint = "; the machine may have run out of memory" if name == "SIGKILL" else ""
    return f"the worker process was killed by {name}{hint}"
