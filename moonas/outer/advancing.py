"""What comes next for a trial: search -> decode -> measure and evaluate, at each rung -> its end.

It follows from what the database holds: `Advancing.advance` may be called again at any time and only adds what is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from moonas.errors import InfeasibleError
from moonas.outer.candidates import decode_trial, named, shortlist
from moonas.outer.continuing import Continuing
from moonas.outer.findings import Findings
from moonas.outer.plan import Plan
from moonas.outer.promotion import Rungs, epochs_text
from moonas.outer.pruning import ACCURACY, Pruner
from moonas.outer.samplers.sampler import Proposal
from moonas.outer.steps import NOUN, steps
from moonas.outer.trials import Trials
from moonas.outer.work import OpenTask, OpenTrial
from moonas.specs import EvaluateSpec, MeasureSpec, RerankSpec, SearchSpec
from moonas.store.ledger import Ledger
from moonas.store.records import EvaluationKey, NewCandidate, TrialRecord
from moonas.store.states import TaskState
from moonas.study.bounds import total_violation
from moonas.study.objectives import values_text


class Advancing:
    """Brings the trials of a study as far as they go, and stores what follows.

    tasks: that the study has asked for, by kind and key.
    """

    def __init__(self, plan: Plan, ledger: Ledger, trials: Trials, findings: Findings) -> None:
        self.plan, self.config, self.ledger, self.trials, self.findings = plan, plan.config, ledger, trials, findings
        self.tasks: dict[tuple[str, str], OpenTask] = {}
        self.continuing = Continuing(plan, self.tasks)
        self.pruner = Pruner(plan, findings.archive)
        self.rungs = Rungs(plan, findings.archive)

    def begin(self, proposal: Proposal, go_on: bool = True) -> OpenTrial:
        """Open a trial that the sampler, or the user, proposes. go_on: bring it as far as it goes."""
        attributes = {**proposal.attributes, **self.continuing.choose(proposal.design, proposal.replicate)}
        with self.ledger.together():
            trial = self.trials.add(proposal, attributes)
            self.continuing.add(proposal.design.to_params(), proposal.replicate, attributes)
            if go_on:
                self.advance(trial)
        return trial

    def reopen(self, record: TrialRecord, rung: int, go_on: bool) -> None:
        """Open a failed trial again. rung: that it was promoted to. go_on: as of `begin`."""
        with self.ledger.together():
            trial = self.trials.reopen(record, rung)
            if go_on:
                self.advance(trial)

    def decide(self, closing: bool = False) -> bool:
        """Let held trials go on to their next rung, or end them; False where there is nothing to decide. See `Rungs.decide`."""
        decided = self.rungs.decide(self.trials.open.values(), closing)
        if not decided:
            return False
        with self.ledger.together():
            for trial in decided.go_on:
                self._go_on(trial)
            for held in decided.end:
                self.trials.prune(held.trial, held.metrics, held.violation, held.reason)
        return True

    def advance(self, trial: OpenTrial) -> None:
        """Do all for a trial that can be done now: find or add its tasks, decode, take in what is known, finish it."""
        trial.waits = []
        spec = weights = given_up = None
        lost = False
        if self.config.method(trial.design.method).named:
            costs = self.plan.known_costs(trial.design)
            if violation := total_violation(self.config.constraints, costs):
                missed = (str(b) for b in self.config.constraints if b.metric in costs and b.violation(costs[b.metric]))
                return self.trials.prune(trial, costs, violation, f"misses {', '.join(missed)}")
            if trial.candidates is None:
                self._add_candidates(trial, named(self.plan, trial.design))
        else:
            spec = self.continuing.spec(trial.design, trial.replicate, trial.attributes)
            search = self._task("search", spec.key, spec, trial)
            if search.state is TaskState.FAIL:
                return self.fail(trial, f"its search failed: {search.reason}")
            if search.result is None:
                return None
            weights = (search.result.get("weights") or {}).get("url")
            lost = weights is None and search.result.get("weights") is not None
            if trial.candidates is None:
                self._decode(trial, spec, search, weights, lost)
        if trial.candidates is None:
            return None
        if trial.rung < self.rungs.top and self._is_trained(trial, spec, weights):
            trial.rung = self.rungs.top
        below, primary = trial.rung < self.rungs.top, None
        for candidate in trial.candidates[:1] if below else trial.candidates:
            if verdict := self.pruner.given_up.get(self.findings.place(candidate, trial)):
                given_up = (candidate, verdict) if candidate.origin == "primary" else given_up
                continue
            asked = steps(self.plan, candidate, trial, spec, weights, self.findings.device)
            kind = next((kind for kind, step in asked.items() if self.findings.find(step.key) is None), None)
            if kind is None:
                self.findings.bind_device()
                if below:
                    return self._arrive(trial, candidate, asked["evaluate"].key)
                values = self.findings.take_in(candidate, trial, asked["evaluate"].key)
                primary = values if candidate.origin == "primary" else primary
                continue
            if lost and kind == "evaluate" and self.plan.inherits:
                self._search_again(search, trial)
                continue
            task = self._task(kind, asked[kind].spec.key, asked[kind].spec, trial)
            if task.state is TaskState.FAIL and candidate.origin == "primary":
                return self.fail(trial, f"its {NOUN[kind]} failed: {task.reason}")
        if not trial.waits and primary is not None:
            self.trials.complete(trial, primary)
        elif not trial.waits and given_up is not None:
            candidate, verdict = given_up
            values = {**self.findings.costs(candidate.architecture, candidate.skeleton), ACCURACY: verdict.accuracy}
            self.trials.prune(trial, values, verdict.violation, verdict.reason)
        return None

    def advance_waiting(self, task: OpenTask) -> None:
        """Bring all trials that waited for a task as far as they go."""
        for trial in self.trials.waiting_for(task):
            self.advance(trial)

    def give_up(self, task: OpenTask, progress: Mapping[str, Any]) -> tuple[list[OpenTask], list[str]]:
        """The trainings that are given up now that one has reported, see `Pruner.look`, and the URLs of their checkpoints."""
        findings, served = self.findings, [trial.design for trial in self.trials.waiting_for(task)]
        given_up = self.pruner.look(task, served, progress, findings.costs, findings.members, self.tasks.values())
        dropped = [url for one in given_up for url in self.ledger.prune_task(one.record.id, one.result or {})]
        for one in given_up:
            self.advance_waiting(one)
        return given_up, dropped

    def fail(self, trial: OpenTrial, reason: str) -> None:
        """End a trial that cannot go on, or is not to."""
        self.rungs.leave(trial.number)
        self.trials.fail(trial, reason)

    def _is_trained(self, trial: OpenTrial, spec: SearchSpec | None, weights: str | None) -> bool:
        """Whether the accuracy of a trial's primary network by the study's own protocol is known already."""
        assert trial.candidates
        top = replace(trial, rung=self.rungs.top)
        asked = steps(self.plan, trial.candidates[0], top, spec, weights, self.findings.device)
        return self.findings.find(asked["evaluate"].key) is not None

    def _decode(self, trial: OpenTrial, spec: SearchSpec, search: OpenTask, weights: str | None, lost: bool) -> None:
        """Give a trial whose search is done its candidates, unless it fails, or waits for its shortlist to be compared."""
        result = search.result
        assert result is not None
        try:
            few = shortlist(self.plan, trial.design, trial.replicate, result)
        except InfeasibleError as error:
            return self.fail(trial, str(error))
        choice = 0
        if len(few) > 1:
            if lost:
                return self._search_again(search, trial)
            reranking = self.plan.rerank_spec(spec, [decoded.architecture for decoded in few], weights)
            rerank = self._task("rerank", reranking.key, reranking, trial)
            if rerank.state is TaskState.FAIL:
                return self.fail(trial, f"its candidates could not be compared: {rerank.reason}")
            if rerank.result is None:
                return None
            choice = rerank.result["best"]
        return self._add_candidates(trial, decode_trial(self.plan, trial.design, result, few[choice]))

    def _search_again(self, search: OpenTask, trial: OpenTrial) -> None:
        """Let a trial wait for the weights of a finished search that are lost: its file, or the bundle that left them out."""
        if not search.is_open:
            self.ledger.reopen_task(search.record.id)
            search.state = TaskState.WAITING
            self.ledger.add_event("warning", f"the weights of search {search.record.key} are lost; it runs again")
            self.trials.note(f"warning: the weights of search {search.record.key} are lost; it runs again")
        if search not in trial.waits:
            trial.waits.append(search)

    def _add_candidates(self, trial: OpenTrial, candidates: list[NewCandidate]) -> None:
        trial.candidates = candidates
        self.ledger.add_candidates(trial.id, candidates)

    def _task(self, kind: str, key: str, spec: SearchSpec | EvaluateSpec | MeasureSpec | RerankSpec, trial: OpenTrial) -> OpenTask:
        """The study's task with this key, added where there is none, serving `trial` from now on."""
        task = self.tasks.get((kind, key))
        if task is None:
            record = self.ledger.add_task(kind, key, spec.to_json(), [trial.id])
            task = self.tasks[kind, key] = OpenTask(record, record.state, record.result)
        elif trial.id not in task.record.trial_ids:
            self.ledger.link(trial.id, task.record.id, task.state is TaskState.RUNNING)
        if task.is_open:
            task.record = replace(task.record, spec=spec.to_json())  # the stored one may name weights that lie elsewhere now
            trial.waits.append(task)
            trial.begun |= task.state is TaskState.RUNNING
        return task

    def _arrive(self, trial: OpenTrial, candidate: NewCandidate, key: EvaluationKey) -> None:
        """A trial has finished a rung: it is held there, or goes on where its network has gone on already."""
        metrics = self.findings.metrics(candidate, key)
        if not self.rungs.has(trial.rung, key, trial.number):
            reached = f"trial {trial.number} at {epochs_text(self.plan.rungs[trial.rung])}"
            self.trials.note(f"{reached}: {values_text(self.config.objectives, metrics)}")
        finisher = self.rungs.enter(trial.rung, key, trial.number, metrics)
        if finisher.went_on:
            return self._go_on(trial)
        return finisher.held.append(trial)

    def _go_on(self, trial: OpenTrial) -> None:
        trial.rung += 1
        epochs = self.plan.protocol(trial.design, trial.rung)["epochs"]
        self.ledger.promote(trial.number, trial.rung, f"trial {trial.number} goes on to {epochs_text(epochs)}")
        self.advance(trial)
