"""Attempts that fail: what becomes of the task, and which workers hang."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

from moonas.outer.work import OpenTask, Running
from moonas.worker.out_of_memory import OUT_OF_MEMORY, half_batch

MOST_STARTS = 3  # workers in a row that end before they can take a task, after which no more are tried
START_SECONDS = 300.0  # that a worker has to start and take its task up, where task_timeout is shorter
AWAY = 1.0  # seconds between two looks for workers that hang, beyond which they were not listened to meanwhile


@dataclass(frozen=True)
class Verdict:
    """What becomes of a task whose attempt failed.

    final: it is over; otherwise it is started again, with `batch` images a batch where that is not None.
    reason: of the attempt, one line. unable: why no task at all can run, where that is so.
    """

    final: bool
    reason: str
    batch: int | None = None
    unable: str = ""

    @property
    def note(self) -> str:
        """A line for who looks on, where the task is not over."""
        return f"{self.reason}; starting the task again from its last checkpoint"


class Failures:
    """Judges attempts that failed. max_attempts: how often a task is started whose worker died."""

    def __init__(self, max_attempts: int) -> None:
        self.max_attempts = max_attempts
        self._starts = 0  # that came to nothing, since the last worker that could take a task

    def worked(self) -> None:
        """A worker has reported: workers do start."""
        self._starts = 0

    def judge(self, task: OpenTask, device: str, kind: str, message: Mapping[str, Any]) -> Verdict:
        """What follows from the event that ended an attempt, `died`, `out of memory` or `error`, which is remembered with the task.

        A worker that died is worth another try, elsewhere if possible; memory that ran out one with half the batch; an exception
        would only come again. A worker that could not start is no fault of the task.
        """
        reason = message["reason"]
        if kind == "died" and not message.get("started", True):
            self._starts += 1
            known = f"{reason} before it could take a task"
            unable = f"no worker can start here: {known}\n{message['log']}".rstrip() if self._starts >= MOST_STARTS else ""
            return Verdict(False, known, unable=unable)
        self.worked()
        if kind == OUT_OF_MEMORY:
            reason = reason.partition("\n")[0]  # torch may add where in its own code it happened
            batch = half_batch(task.record.spec)
            if task.batch is not None or batch is None:
                return Verdict(True, f"{reason}, with half the batch too" if task.batch else reason)
            return Verdict(False, f"{reason}; once more with half the batch, {batch} images", batch)
        if kind == "died":
            task.died_on.append(device)
        return Verdict(kind != "died" or len(task.died_on) >= self.max_attempts, reason)


class Patience:
    """Finds the tasks that have not reported for `timeout` seconds, where that is given.

    Time in which the loop did not listen does not count.
    """

    def __init__(self, timeout: float | None) -> None:
        self.timeout = timeout
        self._looked = -inf  # whatever was before the first look does not count

    def lost(self, running: Mapping[int, Running]) -> dict[int, str]:
        """{slot: why its worker counts as hanging}, each told once."""
        now = time.monotonic()
        away, self._looked = now - self._looked, now
        found: dict[int, str] = {}
        if self.timeout is None:
            return found
        for slot, one in running.items():
            if away > AWAY:
                one.heard = min(now, one.heard + away)
            patience = self.timeout if one.begun else max(self.timeout, START_SECONDS)
            if now - one.heard > patience and not one.given_up:
                one.given_up = True
                found[slot] = f"no report for {patience:g} s (task_timeout): the worker hung and was killed"
        return found
