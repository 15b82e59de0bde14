"""The trials of a study: how they are opened, and how they end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from moonas.outer.findings import Findings
from moonas.outer.past import history_of
from moonas.outer.plan import Plan
from moonas.outer.samplers.sampler import Proposal, Told
from moonas.outer.stagnation import CANCELLED
from moonas.outer.work import OpenTask, OpenTrial
from moonas.store.ledger import Ledger
from moonas.store.records import TrialRecord
from moonas.store.states import TrialState
from moonas.study.bounds import total_violation
from moonas.study.budgets import budget_text
from moonas.study.objectives import minimised, values_text


class Trials:
    """The trials of one study, as the database and the sampler know them.

    note: takes a line worth reading. closed: called after each trial that has ended.
    open: by id. finished: how many, by how they ended. volumes: the hypervolume after each that is finished, see `stagnation`.
    """

    def __init__(
        self, plan: Plan, ledger: Ledger, findings: Findings, note: Callable[[str], None], closed: Callable[[], None]
    ) -> None:
        self.config, self.ledger, self.findings, self.note, self.closed = plan.config, ledger, findings, note, closed
        self.open: dict[int, OpenTrial] = {}
        self.finished = {TrialState.COMPLETE: 0, TrialState.PRUNED: 0, TrialState.FAIL: 0}
        self.history = history_of(plan)
        self.volumes: list[float] = []

    def add(self, proposal: Proposal, attributes: Mapping[str, Any]) -> OpenTrial:
        """Open the next trial. attributes: to be stored with it."""
        number, params = len(self.history.trials), proposal.design.to_params()
        trial_id = self.ledger.add_trial(number, params, proposal.replicate, attributes)
        self.history.add(Told(params, proposal.replicate, TrialState.RUNNING, None, attributes))
        self.open[trial_id] = OpenTrial(trial_id, number, proposal.design, proposal.replicate, attributes)
        return self.open[trial_id]

    def reopen(self, record: TrialRecord, rung: int) -> OpenTrial:
        """Open a failed trial again. rung: that it was promoted to."""
        self.ledger.reopen_trial(record.id)
        self.finished[TrialState.FAIL] -= 1
        told = self.history.trials[record.number]
        self.history.tell(record.number, Told(told.params, told.replicate, TrialState.WAITING, None, told.attributes))
        self.open[record.id] = OpenTrial.of(record, rung)
        return self.open[record.id]

    def waiting_for(self, task: OpenTask) -> list[OpenTrial]:
        """Those that need a task which is not finished, by number."""
        return sorted((trial for trial in self.open.values() if task in trial.waits), key=lambda trial: trial.number)

    def complete(self, trial: OpenTrial, metrics: Mapping[str, float]) -> None:
        """End a trial; metrics: all values of its primary network."""
        violation = total_violation(self.config.constraints, metrics)
        self.ledger.complete_trial(trial.id, metrics, violation)
        values, limited = minimised(self.config.objectives, metrics), self.config.limited(metrics)
        self._close(trial, TrialState.COMPLETE, values, violation, limited)
        named = self.config.method(trial.design.method).named
        within = "" if named else f", {budget_text(trial.design.budget)}"
        chosen = trial.design.settings.items() if named else ()
        settings = "".join(f", {name} {value:.4g}" if isinstance(value, float) else f", {name} {value}" for name, value in chosen)
        about = f"{trial.design.method}{within}{settings}, replicate {trial.replicate}"
        self.note(f"trial {trial.number}: {about}: {values_text(self.config.objectives, metrics)}")

    def prune(self, trial: OpenTrial, values: Mapping[str, float], violation: float, reason: str) -> None:
        """End a trial that is not worth more than is known of it: `values`."""
        self.ledger.prune_trial(trial.id, values, violation, reason)
        self._close(trial, TrialState.PRUNED, None, violation)
        self.note(f"trial {trial.number} pruned: {reason}")

    def fail(self, trial: OpenTrial, reason: str) -> None:
        """End a trial that cannot go on."""
        self.ledger.fail_trial(trial.id, reason)
        self._close(trial, TrialState.FAIL, None, counts=reason != CANCELLED)
        self.note(f"trial {trial.number} failed: {reason}; see: moonas logs {self.config.name} {trial.number}")

    def _close(
        self,
        trial: OpenTrial,
        state: TrialState,
        values: list[float] | None,
        violation: float | None = None,
        limited: list[float] | None = None,
        counts: bool = True,
    ) -> None:
        self.finished[state] += 1
        del self.open[trial.id]
        told = self.history.trials[trial.number]
        self.history.tell(trial.number, Told(told.params, told.replicate, state, values, told.attributes, violation, limited))
        if counts:
            self.volumes.append(self.findings.hypervolume)
        self.closed()
