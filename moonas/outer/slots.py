"""The slots of a pool: the tasks that run there, and what is stored when a worker reports."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any, Protocol

from moonas.errors import StorageError
from moonas.outer.advancing import Advancing
from moonas.outer.failing import Failures, Patience
from moonas.outer.work import OpenTask, Running
from moonas.store.ledger import Ledger
from moonas.store.reads import CHECKPOINT, OUT_OF_MEMORY
from moonas.store.states import AttemptState, TaskState
from moonas.store.store import Store
from moonas.store.weights import WEIGHTS
from moonas.worker.artifacts import delete_artifact


class Pool(Protocol):
    """Slots that run tasks elsewhere. devices: of each slot, empty while it has no worker; slots may be added."""

    @property
    def devices(self) -> list[str]: ...
    def ready(self, slot: int) -> str: ...
    def busy(self, slot: int) -> str: ...
    def start(self, slot: int, task: Mapping[str, Any]) -> None: ...
    def command(self, slot: int, command: str) -> None: ...
    def kill(self, slot: int, reason: str = "") -> None: ...
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
        self._told_of_leftovers = False
        workers = advancing.config.workers
        self.failures, self.patience = Failures(workers.max_attempts), Patience(workers.task_timeout)
        self._in_hand: tuple[Any, Running, int] | None = None  # an event that is being stored, and what had counted before
        self._spent = store.device_seconds(ledger.study_id)  # by attempts that have ended, those of dead loops too

    @property
    def device_seconds(self) -> float:
        """How long tasks of the study have been running, all of them together."""
        now = time.monotonic()
        return self._spent + sum(now - running.began for running in self.running.values())

    def start(self, slot: int, task: OpenTask) -> None:
        """Let a task run in a free slot, from its newest checkpoint."""
        worker = self.pool.ready(slot)
        attempt = self.ledger.start_attempt(task.record.id, worker, self.pool.devices[slot])
        task.state = TaskState.RUNNING
        checkpoint: dict[str, Any] | None = None
        for location in task.checkpoints:
            checkpoint = {**location, "previous": checkpoint}
        now = time.monotonic()
        self.running[slot] = Running(task, attempt, worker, began=now, heard=now)
        for trial in self.advancing.trials.waiting_for(task):
            trial.begun = True
        where = {"artifacts": self.artifacts, "checkpoint": checkpoint}
        halved = {} if task.batch is None else {"batch": task.batch}
        keep_weights = self.advancing.findings.keeping.wants(task.record)
        self.pool.start(slot, {"spec": task.record.spec, **where, **halved, "keep_weights": keep_weights})

    @property
    def attempts(self) -> list[int]:
        """The attempts that run, by their ids."""
        return [running.attempt for running in self.running.values()]

    def beside(self, device: str) -> list[OpenTask]:
        """The tasks that run on a device."""
        return [running.task for slot, running in self.running.items() if self.pool.devices[slot] == device]

    def is_better_elsewhere(self, task: OpenTask, device: str) -> bool:
        """Whether a task has lost its worker on this device, and there is one that it has not tried and that others do not use."""
        if device not in task.died_on or task.is_alone:
            return False
        untried = [slot for slot, other in enumerate(self.pool.devices) if other and other not in task.died_on]
        return any(slot in self.running or not self.pool.busy(slot) for slot in untried)

    def kill_hanging(self) -> None:
        """Kill the workers of tasks that have not reported for too long; each `died` event says so."""
        for slot, reason in self.patience.lost(self.running).items():
            self.pool.kill(slot, reason)

    def pause(self) -> None:
        """End all tasks at their next checkpoint."""
        for slot in self.running:
            self.pool.command(slot, "pause")

    def kill(self, tasks: Collection[OpenTask], why: str) -> None:
        """End those of the tasks at once that no open trial waits for any more; they keep their last checkpoint."""
        for slot, running in self.running.items():
            if running.task in tasks and not self.advancing.trials.waiting_for(running.task):
                running.killed = why
                self.pool.kill(slot)

    def handle(self, event: Any) -> None:
        """Store what an event says, and bring the trials that waited for it as far as they go."""
        running = self.running.get(event.slot)
        if running is None or event.worker != running.worker:
            return  # an idle worker died: the slot starts another when it has work
        self._in_hand = (event, running, self.ledger.commits)
        self._store(event, running)
        self._in_hand = None

    def give_back(self) -> Any:
        """Undo what an event did here whose storing broke off; returns the event, None where there was none or it has counted.

        To be called once it is settled what has counted.
        """
        if self._in_hand is None:
            return None
        event, running, commits = self._in_hand
        self.running[event.slot] = running
        return event if self.ledger.commits == commits else None

    def adopt(self, before: Slots) -> None:
        """Go on with what runs in the slots of a loop that began anew, as far as the database knows of it."""
        known = {attempt.id for attempt in self.store.attempts(self.ledger.study_id, state=AttemptState.RUNNING)}
        by_id = {task.record.id: task for task in self.advancing.tasks.values()}
        for task in before.advancing.tasks.values():
            if task.record.id in by_id:
                by_id[task.record.id].died_on = task.died_on
        for slot, running in before.running.items():
            if running.attempt in known:
                task = by_id[running.task.record.id]
                task.progress = running.task.progress
                self.running[slot] = replace(running, task=task)
        self.unable = before.unable

    def _store(self, event: Any, running: Running) -> None:
        task, message = running.task, event.message
        seconds = time.monotonic() - running.began
        if event.kind in ("begun", "progress"):
            running.begun, running.heard = True, time.monotonic()
            self.failures.worked()
            if event.kind == "progress":
                self._progress(running, message)
            return
        del self.running[event.slot]
        self._spent += seconds
        if task.state is TaskState.PRUNED:  # however the attempt ended
            self.ledger.prune_attempt(task.record.id, running.attempt, seconds)
            left = message.get("result", {}).get("weights")
            self._remove([left["url"]] if left else [])
        elif event.kind == "result":
            self._finish(running, message["result"], seconds)
        elif running.killed:
            self.ledger.fail_attempt(task.record.id, running.attempt, running.killed, "", final=False, seconds=seconds)
            task.state = TaskState.WAITING
        elif event.kind == "interrupted":
            self.ledger.pause_attempt(task.record.id, running.attempt, seconds)
            task.state = TaskState.WAITING
        elif event.kind == "unable":
            self.ledger.fail_attempt(task.record.id, running.attempt, message["reason"], "", final=False, seconds=seconds)
            task.state, self.unable = TaskState.WAITING, message["reason"]
        else:
            self._attempt_failed(running, self.pool.devices[event.slot], event.kind, message, seconds)

    def _progress(self, running: Running, message: Mapping[str, Any]) -> None:
        if "warning" in message:
            self.ledger.add_event("warning", message["warning"])
            self.note(f"warning: {message['warning']}")
            return
        task, checkpoint = running.task, message.get("checkpoint")
        task.progress = message
        with self.ledger.together():
            told = (message["step"], message["metrics"], checkpoint, message.get("mixture"))
            dropped = self.ledger.record_progress(task.record.id, running.attempt, *told)
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
        task, findings = running.task, self.advancing.findings
        left = [{**result["weights"], "kind": WEIGHTS}] if result.get("weights") else []
        key = None
        with self.ledger.together():
            if task.record.kind in ("search", "rerank"):
                dropped = self.ledger.finish_search(task.record.id, running.attempt, result, seconds, left)
            else:
                key = findings.key_of(task.record)
                dropped = self.ledger.finish_evaluation(
                    task.record.id,
                    running.attempt,
                    key,
                    result["metrics"],
                    seconds,
                    device=result["device"],
                    versions=result["versions"],
                    data_checksum=result.get("data_checksum", ""),
                    artifacts=left,
                )
                counts = findings.learn(key) == task.record.id
                if left and not counts:  # the weights of a result that does not count
                    dropped += self.ledger.drop_artifacts(task.record.id, WEIGHTS)
                elif left:
                    findings.keeping.held[key] = task.record.id
            task.state, task.result, task.checkpoints = TaskState.COMPLETE, result, []
            self.advancing.advance_waiting(task)
            if left and key:
                findings.keeping.settle(findings.members)
        if task.record.kind in ("evaluate", "measure"):  # what it found is known from now on
            del self.advancing.tasks[task.record.kind, task.record.key]
        if self.advancing.pruner.curves and task.record.kind == "evaluate":
            self.advancing.pruner.learn(self.store.curves(self.ledger.study_id, task.record.id))
        self._remove(dropped)

    def _attempt_failed(self, running: Running, device: str, kind: str, message: Mapping[str, Any], seconds: float) -> None:
        task = running.task
        verdict = self.failures.judge(task, kind, message)
        error = message.get("traceback") or message.get("log", "")
        with self.ledger.together():
            self.ledger.fail_attempt(task.record.id, running.attempt, verdict.reason, error, final=verdict.final, seconds=seconds)
            if verdict.batch is not None:
                halved = {"kind": task.record.kind, "key": task.record.key, "batch": verdict.batch}
                self.ledger.add_event(OUT_OF_MEMORY, f"{task.record.kind}: {verdict.reason}", halved)
            if verdict.final:
                task.state, task.reason = TaskState.FAIL, verdict.reason
                self.advancing.advance_waiting(task)
                return
        if kind == "died" and message.get("started", True):
            task.died_on.append(device)
        task.state, task.batch = TaskState.WAITING, verdict.batch or task.batch
        self.unable = self.unable or verdict.unable
        self.note(verdict.note)

    def sweep(self) -> None:
        """Remove the files of weights that are no longer kept; outside a transaction, so that no row names them."""
        dropped = self.advancing.findings.keeping.dropped
        self._remove(dropped)
        dropped.clear()

    def _remove(self, urls: list[str]) -> None:
        """Of files that no row names any more: where one cannot be removed, the study goes on."""
        for url in urls:
            try:
                delete_artifact(url)
            except StorageError as error:
                if not self._told_of_leftovers:
                    self.note(f"warning: {error}; the file stays until: moonas db check --fix")
                self._told_of_leftovers = True
