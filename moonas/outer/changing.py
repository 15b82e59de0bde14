"""What a user changes in the trials of a study: cancel, retry, enqueue. The same whether or not a loop drives it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from moonas.architecture import Architecture
from moonas.errors import UsageError
from moonas.outer.advancing import Advancing
from moonas.outer.findings import Findings
from moonas.outer.plan import Design, Plan
from moonas.outer.restoring import recall
from moonas.outer.rows import Row, read_trial
from moonas.outer.samplers.sampler import ENQUEUED, Proposal, Told, check_installed
from moonas.outer.stagnation import CANCELLED
from moonas.outer.trials import Trials
from moonas.outer.work import OpenTask
from moonas.skeleton import Skeleton
from moonas.store.ledger import Ledger
from moonas.store.records import TrialRecord
from moonas.store.states import TaskState, TrialState
from moonas.store.store import Store
from moonas.study.budgets import budget_text

OPEN = (TrialState.WAITING, TrialState.RUNNING)


class Changes:
    """The changes to one study, each to be made within one transaction of its ledger; each says in a line what it did.

    advancing: with all trials and tasks of the study. in_loop: whether a loop goes on with what is opened here; it does so at once.
    """

    def __init__(self, advancing: Advancing, store: Store, in_loop: bool) -> None:
        self.advancing, self.store, self.in_loop = advancing, store, in_loop
        self.plan, self.trials, self.study_id = advancing.plan, advancing.trials, advancing.ledger.study_id

    @classmethod
    def without_loop(cls, plan: Plan, store: Store, ledger: Ledger) -> Changes:
        """For a study that no loop drives. ledger: with the lease held. What its last loop left running waits from now on."""
        findings = Findings(plan, ledger, None)
        trials = Trials(plan, ledger, findings, lambda text: None, lambda: None)
        advancing = Advancing(plan, ledger, trials, findings)
        ledger.reset_running()
        recall(advancing, store)
        return cls(advancing, store, in_loop=False)

    def cancel(self, numbers: Sequence[int] = ()) -> tuple[str, list[OpenTask]]:
        """Open trials fail; all that have begun where none is named. Returns also the tasks that were waited for.

        Raises UsageError for an unknown trial.
        """
        chosen = {number: self._told(number) for number in numbers}
        going = [trial for trial in self.trials.open.values() if trial.number in chosen or (not chosen and trial.begun)]
        for trial in going:
            self.advancing.fail(trial, CANCELLED)
        over = [f"trial {number} had ended: {told.state}" for number, told in chosen.items() if told.state not in OPEN]
        said = f"{trials_text([trial.number for trial in going])} cancelled" if going else "no trial was running"
        return "; ".join([*([said] if going or not over else []), *over]), [task for trial in going for task in trial.waits]

    def retry(self, numbers: Sequence[int] = ()) -> str:
        """Failed trials wait again; all of them where none is named. Tasks that failed with them get all their attempts anew.

        Raises UsageError for a trial that is unknown, complete or pruned.
        """
        check_installed(self.plan)
        chosen = {number: self._told(number) for number in numbers}
        if over := [(n, told) for n, told in chosen.items() if told.state in (TrialState.COMPLETE, TrialState.PRUNED)]:
            raise UsageError(f"trial {over[0][0]} is {over[0][1].state}; only failed trials are tried again")
        all_failed = [n for n, told in enumerate(self.trials.history.trials) if told.state == TrialState.FAIL]
        failed = [number for number in all_failed if not chosen or number in chosen]
        rungs = self.store.rungs(self.study_id)
        for number in failed:
            for task in self.store.tasks(self.study_id, TaskState.FAIL, trial=number):
                known = self.advancing.tasks[task.kind, task.key]
                known.state, known.reason, known.died_on = TaskState.WAITING, "", []
            record, rung = self.store.trial(self.study_id, number), rungs.get(number, 0)
            if self.in_loop and rung:
                self._enter_again(record, rung)
            self.advancing.reopen(record, rung, self.in_loop)
        is_open = [f"trial {number} is open" for number, told in chosen.items() if told.state in OPEN]
        said = f"{trials_text(failed)} opened again" if failed else "no trial has failed"
        return "; ".join([*([said] if failed or not is_open else []), *is_open])

    def enqueue(self, row: Row) -> str:
        """One more trial, before the next that the sampler chooses. row: as of `read_trial`.

        Raises UsageError where that is no trial of the study, or one that it has.
        """
        proposal = self.proposal(row)
        trial = self.advancing.begin(proposal, self.in_loop)
        design = proposal.design
        within = "" if self.plan.config.method(design.method).named else f"{budget_text(design.budget)}, "
        return f"trial {trial.number} enqueued: {design.method}, {within}replicate {proposal.replicate}"

    def proposal(self, row: Row) -> Proposal:
        """The trial that a row asks for. Raises UsageError."""
        check_installed(self.plan)
        design, replicate = read_trial(self.plan, row)
        number = self.trials.history.number_of(design, replicate)
        if number is not None:
            state = self.trials.history.trials[number].state
            again = f"; try it again with: moonas retry {self.plan.config.name} {number}" if state == TrialState.FAIL else ""
            raise UsageError(f"the study has this trial already: trial {number}, {state}{again}")
        return Proposal(design, replicate, {ENQUEUED: True})

    def _enter_again(self, record: TrialRecord, rung: int) -> None:
        """A trial that was promoted takes its places at the rungs below again, which a resumed study would give it."""
        primary = next(c for c in self.store.candidates(self.study_id, trial=record.number) if c.origin == "primary")
        findings, design = self.advancing.findings, Design.from_params(record.params)
        costs = findings.costs(Architecture.from_json(primary.genotype), Skeleton.from_json(primary.skeleton_json))
        again = replace(record, state=TrialState.WAITING)
        self.advancing.rungs.restore(again, design, primary, rung, findings.known, costs)

    def _told(self, number: Any) -> Told:
        trials = self.trials.history.trials
        if not isinstance(number, int) or not 0 <= number < len(trials):
            raise UsageError(f"there is no trial {number}; the study has {len(trials)} trials, counted from 0")
        return trials[number]


def trials_text(numbers: Sequence[int]) -> str:
    """`trial 3`, `trials 3, 5, 8`, or of many how many there are."""
    if len(numbers) > 12:
        return f"{len(numbers)} trials"
    return f"trial{'' if len(numbers) == 1 else 's'} {', '.join(map(str, sorted(numbers)))}"
