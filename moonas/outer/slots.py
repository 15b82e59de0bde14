"""The slots of a pool: the tasks that run there, and what is stored when a worker reports."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from moonas.outer.advancing import Advancing
from moonas.outer.work import OpenTask, Running
from moonas.store.ledger import Ledger
from moonas.store.reads import CHECKPOINT
from moonas.store.states import TaskState
from moonas.store.store import Store
from moonas.worker.artifacts import delete_artifact


class Pool(Protocol):
    """Slots that run tasks elsewhere. devices: of each slot, empty while it has no worker; slots may be added."""

    @property
    def devices(self) -> list[str]: ...
    def ready(self, slot: int) -> str: ...
    def start(self, slot: int, task: Mapping[str, Any]) -> None: ...
    def command(self, slot: int, command: str) -> None: ...
    def next_event(self, timeout: float) -> Any: ...
    def close(self) -> None: ...


class Slots:
    """What runs in which slot of a pool.

    artifacts: URL of the folder checkpoints go to. note: takes a line worth reading. unable: why no task can run, where that is so.
    """

    def __init__(
        self, pool: Pool, store: Store, ledger: Ledger, advancing: Advancing, note: Callable[[str], None], artifacts: str
    ) -> None:
        self.pool, self.store, self.ledger, self.advancing = pool, store, ledger, advancing
        self.note, self.artifacts = note, artifacts
        self.running: dict[int, Running] = {}
        self.unable = ""
        self._spent = store.device_seconds(ledger.study_id)  # by attempts that have ended

    @property
    def device_seconds(self) -> float:
        """How long tasks of the study have been running, all of them together."""
        now = time.monotonic()
        return self._spent + sum(now - running.began for running in self.running.values())

    def start(self, slot: int, task: OpenTask) -> None:
        """Let a task run in a free slot, from its newest checkpoint."""
        worker = self.pool.ready(slot)
        attempt = self.ledger.start_attempt(task.record.id, worker, self.pool.devices[slot])
        task.state, task.tries = TaskState.RUNNING, task.tries + 1
        checkpoint: dict[str, Any] | None = None
        for location in task.checkpoints:
            checkpoint = {**location, "previous": checkpoint}
        self.running[slot] = Running(task, attempt, worker, time.monotonic())
        self.pool.start(slot, {"spec": task.record.spec, "artifacts": self.artifacts, "checkpoint": checkpoint})

    def beside(self, device: str) -> list[OpenTask]:
        """The tasks that run on a device."""
        return [running.task for slot, running in self.running.items() if self.pool.devices[slot] == device]

    def pause(self) -> None:
        """End all tasks at their next checkpoint."""
        for slot in self.running:
            self.pool.command(slot, "pause")

    def handle(self, event: Any) -> None:
        """Store what an event says, and bring the trials that waited for it as far as they go."""
        running = self.running.get(event.slot)
        if running is None or event.worker != running.worker:
            return  # an idle worker died: the slot starts another when it has work
        task, message = running.task, event.message
        seconds = time.monotonic() - running.began
        if event.kind == "progress":
            self._progress(running, message)
            return
        del self.running[event.slot]
        self._spent += seconds
        if task.state is TaskState.PRUNED:  # however the attempt ended
            self.ledger.prune_attempt(task.record.id, running.attempt, seconds)
        elif event.kind == "result":
            self._finish(running, message["result"], seconds)
        elif event.kind == "interrupted":
            self.ledger.pause_attempt(task.record.id, running.attempt, seconds)
            task.state = TaskState.WAITING
        elif event.kind == "unable":
            self.ledger.fail_attempt(task.record.id, running.attempt, message["reason"], "", final=False, seconds=seconds)
            task.state, self.unable = TaskState.WAITING, message["reason"]
        else:
            self._attempt_failed(running, event.kind == "died", message, seconds)

    def _progress(self, running: Running, message: Mapping[str, Any]) -> None:
        if "warning" in message:
            self.ledger.add_event("warning", message["warning"])
            self.note(f"warning: {message['warning']}")
            return
        task, checkpoint = running.task, message.get("checkpoint")
        task.progress = message
        with self.ledger.together():
            dropped = self.ledger.record_progress(task.record.id, running.attempt, message["step"], message["metrics"], checkpoint)
            if checkpoint:
                task.checkpoints = [*task.checkpoints, checkpoint][-2:]
            if self.advancing.pruner.curves and task.record.kind == "evaluate":
                dropped += self._look(task, message)
        self._remove(dropped)

    def _look(self, task: OpenTask, message: Mapping[str, Any]) -> list[str]:
        """Give up a training that cannot reach the front any more, with all others of its network. Returns URLs of checkpoints."""
        if task.state is TaskState.PRUNED:  # it ends with this epoch
            return self.ledger.drop_artifacts(task.record.id, CHECKPOINT)
        given_up, dropped = self.advancing.give_up(task, message)
        for slot, running in self.running.items():
            if running.task in given_up:
                self.pool.command(slot, "prune")
        return dropped

    def _finish(self, running: Running, result: Mapping[str, Any], seconds: float) -> None:
        task, plan = running.task, self.advancing.plan
        left = result.get("weights")
        with self.ledger.together():
            if task.record.kind in ("search", "rerank"):
                kept = [{**left, "kind": "weights"}] if left and plan.keeps_weights else []
                dropped = self.ledger.finish_search(task.record.id, running.attempt, result, seconds, kept)
                dropped += [left["url"]] if left and not kept else []
            else:
                key = self.advancing.findings.key_of(task.record)
                dropped = self.ledger.finish_evaluation(
                    task.record.id,
                    running.attempt,
                    key,
                    result["metrics"],
                    seconds,
                    device=result["device"],
                    versions=result["versions"],
                    data_checksum=result.get("data_checksum", ""),
                )
                self.advancing.findings.learn(key)
            task.state, task.result, task.checkpoints = TaskState.COMPLETE, result, []
            self.advancing.advance_waiting(task)
        if self.advancing.pruner.curves and task.record.kind == "evaluate":
            self.advancing.pruner.learn(self.store.curves(self.ledger.study_id, task.record.id))
        self._remove(dropped)

    def _attempt_failed(self, running: Running, died: bool, message: Mapping[str, Any], seconds: float) -> None:
        """A worker that died is worth another try, from the last checkpoint; an exception would only come again."""
        task = running.task
        final = not died or task.tries >= self.advancing.config.workers.max_attempts
        reason, error = message["reason"], message.get("traceback") or message.get("log", "")
        with self.ledger.together():
            self.ledger.fail_attempt(task.record.id, running.attempt, reason, error, final=final, seconds=seconds)
            if final:
                task.state, task.reason = TaskState.FAIL, reason
                self.advancing.advance_waiting(task)
            else:
                task.state = TaskState.WAITING
                self.note(f"{reason}; starting the task again from its last checkpoint")

    def _remove(self, urls: list[str]) -> None:
        for url in urls:
            delete_artifact(url)
