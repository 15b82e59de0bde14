"""The loop of a study: ask -> tasks -> store -> tell. It alone writes results, and never loads torch.

Here stands what runs next, and until when; `slots` has what runs. What comes next for a trial (`advancing`) follows from what the
database holds, so a loop that ends anywhere, by any signal, is continued by the next one (`restoring`).
"""

from __future__ import annotations

import time
from typing import Protocol

from moonas.errors import TaskError
from moonas.outer.advancing import Advancing
from moonas.outer.findings import Findings
from moonas.outer.plan import Plan
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
        self.watcher = watcher
        self.sampler = make_sampler(plan)
        self.findings = Findings(plan, ledger, device)
        self.trials = Trials(plan, ledger, self.findings, watcher.note, self._check_limits)
        self.advancing = Advancing(plan, ledger, self.trials, self.findings)
        self.slots = Slots(pool, store, ledger, self.advancing, watcher.note, artifacts)
        self.ending: StudyState | None = None
        self.reached = ""
        self.began = self._renewed = time.monotonic()
        restore(self.advancing, store)
        self.done_before = sum(self.trials.finished.values())
        self.work_before = self.work[0]

    def pause(self) -> None:
        """Start nothing new and end running tasks at their next checkpoint; safe to call from a signal handler."""
        self.ending = StudyState.PAUSED

    @property
    def work(self) -> tuple[int, int]:
        """How much is done, and of how much: in trials, or in epochs of training where these go on from rung to rung."""
        finished, rungs = self.trials.finished, self.advancing.rungs
        total = max(self.sampler.total, len(self.trials.history.trials))
        return rungs.work(total, finished[TrialState.COMPLETE]) if rungs.top else (sum(finished.values()), total)

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
                self.slots.pause()
            self._fill_slots()
            self.watcher.tick(self)
            if not self.slots.running and (self.ending is StudyState.PAUSED or any(self.pool.devices)):
                break
            event = self.pool.next_event(TICK)
            if event is not None:
                self.slots.handle(event)
            if self.slots.unable:
                self.pause()
        state = self.ending or StudyState.COMPLETE
        self.ledger.set_state(state, self.slots.unable or self.reached)
        if self.slots.unable:
            raise TaskError(f"{self.slots.unable}\nThe study is paused. Then go on with: moonas resume {self.config.name}")
        return state

    def _fill_slots(self) -> None:
        for slot, device in enumerate(self.pool.devices):
            if device and slot not in self.slots.running and (task := self._next_task(device)) is not None:
                self.slots.start(slot, task)

    def _next_task(self, device: str) -> OpenTask | None:
        """What to start on a device now; where no task waits, trials are promoted or asked for until one does."""
        if self.ending is StudyState.PAUSED:
            return None
        beside, measuring = self.slots.beside(device), device == self.pool.devices[0]
        while True:
            waiting = waiting_tasks(self.trials.open.values(), measuring)
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
        elif len(self.trials.history.trials) == self.config.trials:
            self.reached = f"the limit of {self.config.trials} trials is reached"
        return proposal is not None

    def _keep_lease(self) -> None:
        if time.monotonic() - self._renewed > RENEW:
            self.store.renew(self.study.id, self.ledger.holder, self.ledger.ttl)
            self._renewed = time.monotonic()

    def _check_limits(self) -> None:
        """Where a limit is reached while trials are held or left to be asked for, let what runs finish and start nothing new."""
        asked = len(self.trials.history.trials) >= self.sampler.total
        if self.ending is not None or (asked and not self.advancing.rungs.held):
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
