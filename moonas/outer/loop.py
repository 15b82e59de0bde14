"""The loop of a study: ask -> tasks -> store -> tell. It alone writes results, and never loads torch.

Here stands what runs next, and until when; `slots` has what runs. What comes next for a trial (`advancing`) follows from what the
database holds, so a loop that ends anywhere, by any signal, is continued by the next one (`restoring`).
"""

from __future__ import annotations

import time
from typing import Any, Protocol

from moonas.errors import TaskError, UnavailableError
from moonas.outer.advancing import Advancing
from moonas.outer.findings import Findings
from moonas.outer.outage import wait_for_database
from moonas.outer.plan import Plan
from moonas.outer.requests import Requests
from moonas.outer.restoring import restore
from moonas.outer.samplers.sampler import make_sampler
from moonas.outer.slots import Pool, Slots
from moonas.outer.stagnation import stagnates
from moonas.outer.trials import Trials
from moonas.outer.work import OpenTask, choose_task, waiting_tasks
from moonas.specs import Device
from moonas.store.ledger import Ledger
from moonas.store.records import StudyRecord
from moonas.store.states import StudyState, TrialState
from moonas.store.store import Store

TICK = 0.5  # seconds between looks at the clock while nothing happens
RENEW = 15.0  # seconds between renewals of the lease


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
    held_up: why a free slot was given no task, where others use its device.
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
        self.store, self.ledger, self.study, self.config, self.pool = store, ledger, study, plan.config, pool
        self.plan, self.artifacts, self.device, self.watcher = plan, artifacts, device, watcher
        self.ending: StudyState | None = None
        self.reached = self.held_up = ""
        self._waits = False
        self.began = self._renewed = time.monotonic()
        self._again: Any = None  # what a slot reported, and the database went away before it counted
        self._take_up_surely()
        self.done_before = sum(self.trials.finished.values())
        self.work_before = self.work[0]

    def pause(self) -> None:
        """Start nothing new and end running tasks at their next checkpoint; safe to call from a signal handler."""
        self.ending, self.reached = StudyState.PAUSED, ""

    def stop(self, reason: str) -> None:
        """Start nothing new and let running trials finish, unless the loop is to end already."""
        if self.ending is None:
            self.ending, self.reached = StudyState.STOPPED, reason

    @property
    def work(self) -> tuple[int, int]:
        """How much is done, and of how much: in trials, or in epochs of training where these go on from rung to rung."""
        finished, rungs = self.trials.finished, self.advancing.rungs
        total = max(self.sampler.total, len(self.trials.history.trials))
        return rungs.work(total, finished[TrialState.COMPLETE]) if rungs.top else (sum(finished.values()), total)

    def run(self) -> StudyState:
        """Work until nothing is left to do; returns the state the study is left in.

        Raises LeaseError where it lost its lease; TaskError, the study paused, where no task can run: missing data, a full disk;
        StorageError where the database went away and stays away.
        """
        begun = False
        while True:
            try:
                if not begun:
                    self.ledger.set_state(StudyState.RUNNING)
                    begun = True
                return self._work()
            except UnavailableError as lost:
                self._outlast(lost)

    def _take_up(self, before: Slots | None = None) -> None:
        """Begin with what the database holds. before: slots whose tasks go on running."""
        self.sampler = make_sampler(self.plan)
        self.ledger.reset_running(but=before.attempts if before else ())
        self.findings = Findings(self.plan, self.ledger, self.device)
        self.trials = Trials(self.plan, self.ledger, self.findings, self.watcher.note, self._check_limits)
        self.advancing = Advancing(self.plan, self.ledger, self.trials, self.findings)
        self.slots = Slots(self.pool, self.store, self.ledger, self.advancing, self.watcher.note, self.artifacts)
        self.requests = Requests(self)
        restore(self.advancing, self.store)
        if before:
            self.slots.adopt(before)

    def _outlast(self, lost: UnavailableError) -> None:
        """Wait for the database and begin again with what it holds: what was in hand when it went may have counted or not."""
        wait_for_database(self.ledger, lost, self.config.name, self.watcher.note)
        before, self._again = self.slots, self.slots.give_back() or self._again
        self._take_up_surely(before)

    def _take_up_surely(self, before: Slots | None = None) -> None:
        while True:
            try:
                return self._take_up(before)
            except UnavailableError as lost:
                wait_for_database(self.ledger, lost, self.config.name, self.watcher.note)

    def _work(self) -> StudyState:
        told = False
        while True:
            self._keep_lease()
            self.requests.take()
            self._check_limits()
            self.slots.sweep()
            if self.ending is StudyState.PAUSED and not told:
                told = True
                self.slots.pause()
            self._fill_slots()
            self.watcher.tick(self)
            if not (self.slots.running or self.held_up) and (self.ending is StudyState.PAUSED or any(self.pool.devices)):
                if self.requests.take(at_once=True):
                    continue
                break
            event, self._again = self._again or self.pool.next_event(TICK), None
            if event is not None:
                self.slots.handle(event)
            self.slots.kill_hanging()
            if self.slots.unable:
                self.pause()
        self.findings.keeping.settle(self.findings.members, over=not self.trials.open)
        self.slots.sweep()
        state = self.ending or StudyState.COMPLETE
        self.ledger.set_state(state, self.slots.unable.partition("\n")[0] or self.reached)
        if self.slots.unable:
            raise TaskError(f"{self.slots.unable}\nThe study is paused. Then go on with: moonas resume {self.config.name}")
        return state

    def _fill_slots(self) -> None:
        self.held_up = ""
        for slot, device in enumerate(self.pool.devices):
            if not device or slot in self.slots.running or (task := self._next_task(device)) is None:
                continue
            if users := self.pool.busy(slot):
                self.held_up = f"{device} is used by others ({users})"
            else:
                self.slots.start(slot, task)
        told, self._waits = self._waits, bool(self.held_up) and not self.slots.running
        if self._waits and not told:
            self.watcher.note(f"waiting for an idle device: {self.held_up}")

    def _next_task(self, device: str) -> OpenTask | None:
        """What to start on a device now; where no task waits, trials are promoted or asked for until one does.

        A task whose worker died there is left to other devices.
        """
        if self.ending is StudyState.PAUSED:
            return None
        beside, measuring = self.slots.beside(device), device == self.pool.devices[0]
        while True:
            trials = [trial for trial in self.trials.open.values() if trial.begun or self.ending is None]
            found = waiting_tasks(trials, measuring)
            waiting = [task for task in found if not self.slots.is_better_elsewhere(task, device)]
            if waiting or any(task.is_alone for task in beside):
                return choose_task(waiting, beside)
            if self.ending is not None or not self._find_work():
                return None

    def _find_work(self) -> bool:
        return self.advancing.decide() or self._ask() or self.advancing.decide(closing=True)

    def _ask(self) -> bool:
        proposal = self.sampler.ask(self.trials.history)
        if proposal is not None:
            self.advancing.begin(proposal)
        elif self.config.trials and len(self.trials.history.trials) >= self.config.trials:
            self.reached = f"the limit of {self.config.trials} trials is reached"
        return proposal is not None

    def _keep_lease(self) -> None:
        if time.monotonic() - self._renewed > RENEW:
            self.store.renew(self.study.id, self.ledger.holder, self.ledger.ttl)
            self._renewed = time.monotonic()

    def _check_limits(self) -> None:
        """Where a limit is reached and trials wait, are held or left to be asked for: what runs finishes, nothing new starts."""
        asked = len(self.trials.history.trials) >= self.sampler.total
        if self.ending is not None:
            return
        if asked and not self.advancing.rungs.held and all(trial.begun for trial in self.trials.open.values()):
            return
        limits = self.config.limits
        hours, device_hours = (time.monotonic() - self.began) / 3600, self.slots.device_seconds / 3600
        if limits.hours is not None and hours >= limits.hours:
            self.reached = f"the limit of {limits.hours:g} hours is reached"
        elif limits.device_hours is not None and device_hours >= limits.device_hours:
            self.reached = f"the limit of {limits.device_hours:g} device_hours is reached"
        elif asked or limits.stagnation is None:
            return
        elif stagnates(self.trials.volumes, limits.stagnation, limits.stagnation_tolerance):
            gain = f"no more than {limits.stagnation_tolerance:g} of the" if limits.stagnation_tolerance else "no"
            self.reached = f"the limit of stagnation is reached: the last {limits.stagnation} trials gained {gain} hypervolume"
        else:
            return
        self.ending = StudyState.STOPPED
        self.watcher.note(f"{self.reached}; running trials finish, nothing new starts")
