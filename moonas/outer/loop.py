"""The loop of a study: ask -> tasks -> store -> tell. It alone writes results, and never loads torch.

What comes next for a trial follows from what the database holds, so a loop that ends anywhere, by any signal, is continued by the
next one: `_advance` may be called again at any time and only adds what is missing.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from moonas.architecture import Architecture
from moonas.errors import InfeasibleError, TaskError
from moonas.outer.archive import Archive
from moonas.outer.candidates import decode_trial, named, shortlist, stored_costs
from moonas.outer.continuing import Continuing
from moonas.outer.identity import evaluation_key, measured_key, measurement_of
from moonas.outer.past import history_of
from moonas.outer.plan import Design, Plan
from moonas.outer.promotion import Rungs, epochs_text
from moonas.outer.pruning import ACCURACY, Pruner
from moonas.outer.samplers.sampler import Told, make_sampler
from moonas.outer.stagnation import cause_of, stagnates, volumes_after
from moonas.outer.steps import NOUN, Step, check_device, measured_values, steps
from moonas.outer.work import OpenTask, OpenTrial, Running, choose_task, waiting_tasks
from moonas.skeleton import Skeleton
from moonas.specs import Device, EvaluateSpec, MeasureSpec, RerankSpec, SearchSpec, device_text
from moonas.store.ledger import Ledger
from moonas.store.reads import CHECKPOINT
from moonas.store.records import EvaluationKey, NewCandidate, Place, StudyRecord, TaskRecord, TrialRecord
from moonas.store.states import StudyState, TaskState, TrialState
from moonas.store.store import Store
from moonas.study.bounds import total_violation
from moonas.study.budgets import budget_text
from moonas.study.objectives import minimised
from moonas.worker.artifacts import delete_artifact

TICK = 0.5  # seconds between looks at the clock while nothing happens
RENEW = 15.0  # seconds between renewals of the lease


class Pool(Protocol):
    """Slots that run tasks elsewhere."""

    devices: list[str]

    def ready(self, slot: int) -> str: ...
    def start(self, slot: int, task: Mapping[str, Any]) -> None: ...
    def command(self, slot: int, command: str) -> None: ...
    def next_event(self, timeout: float) -> Any: ...
    def close(self) -> None: ...


class Watcher(Protocol):
    """Whoever looks on: a terminal, a log."""

    def tick(self, loop: Loop) -> None:
        """Called at least every `TICK` seconds."""

    def note(self, text: str) -> None:
        """Something worth a line happened."""


class Loop:
    """Drives one study to its end, a pause or a limit.

    ledger: of the study, with the lease held. pool: where tasks run. artifacts: URL of the folder checkpoints go to.
    device: fingerprint of the pool's first device, for a study that measures. Raises DeviceError where it has measured on another.
    """

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        study: StudyRecord,
        plan: Plan,
        pool: Pool,
        artifacts: str,
        watcher: Watcher,
        device: Device | None = None,
    ) -> None:
        self.store, self.ledger, self.study, self.plan, self.pool = store, ledger, study, plan, pool
        self.artifacts, self.watcher = artifacts, watcher
        self.config = plan.config
        self.archive = Archive(self.config.objectives, self.config.constraints, plan.spans)
        self.pruner = Pruner(plan, self.archive)
        self.rungs = Rungs(plan, self.archive)
        self.sampler = make_sampler(plan)
        self.history = history_of(plan)
        self.trials: dict[int, OpenTrial] = {}
        self.finished = {TrialState.COMPLETE: 0, TrialState.PRUNED: 0, TrialState.FAIL: 0}
        self.tasks: dict[tuple[str, str], OpenTask] = {}
        self.continuing = Continuing(plan, self.tasks)
        self.known: dict[EvaluationKey, Mapping[str, float]] = {}
        self.running: dict[int, Running] = {}
        self.ending: StudyState | None = None
        self.unable = self.reached = ""
        self.members: list[tuple[Place, dict[str, float]]] = []
        self.began = self._renewed = time.monotonic()
        self.spent = store.device_seconds(study.id)
        self.hypervolume, self.volumes = 0.0, list[float]()  # of the front now, and after each finished trial
        self.device = device
        self._bound: Device | None = store.device(study.id)
        if device is not None:
            check_device(plan, self._bound, device)
        self._restore()
        self.done_before = sum(self.finished.values())
        self.work_before = self.work[0]

    def pause(self) -> None:
        """Start nothing new and end running tasks at their next checkpoint; safe to call from a signal handler."""
        self.ending = StudyState.PAUSED

    @property
    def work(self) -> tuple[int, int]:
        """How much is done, and of how much: in trials, or in epochs of training where these go on from rung to rung."""
        done, total = sum(self.finished.values()), max(self.sampler.total, len(self.history.trials))
        return self.rungs.work(total, self.finished[TrialState.COMPLETE]) if self.rungs.top else (done, total)

    def run(self) -> StudyState:
        """Work until nothing is left to do; returns the state the study is left in.

        Raises LeaseError where it lost its lease; TaskError, the study paused, where no task can run: missing data, a full disk.
        """
        told = False
        self.ledger.set_state(StudyState.RUNNING)
        while True:
            self._keep_lease()
            self._check_limits()
            if self.ending is StudyState.PAUSED and not told:
                told = True
                for slot in self.running:
                    self.pool.command(slot, "pause")
            self._fill_slots()
            self.watcher.tick(self)
            if not self.running:
                break
            event = self.pool.next_event(TICK)
            if event is not None:
                self._handle(event)
        state = self.ending or StudyState.COMPLETE
        self.ledger.set_state(state, self.unable or self.reached)
        if self.unable:
            raise TaskError(f"{self.unable}\nThe study is paused. Then go on with: moonas resume {self.config.name}")
        return state

    # What there is to do

    def _restore(self) -> None:
        """Take up the study where the database says it stands."""
        self.ledger.reset_running()
        self.pruner.restore(self.store, self.study.id)
        for task in self.store.tasks_at_hand(self.study.id):
            reason = ""
            if task.state is TaskState.FAIL:
                reason = next((a.reason or "" for a in reversed(self.store.attempts(self.study.id, task_id=task.id))), "")
            checkpoints: list[Mapping[str, Any]] = [_location(artifact) for artifact in reversed(task.checkpoints)]
            self.tasks[task.kind, task.key] = OpenTask(task, task.state, task.result, reason, checkpoints)
        self.known.update(self.store.measurements(self.study.id))
        trials = self.store.trials(self.study.id)
        by_id, rungs = {trial.id: trial for trial in trials}, self.store.rungs(self.study.id)
        for candidate in self.store.candidates(self.study.id):
            trial = by_id[candidate.trial_id]
            key = measurement_of(self.plan, candidate, trial)
            place = Place(candidate.architecture, candidate.skeleton, self.plan.recipe(Design.from_params(trial.params)))
            on_device = measured_key(self.plan, candidate.architecture, candidate.skeleton, self.device) if self.device else None
            measured = self.known.get(on_device) if on_device else {}
            if measured is None:
                continue
            costs = stored_costs(self.plan, candidate) | measured_values(self.plan, measured)
            if key in self.known and place not in self.pruner.given_up:
                self.archive.add(place, costs, key, self.known[key])
            if candidate.origin == "primary":
                self.rungs.restore(trial, candidate, rungs.get(trial.number, 0), self.known, costs)
        self.members = self.archive.front()
        changes = self.store.front_history(self.study.id, self.plan.protocol_identity)
        self.hypervolume = changes[-1].hypervolume if changes else 0.0
        self.volumes = volumes_after(trials, changes)
        unfinished = []
        for trial in trials:
            self.history.add(self._told(trial))
            self.continuing.add(trial.params, trial.replicate, trial.sampler_attrs)
            if trial.state in self.finished:
                self.finished[trial.state] += 1
            else:
                design, rung = Design.from_params(trial.params), rungs.get(trial.number, 0)
                unfinished.append(OpenTrial(trial.id, trial.number, design, trial.replicate, trial.sampler_attrs, rung))
        for open_trial in unfinished:
            self.trials[open_trial.id] = open_trial
        for open_trial in unfinished:
            self._advance(open_trial)

    def _fill_slots(self) -> None:
        for slot, device in enumerate(self.pool.devices):
            if slot not in self.running and (task := self._next_task(device)) is not None:
                self._start(slot, task)

    def _next_task(self, device: str) -> OpenTask | None:
        """What to start on a device now; where no task waits, trials are promoted or asked for until one does."""
        if self.ending is StudyState.PAUSED:
            return None
        beside = [running.task for slot, running in self.running.items() if self.pool.devices[slot] == device]
        measuring = device == self.pool.devices[0]
        while True:
            waiting = waiting_tasks(self.trials.values(), measuring)
            if waiting or any(task.is_alone for task in beside):
                return choose_task(waiting, beside)
            if self.ending is not None or not (self._decide() or self._ask() or self._decide(closing=True)):
                return None

    def _ask(self) -> bool:
        proposal = self.sampler.ask(self.history)
        if proposal is None:
            if len(self.history.trials) == self.config.trials:
                self.reached = f"the limit of {self.config.trials} trials is reached"
            return False
        number, params = len(self.history.trials), proposal.design.to_params()
        attributes = {**proposal.attributes, **self.continuing.choose(proposal.design, proposal.replicate)}
        with self.ledger.together():
            trial_id = self.ledger.add_trial(number, params, proposal.replicate, attributes)
            self.history.add(Told(params, proposal.replicate, TrialState.RUNNING, None, attributes))
            self.continuing.add(params, proposal.replicate, attributes)
            self.trials[trial_id] = OpenTrial(trial_id, number, proposal.design, proposal.replicate, attributes)
            self._advance(self.trials[trial_id])
        return True

    def _decide(self, closing: bool = False) -> bool:
        """Let held trials go on to their next rung, or end them; False where there is nothing to decide. See `Rungs.decide`."""
        decided = self.rungs.decide(self.trials.values(), closing)
        if not decided:
            return False
        with self.ledger.together():
            for trial in decided.go_on:
                self._go_on(trial)
            for held in decided.end:
                self._prune(held.trial, held.metrics, held.violation, held.reason)
        return True

    def _go_on(self, trial: OpenTrial) -> None:
        trial.rung += 1
        epochs = self.plan.protocol(trial.design, trial.rung)["epochs"]
        self.ledger.promote(trial.number, trial.rung, f"trial {trial.number} goes on to {epochs_text(epochs)}")
        self._advance(trial)

    def _advance(self, trial: OpenTrial) -> None:
        """Do all for a trial that can be done now: find or add its tasks, decode, take in what is known, finish it."""
        trial.waits = []
        spec = weights = given_up = None
        if self.config.method(trial.design.method).named:
            costs = self.plan.known_costs(trial.design)
            if violation := total_violation(self.config.constraints, costs):
                missed = (str(b) for b in self.config.constraints if b.metric in costs and b.violation(costs[b.metric]))
                return self._prune(trial, costs, violation, f"misses {', '.join(missed)}")
            if trial.candidates is None:
                self._add_candidates(trial, named(self.plan, trial.design))
        else:
            spec = self.continuing.spec(trial.design, trial.replicate, trial.attributes)
            search = self._task("search", spec.key, spec, trial)
            if search.state is TaskState.FAIL:
                return self._fail(trial, f"its search failed: {search.reason}")
            if search.result is None:
                return None
            weights = (search.result.get("weights") or {}).get("url")
            if trial.candidates is None:
                self._decode(trial, spec, search.result, weights)
        if trial.candidates is None:
            return None
        if trial.rung < self.rungs.top and self._is_trained(trial, spec, weights):
            trial.rung = self.rungs.top
        below, primary = trial.rung < self.rungs.top, None
        for candidate in trial.candidates[:1] if below else trial.candidates:
            if verdict := self.pruner.given_up.get(self._place(candidate, trial)):
                given_up = (candidate, verdict) if candidate.origin == "primary" else given_up
                continue
            asked = steps(self.plan, candidate, trial, spec, weights, self.device)
            kind = next((kind for kind, step in asked.items() if self._known(step.key) is None), None)
            if kind is None and below:
                return self._arrive(trial, candidate, asked)
            if kind is None:
                values = self._take_in(candidate, trial, asked)
                primary = values if candidate.origin == "primary" else primary
                continue
            task = self._task(kind, asked[kind].spec.key, asked[kind].spec, trial)
            if task.state is TaskState.FAIL and candidate.origin == "primary":
                return self._fail(trial, f"its {NOUN[kind]} failed: {task.reason}")
        if not trial.waits and primary is not None:
            self._complete(trial, primary)
        elif not trial.waits and given_up is not None:
            candidate, verdict = given_up
            values = {**self._costs(candidate.architecture, candidate.skeleton), ACCURACY: verdict.accuracy}
            self._prune(trial, values, verdict.violation, verdict.reason)
        return None

    def _is_trained(self, trial: OpenTrial, spec: SearchSpec | None, weights: str | None) -> bool:
        """Whether the accuracy of a trial's primary network by the study's own protocol is known already."""
        assert trial.candidates
        top = replace(trial, rung=self.rungs.top)
        asked = steps(self.plan, trial.candidates[0], top, spec, weights, self.device)
        return self._known(asked["evaluate"].key) is not None

    def _decode(self, trial: OpenTrial, spec: SearchSpec, result: Mapping[str, Any], weights: str | None) -> None:
        """Give a trial whose search is done its candidates, unless it fails, or waits for its shortlist to be compared."""
        try:
            few = shortlist(self.plan, trial.design, trial.replicate, result)
        except InfeasibleError as error:
            return self._fail(trial, str(error))
        choice = 0
        if len(few) > 1:
            reranking = self.plan.rerank_spec(spec, [decoded.architecture for decoded in few], weights)
            rerank = self._task("rerank", reranking.key, reranking, trial)
            if rerank.state is TaskState.FAIL:
                return self._fail(trial, f"its candidates could not be compared: {rerank.reason}")
            if rerank.result is None:
                return None
            choice = rerank.result["best"]
        return self._add_candidates(trial, decode_trial(self.plan, trial.design, result, few[choice]))

    def _add_candidates(self, trial: OpenTrial, candidates: list[NewCandidate]) -> None:
        trial.candidates = candidates
        self.ledger.add_candidates(trial.id, candidates)

    def _known(self, key: EvaluationKey) -> Mapping[str, float] | None:
        if key not in self.known and (found := self.ledger.known_evaluation(key)) is not None:
            self.known[key] = found.metrics
        return self.known.get(key)

    def _task(self, kind: str, key: str, spec: SearchSpec | EvaluateSpec | MeasureSpec | RerankSpec, trial: OpenTrial) -> OpenTask:
        """The study's task with this key, added where there is none, serving `trial` from now on."""
        task = self.tasks.get((kind, key))
        if task is None:
            record = self.ledger.add_task(kind, key, spec.to_json(), [trial.id])
            task = self.tasks[kind, key] = OpenTask(record, record.state, record.result)
        elif trial.id not in task.record.trial_ids:
            self.ledger.link(trial.id, task.record.id)
        if task.is_open:
            trial.waits.append(task)
        return task

    # What has been done

    def _take_in(self, candidate: NewCandidate, trial: OpenTrial, done: Mapping[str, Step]) -> dict[str, float]:
        """Add what was found out of a candidate to the archive; store the front where that changes it. Returns all its values."""
        self._bind_device()
        costs, key = self._costs(candidate.architecture, candidate.skeleton), done["evaluate"].key
        if self.archive.add(self._place(candidate, trial), costs, key, self.known[key]):
            self._store_front(trial)
        return {**self.known[key], **costs}

    def _bind_device(self) -> None:
        if self.device and self._bound is None:
            self._bound = self.device
            self.ledger.bind_device(self.device, device_text(self.device))

    def _place(self, candidate: NewCandidate, trial: OpenTrial) -> Place:
        return Place(candidate.architecture.key, candidate.skeleton.key, self.plan.recipe(trial.design))

    def _costs(self, architecture: Architecture, skeleton: Skeleton) -> dict[str, float]:
        """What is known of a network beside its accuracy: exact costs and, once it was on the device, what was measured there."""
        key = measured_key(self.plan, architecture.key, skeleton.key, self.device) if self.device else None
        measured = measured_values(self.plan, self.known[key]) if key in self.known else {}
        return self.plan.costs(architecture, skeleton) | measured

    def _arrive(self, trial: OpenTrial, candidate: NewCandidate, done: Mapping[str, Step]) -> None:
        """A trial has finished a rung: it is held there, or goes on where its network has gone on already."""
        self._bind_device()
        key = done["evaluate"].key
        metrics = {**self.known[key], **self._costs(candidate.architecture, candidate.skeleton)}
        if not self.rungs.has(trial.rung, key, trial.number):
            self.watcher.note(f"trial {trial.number} at {epochs_text(self.plan.rungs[trial.rung])}: {self._shown(metrics)}")
        finisher = self.rungs.enter(trial.rung, key, trial.number, metrics)
        if finisher.went_on:
            return self._go_on(trial)
        return finisher.held.append(trial)

    def _store_front(self, trial: OpenTrial) -> None:
        members = self.archive.front()
        if members != self.members:
            update = self.archive.update(self.plan.protocol_identity, members, cause_of(trial.number))
            self.members, self.hypervolume = members, update.hypervolume
            self.ledger.replace_front(update)

    def _complete(self, trial: OpenTrial, metrics: dict[str, float]) -> None:
        violation = self.archive.violation(metrics)
        self.ledger.complete_trial(trial.id, metrics, violation)
        self._close(trial, TrialState.COMPLETE, minimised(self.config.objectives, metrics), violation, self._limited(metrics))
        named = self.config.method(trial.design.method).named
        within = "" if named else f", {budget_text(trial.design.budget)}"
        chosen = trial.design.settings.items() if named else ()
        settings = "".join(f", {name} {value:.4g}" if isinstance(value, float) else f", {name} {value}" for name, value in chosen)
        about = f"{trial.design.method}{within}{settings}, replicate {trial.replicate}"
        self.watcher.note(f"trial {trial.number}: {about}: {self._shown(metrics)}")

    def _shown(self, metrics: Mapping[str, float]) -> str:
        return ", ".join(f"{o.metric} {metrics[o.metric]:,.6g}" for o in self.config.objectives)

    def _prune(self, trial: OpenTrial, values: Mapping[str, float], violation: float, reason: str) -> None:
        """End a trial that is not worth more than is known of it: `values`."""
        self.ledger.prune_trial(trial.id, values, violation, reason)
        self._close(trial, TrialState.PRUNED, None, violation)
        self.watcher.note(f"trial {trial.number} pruned: {reason}")

    def _fail(self, trial: OpenTrial, reason: str) -> None:
        self.ledger.fail_trial(trial.id, reason)
        self.rungs.leave(trial.number)
        self._close(trial, TrialState.FAIL, None)
        self.watcher.note(f"trial {trial.number} failed: {reason}; see: moonas logs {self.config.name} {trial.number}")

    def _close(
        self,
        trial: OpenTrial,
        state: TrialState,
        values: list[float] | None,
        violation: float | None = None,
        limited: list[float] | None = None,
    ) -> None:
        self.finished[state] += 1
        del self.trials[trial.id]
        told = self.history.trials[trial.number]
        self.history.tell(trial.number, Told(told.params, told.replicate, state, values, told.attributes, violation, limited))
        self.volumes.append(self.hypervolume)
        self._check_limits()

    # Slots

    def _start(self, slot: int, task: OpenTask) -> None:
        worker = self.pool.ready(slot)
        attempt = self.ledger.start_attempt(task.record.id, worker, self.pool.devices[slot])
        task.state, task.tries = TaskState.RUNNING, task.tries + 1
        checkpoint: dict[str, Any] | None = None
        for location in task.checkpoints:
            checkpoint = {**location, "previous": checkpoint}
        self.running[slot] = Running(task, attempt, worker, time.monotonic())
        self.pool.start(slot, {"spec": task.record.spec, "artifacts": self.artifacts, "checkpoint": checkpoint})

    def _handle(self, event: Any) -> None:
        running = self.running.get(event.slot)
        if running is None or event.worker != running.worker:
            return  # an idle worker died: the slot starts another when it has work
        task, message = running.task, event.message
        seconds = time.monotonic() - running.began
        if event.kind == "progress":
            self._progress(running, message)
            return
        del self.running[event.slot]
        self.spent += seconds
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
            self.pause()
        else:
            self._attempt_failed(running, event.kind == "died", message, seconds)

    def _progress(self, running: Running, message: Mapping[str, Any]) -> None:
        if "warning" in message:
            self.ledger.add_event("warning", message["warning"])
            self.watcher.note(f"warning: {message['warning']}")
            return
        task, checkpoint = running.task, message.get("checkpoint")
        task.progress = message
        with self.ledger.together():
            dropped = self.ledger.record_progress(task.record.id, running.attempt, message["step"], message["metrics"], checkpoint)
            if checkpoint:
                task.checkpoints = [*task.checkpoints, checkpoint][-2:]
            if self.pruner.curves and task.record.kind == "evaluate":
                dropped += self._look(task, message)
        self._remove(dropped)

    def _look(self, task: OpenTask, message: Mapping[str, Any]) -> list[str]:
        """Give up a training that cannot reach the front any more, with all others of its network. Returns URLs of checkpoints."""
        if task.state is TaskState.PRUNED:  # it ends with this epoch
            return self.ledger.drop_artifacts(task.record.id, CHECKPOINT)
        served = [trial.design for trial in self.trials.values() if task in trial.waits]
        given_up = self.pruner.look(task, served, message, self._costs, self.members, self.tasks.values())
        dropped = [url for one in given_up for url in self.ledger.prune_task(one.record.id, one.result or {})]
        for one in given_up:
            self._advance_waiting(one)
        for slot, running in self.running.items():
            if running.task in given_up:
                self.pool.command(slot, "prune")
        return dropped

    def _finish(self, running: Running, result: Mapping[str, Any], seconds: float) -> None:
        task = running.task
        left = result.get("weights")
        with self.ledger.together():
            if task.record.kind in ("search", "rerank"):
                kept = [{**left, "kind": "weights"}] if left and self.plan.keeps_weights else []
                dropped = self.ledger.finish_search(task.record.id, running.attempt, result, seconds, kept)
                dropped += [left["url"]] if left and not kept else []
            else:
                key = self._result_key(task.record)
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
                self.known[key] = self._stored(key)
            task.state, task.result, task.checkpoints = TaskState.COMPLETE, result, []
            self._advance_waiting(task)
        if self.pruner.curves and task.record.kind == "evaluate":
            self.pruner.learn(self.store.curves(self.study.id, task.record.id))
        self._remove(dropped)

    def _stored(self, key: EvaluationKey) -> Mapping[str, float]:
        """What counts from now on: another study may have stored its own result a moment earlier."""
        found = self.ledger.known_evaluation(key)
        assert found is not None, "it has just been stored"
        return found.metrics

    def _result_key(self, record: TaskRecord) -> EvaluationKey:
        if record.kind == "evaluate":
            return evaluation_key(self.plan, EvaluateSpec.from_json(record.spec))
        spec = MeasureSpec.from_json(record.spec)
        return measured_key(self.plan, spec.architecture.key, spec.skeleton.key, spec.device or {})

    def _attempt_failed(self, running: Running, died: bool, message: Mapping[str, Any], seconds: float) -> None:
        """A worker that died is worth another try, from the last checkpoint; an exception would only come again."""
        task = running.task
        final = not died or task.tries >= self.config.workers.max_attempts
        reason, error = message["reason"], message.get("traceback") or message.get("log", "")
        with self.ledger.together():
            self.ledger.fail_attempt(task.record.id, running.attempt, reason, error, final=final, seconds=seconds)
            if final:
                task.state, task.reason = TaskState.FAIL, reason
                self._advance_waiting(task)
            else:
                task.state = TaskState.WAITING
                self.watcher.note(f"{reason}; starting the task again from its last checkpoint")

    def _advance_waiting(self, task: OpenTask) -> None:
        waiting = [trial for trial in self.trials.values() if task in trial.waits]
        for trial in sorted(waiting, key=lambda trial: trial.number):
            self._advance(trial)

    def _remove(self, urls: list[str]) -> None:
        for url in urls:
            delete_artifact(url)

    # Clocks

    def _keep_lease(self) -> None:
        if time.monotonic() - self._renewed > RENEW:
            self.store.renew(self.study.id, self.ledger.holder, self.ledger.ttl)
            self._renewed = time.monotonic()

    def _check_limits(self) -> None:
        """Where a limit is reached while trials are held or left to be asked for, let what runs finish and start nothing new."""
        asked = len(self.history.trials) >= self.sampler.total
        if self.ending is not None or (asked and not self.rungs.held):
            return
        limits, now = self.config.limits, time.monotonic()
        hours = (now - self.began) / 3600
        device_hours = (self.spent + sum(now - running.began for running in self.running.values())) / 3600
        if limits.hours is not None and hours >= limits.hours:
            self.reached = f"the limit of {limits.hours:g} hours is reached"
        elif limits.device_hours is not None and device_hours >= limits.device_hours:
            self.reached = f"the limit of {limits.device_hours:g} device_hours is reached"
        elif asked or limits.stagnation is None:
            return
        elif stagnates(self.volumes, limits.stagnation, limits.stagnation_tolerance):
            gain = f"no more than {limits.stagnation_tolerance:g} of the" if limits.stagnation_tolerance else "no"
            self.reached = f"the limit of stagnation is reached: the last {limits.stagnation} trials gained {gain} hypervolume"
        else:
            return
        self.ending = StudyState.STOPPED
        self.watcher.note(f"{self.reached}; running trials finish, nothing new starts")

    def _told(self, trial: TrialRecord) -> Told:
        complete = trial.state is TrialState.COMPLETE and trial.values is not None
        values = minimised(self.config.objectives, trial.values) if complete and trial.values else None
        limited = self._limited(trial.values) if complete and trial.values else None
        return Told(trial.params, trial.replicate, trial.state, values, trial.sampler_attrs, trial.violation, limited)

    def _limited(self, metrics: Mapping[str, float]) -> list[float]:
        """The metric of each constraint."""
        return [metrics[constraint.metric] for constraint in self.config.constraints]


def _location(artifact: Any) -> dict[str, Any]:
    return {"id": artifact.id, "url": artifact.url, "sha256": artifact.sha256, "bytes": artifact.bytes}
