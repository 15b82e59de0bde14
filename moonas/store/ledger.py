"""What the loop writes, each method one transaction that first makes sure of the lease: a loop that lost it writes nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import case, delete, exists, func, insert, select, text, update
from sqlalchemy.orm import Session

from moonas.store import statements
from moonas.store.fronts import replace_front
from moonas.store.leased import LeasedWrites
from moonas.store.queries import architecture_ids, insert_or_replace, insert_unknown, rows_changed, run, table_of
from moonas.store.reads import CHECKPOINT, DEVICE, PROMOTION, STATE, find_evaluation, task_records
from moonas.store.records import EvaluationKey, EvaluationRecord, FrontUpdate, NewCandidate, TaskRecord
from moonas.store.states import AttemptState, StudyState, TaskState, TrialState
from moonas.store.tables import (
    Architecture,
    Artifact,
    Attempt,
    Candidate,
    Cost,
    Evaluation,
    Event,
    Progress,
    Request,
    Study,
    Task,
    Trial,
    TrialTask,
    database_time,
)
from moonas.store.weights import WEIGHTS, on_other_fronts

Json = Mapping[str, Any]


class Ledger(LeasedWrites):
    """The writes to one study, by the holder of its lease.

    Every method raises LeaseError, and writes nothing, once another process has taken the lease. Artifacts come as
    `{"id", "url", "sha256", "bytes"}`, the id, checksum and size being optional; `kind` too where they are not checkpoints.
    Methods that return URLs have forgotten those artifacts; the files are the caller's to remove. For one thread.
    """

    # Study

    def set_state(self, state: StudyState, note: str = "") -> None:
        """Change the study's state, recorded as an event; where it is in that state, nothing is."""
        other = update(Study).where(Study.id == self.study_id, Study.state != state).values(state=state)
        with self._write() as session:
            if rows_changed(session, other):
                session.add(Event(study_id=self.study_id, kind=STATE, text=f"{state}: {note}" if note else state.value))

    def update_study_config(self, config: Json, config_hash: str, note: str) -> None:
        """Replace the study's configuration; the note and the old hash are recorded as an event."""
        with self._write() as session:
            study = session.get_one(Study, self.study_id)
            session.add(
                Event(study_id=self.study_id, kind="config", text=note, data={"from": study.config_hash, "to": config_hash})
            )
            study.config, study.config_hash = dict(config), config_hash

    def add_event(self, kind: str, text: str, data: Json | None = None) -> None:
        with self._write() as session:
            session.add(Event(study_id=self.study_id, kind=kind, text=text, data=data and dict(data)))

    def bind_device(self, device: Json, text: str) -> None:
        """From now on the study's measured metrics come from this device, by its fingerprint."""
        self.add_event(DEVICE, f"measures on {text}", device)

    def promote(self, trial: int, rung: int, text: str) -> None:
        """From now on a trial, by its number, trains at this rung."""
        self.add_event(PROMOTION, text, {"trial": trial, "rung": rung})

    def take_request(self, request_id: int) -> None:
        """A request is being taken up; it is not given again."""
        with self._write() as session:
            session.execute(update(Request).where(Request.id == request_id).values(taken=database_time()))

    def delete_study(self) -> list[str]:
        """Delete the study, and the architectures that no other study met with their costs and evaluations. Returns URLs."""
        with self._write() as session:
            if self.database.is_server:  # nobody may find an architecture there that is about to go; a file has one writer anyway
                session.execute(text("LOCK TABLE moonas_architecture IN SHARE ROW EXCLUSIVE MODE"))
            urls = session.scalars(select(Artifact.url).join(Task).where(Task.study_id == self.study_id)).all()
            session.execute(delete(Study).where(Study.id == self.study_id))
            needed = exists().where(Candidate.architecture_id == Architecture.id)
            session.execute(delete(Architecture).where(~needed))
        return list(urls)

    # Trials

    def add_trial(self, number: int, params: Json, replicate: int, sampler_attrs: Json | None = None) -> int:
        """Add a WAITING trial; returns its id."""
        trial = {"number": number, "params": dict(params), "replicate": replicate, "sampler_attrs": dict(sampler_attrs or {})}
        with self._write() as session:
            added = run(session, statements.ADD_TRIAL, {"study_id": self.study_id, **trial}).inserted_primary_key
            return int(added[0])

    def add_candidates(self, trial_id: int, candidates: Sequence[NewCandidate]) -> None:
        """Store what was decoded for a trial, with architectures and costs; what is stored already stays as it is."""
        with self._write() as session:
            found = {candidate.architecture.key: candidate for candidate in candidates}
            insert_unknown(
                session,
                Architecture,
                [
                    {
                        "key": key,
                        "function_key": candidate.function_key,
                        "space": candidate.architecture.space,
                        "genotype": candidate.architecture.to_json(),
                    }
                    for key, candidate in found.items()
                ],
            )
            ids = architecture_ids(session, found)
            costs = [
                {
                    "architecture_id": ids[candidate.architecture.key],
                    "skeleton": candidate.skeleton.key,
                    "skeleton_json": candidate.skeleton.to_json(),
                    "params": candidate.params,
                    "macs": candidate.macs,
                }
                for candidate in candidates
            ]
            insert_unknown(session, Cost, costs)
            decoded = [
                {
                    "trial_id": trial_id,
                    "architecture_id": cost["architecture_id"],
                    "skeleton": cost["skeleton"],
                    "origin": candidate.origin,
                    "score": candidate.score,
                    "budget": candidate.budget and {metric: dict(bound) for metric, bound in candidate.budget.items()},
                }
                for candidate, cost in zip(candidates, costs, strict=True)
            ]
            insert_unknown(session, Candidate, decoded)

    def complete_trial(self, trial_id: int, values: Mapping[str, float], violation: float = 0.0) -> None:
        """values: {metric: value}, in the metrics' own signs."""
        self._end_trial(trial_id, state=TrialState.COMPLETE, values=dict(values), violation=violation)

    def prune_trial(self, trial_id: int, values: Mapping[str, float], violation: float, reason: str) -> None:
        """values: {metric: value}, what is known of it."""
        self._end_trial(trial_id, state=TrialState.PRUNED, values=dict(values), violation=violation, reason=reason)

    def fail_trial(self, trial_id: int, reason: str) -> None:
        self._end_trial(trial_id, state=TrialState.FAIL, reason=reason)

    def reopen_trial(self, trial_id: int) -> None:
        """A trial that failed waits again, and so do its tasks that failed, with the attempts and checkpoints they have."""
        waits = {"state": TaskState.WAITING, "finished": None}
        served = select(TrialTask.task_id).where(TrialTask.trial_id == trial_id)
        with self._write() as session:
            session.execute(update(Task).where(Task.id.in_(served), Task.state == TaskState.FAIL).values(waits))
            failed = (Trial.id == trial_id, Trial.state == TrialState.FAIL)
            session.execute(update(Trial).where(*failed).values(state=TrialState.WAITING, reason=None, started=None, finished=None))

    def _end_trial(self, trial_id: int, **values: Any) -> None:
        with self._write() as session:
            run(session, statements.END_TRIAL, {"the_trial": trial_id, "the_study": self.study_id, **values})

    # Tasks

    def add_task(self, kind: str, key: str, spec: Json, trial_ids: Iterable[int]) -> TaskRecord:
        """The task of this kind and key, a WAITING one made where there is none, linked to the trials."""
        with self._write() as session:
            task = {"the_study": self.study_id, "the_kind": kind, "the_key": key}
            task_id, served = run(session, statements.FIND_TASK, task).scalar(), sorted(set(trial_ids))
            if task_id is not None:
                for trial_id in served:
                    session.merge(TrialTask(trial_id=trial_id, task_id=task_id))
                session.flush()
                return task_records(session, select(Task.id).where(Task.id == task_id))[0]
            new = {"study_id": self.study_id, "kind": kind, "key": key, "spec": dict(spec)}
            task_id, created = run(session, statements.ADD_TASK, new).one()
            if served:
                run(session, statements.SERVE, [{"trial_id": trial_id, "task_id": task_id} for trial_id in served])
            times = {"created": created, "started": None, "finished": None}
            return TaskRecord(
                task_id, kind, key, dict(spec), TaskState.WAITING, None, **times, trial_ids=tuple(served), checkpoints=()
            )

    def link(self, trial_id: int, task_id: int, running: bool = False) -> None:
        """Let a task serve one more trial, which is RUNNING from now on where the task is."""
        with self._write() as session:
            session.merge(TrialTask(trial_id=trial_id, task_id=task_id))
            if running:
                run(session, statements.START_TRIALS, {"the_task": task_id})

    def start_attempt(self, task_id: int, worker: str, device: str) -> int:
        """A WAITING task becomes RUNNING, and so do the waiting trials it serves; returns the attempt's id."""
        attempt = {"task_id": task_id, "worker": worker, "device": device}
        with self._write() as session:
            found = run(session, statements.START_TASK, {"the_task": task_id}).rowcount
            assert found == 1, f"task {task_id} is not waiting"
            run(session, statements.START_TRIALS, {"the_task": task_id})
            return int(run(session, statements.ADD_ATTEMPT, attempt).inserted_primary_key[0])

    def record_progress(
        self, task_id: int, attempt_id: int, step: int, metrics: Json, checkpoint: Json | None = None, mixture: Json | None = None
    ) -> list[str]:
        """Store what one step reported; a replayed step overwrites. The last two checkpoints are kept. Returns URLs."""
        told = {"metrics": dict(metrics), "mixture": mixture and dict(mixture), "time": database_time()}
        row = {"task_id": task_id, "step": step, "attempt_id": attempt_id, **told}
        with self._write() as session:
            insert_or_replace(session, Progress, row)
            if checkpoint is None:
                return []
            of_task = select(Artifact.id, Artifact.step, Artifact.url).where(
                Artifact.task_id == task_id, Artifact.kind == CHECKPOINT
            )
            newest_first = session.execute(of_task.order_by(Artifact.step.desc())).all()
            kept = next((old.id for old in newest_first if old.step is not None and old.step < step), None)
            dropped = {old.id: old.url for old in newest_first if old.id != kept}
            _forget(session, dropped)
            _add_artifact(session, task_id, checkpoint, CHECKPOINT, step)
            return [url for url in dropped.values() if url != checkpoint["url"]]

    def drop_artifacts(self, task_id: int, kind: str) -> list[str]:
        """Forget a task's artifacts of one kind: checkpoints that are missing, weights no longer needed. Returns URLs."""
        with self._write() as session:
            dropped = dict(run(session, statements.ARTIFACTS, {"the_task": task_id, "the_kind": kind}).all())
            _forget(session, dropped)
            return list(dropped.values())

    def forget_artifacts(self, ids: Collection[str]) -> None:
        """Forget artifacts whose files are missing; the tasks that would read them start again."""
        with self._write() as session:
            _forget(session, ids)

    def drop_weights(self, held: Mapping[EvaluationKey, int]) -> dict[EvaluationKey, list[str]]:
        """Forget the weights of evaluations, but for networks on another study's front. held: their tasks' ids. Returns URLs."""
        with self._write() as session:
            needed = on_other_fronts(session, self.study_id, held)
            return {key: self.drop_artifacts(task_id, WEIGHTS) for key, task_id in held.items() if key not in needed}

    def reopen_task(self, task_id: int) -> None:
        """A COMPLETE task waits again: what it left behind is lost, and needed. Its result stays until the next one."""
        with self._write() as session:
            session.execute(update(Task).where(Task.id == task_id).values(state=TaskState.WAITING, finished=None))

    def finish_search(
        self,
        task_id: int,
        attempt_id: int,
        result: Json,
        seconds: float,
        artifacts: Iterable[Json] = (),
    ) -> list[str]:
        """Store a search's result and what it leaves behind. Returns URLs."""
        with self._write() as session:
            return self._finish(session, task_id, attempt_id, seconds, artifacts, result)

    def finish_evaluation(
        self,
        task_id: int,
        attempt_id: int,
        key: EvaluationKey,
        metrics: Json,
        seconds: float,
        *,
        device: Json,
        versions: Json,
        data_checksum: str,
        artifacts: Iterable[Json] = (),
    ) -> list[str]:
        """Store a measurement. Where another study measured the same first, that stays. Returns URLs."""
        with self._write() as session:
            urls = self._finish(session, task_id, attempt_id, seconds, artifacts, None)
            self.add_evaluation(
                key, metrics, seconds, device=device, versions=versions, data_checksum=data_checksum, task_id=task_id
            )
            return urls

    def add_evaluation(
        self,
        key: EvaluationKey,
        metrics: Json,
        seconds: float,
        *,
        device: Json,
        versions: Json,
        data_checksum: str,
        task_id: int | None = None,
    ) -> None:
        """Store a measurement, unless the same is stored already. task_id: None where no task of this database made it."""
        with self._write() as session:
            measured = {
                **key._asdict(),
                "architecture_id": architecture_ids(session, [key.architecture])[key.architecture],
                "task_id": task_id,
                "metrics": dict(metrics),
                "seconds": seconds,
                "device": dict(device),
                "versions": dict(versions),
                "data_checksum": data_checksum,
            }
            del measured["architecture"]
            insert_unknown(session, Evaluation, [measured])

    def known_evaluation(self, key: EvaluationKey) -> EvaluationRecord | None:
        """The measurement with this identity, also where this transaction has stored it."""
        with self._write() as session:
            return find_evaluation(session, key)

    def replace_front(self, front: FrontUpdate) -> int | None:
        """Store the front as it now is; returns its number, or None where nothing changed."""
        with self._write() as session:
            return replace_front(session, self.study_id, front)

    def pause_attempt(self, task_id: int, attempt_id: int, seconds: float | None = None) -> None:
        """An attempt ended at a checkpoint, as asked: its task waits to be continued."""
        with self._write() as session:
            _end_attempt(session, task_id, attempt_id, AttemptState.PAUSED, seconds)
            session.execute(update(Task).where(Task.id == task_id).values(state=TaskState.WAITING))

    def fail_attempt(
        self, task_id: int, attempt_id: int, reason: str, error: str, *, final: bool, seconds: float | None = None
    ) -> None:
        """An attempt went wrong; unless that is `final`, the task waits for another, from its last checkpoint.

        reason: one line. error: the traceback. seconds: by the database's clock where not given.
        """
        ended = {"state": TaskState.FAIL, "finished": database_time()} if final else {"state": TaskState.WAITING}
        with self._write() as session:
            _end_attempt(session, task_id, attempt_id, AttemptState.FAIL, seconds, reason=reason, error=error)
            session.execute(update(Task).where(Task.id == task_id).values(ended))

    def prune_task(self, task_id: int, why: Json) -> list[str]:
        """A task is given up, whatever its attempt, should one run, still reports. why: kept as its result. Returns URLs."""
        given_up = {"state": TaskState.PRUNED, "finished": database_time(), "result": dict(why)}
        with self._write() as session:
            session.execute(update(Task).where(Task.id == task_id).values(given_up))
            return self.drop_artifacts(task_id, CHECKPOINT)

    def prune_attempt(self, task_id: int, attempt_id: int, seconds: float) -> None:
        """The attempt at a task that was given up has ended."""
        with self._write() as session:
            _end_attempt(session, task_id, attempt_id, AttemptState.PRUNED, seconds)

    def reset_running(self, but: Collection[int] = ()) -> int:
        """What a loop that died left RUNNING: attempts are LOST, as of their last report; tasks wait. Returns how many tasks.

        but: attempts that go on, with their tasks.
        """
        with self._write() as session:
            going_on = select(Attempt.task_id).where(Attempt.id.in_(but), Attempt.state == AttemptState.RUNNING)
            of_study = select(Task.id).where(Task.study_id == self.study_id, Task.id.not_in(going_on))
            heard = select(func.max(Progress.time)).where(Progress.attempt_id == Attempt.id).scalar_subquery()
            last = func.coalesce(heard, Attempt.started)
            seconds = case((last > Attempt.started, last - Attempt.started), else_=0.0)  # the clock may have been set back
            session.execute(
                update(Attempt)
                .where(Attempt.task_id.in_(of_study), Attempt.state == AttemptState.RUNNING)
                .values(state=AttemptState.LOST, reason="its loop ended without a word", finished=last, seconds=seconds)
            )
            running = update(Task).where(Task.id.in_(of_study), Task.state == TaskState.RUNNING)
            return rows_changed(session, running.values(state=TaskState.WAITING))

    def _finish(
        self, session: Session, task_id: int, attempt_id: int, seconds: float, artifacts: Iterable[Json], result: Json | None
    ) -> list[str]:
        """Complete a task and its attempt, and exchange its checkpoints for what it leaves behind."""
        _end_attempt(session, task_id, attempt_id, AttemptState.COMPLETE, seconds)
        complete = {"state": TaskState.COMPLETE, "result": result and dict(result)}
        run(session, statements.END_TASK, {"the_task": task_id, **complete})
        for artifact in artifacts:
            _add_artifact(session, task_id, artifact, artifact["kind"])
        return self.drop_artifacts(task_id, CHECKPOINT)


def _end_attempt(
    session: Session, task_id: int, attempt_id: int, state: AttemptState, seconds: float | None, **values: Any
) -> None:
    ended = statements.END_ATTEMPT
    if seconds is None:
        ended = ended.values(seconds=database_time() - table_of(Attempt).c.started)
    else:
        values["seconds"] = seconds
    found = run(session, ended, {"the_attempt": attempt_id, "the_task": task_id, "state": state, **values}).rowcount
    assert found == 1, f"attempt {attempt_id} of task {task_id} is not running"


def _add_artifact(session: Session, task_id: int, artifact: Json, kind: str, step: int | None = None) -> None:
    known = {name: artifact[name] for name in ("id", "url", "sha256", "bytes") if name in artifact}
    session.execute(insert(table_of(Artifact)), {"task_id": task_id, "kind": kind, "step": step, **known})


def _forget(session: Session, artifacts: Collection[str]) -> None:
    """artifacts: ids."""
    if artifacts:
        session.execute(delete(table_of(Artifact)).where(Artifact.id.in_(artifacts)))
