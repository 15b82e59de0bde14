"""What can be read from a study database, by anyone and at any time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, select
from sqlalchemy.orm import Session

from moonas.errors import UnknownStudyError, UsageError, nearest
from moonas.store.database import Database
from moonas.store.fronts import front_members, front_steps
from moonas.store.queries import columns, run
from moonas.store.records import (
    ArchitectureRecord,
    ArtifactRecord,
    AttemptRecord,
    CandidateRecord,
    DecodedRecord,
    EvaluationKey,
    EvaluationRecord,
    EventRecord,
    FrontMemberRecord,
    FrontRecord,
    ProgressRecord,
    RequestRecord,
    StudyRecord,
    StudySummary,
    TaskRecord,
    TrialRecord,
)
from moonas.store.statements import EVALUATION
from moonas.store.states import AttemptState, TaskState, TrialState
from moonas.store.summaries import study_summaries
from moonas.store.tables import (
    Architecture,
    Artifact,
    Attempt,
    Candidate,
    Cost,
    Evaluation,
    Event,
    Front,
    Progress,
    Request,
    Study,
    Task,
    Trial,
    TrialTask,
)

CHECKPOINT = "checkpoint"
STATE = "state"  # the event of a changed state, its note after a colon
DEVICE = "device"  # the event that ties a study to the device it measures on
REQUEST = "request"  # the event of a request that was taken up: what came of it
OUT_OF_MEMORY = "out of memory"  # the event of a task that goes on with half the batch
PROMOTION = "promotion"  # the event of a trial that goes on to a longer training


class Reads:
    """Every query of the store. `study_id` is a `StudyRecord.id`; trials are named by their numbers."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def study(self, name: str) -> StudyRecord:
        """Raises UnknownStudyError, with the nearest known name."""
        with self.database.read() as session:
            row = session.execute(select(*columns(StudyRecord, Study)).where(Study.name == name)).one_or_none()
            if row is None:
                known = sorted(session.scalars(select(Study.name)))
                listing = f"Known: {', '.join(known)}." if known else "It holds none yet."
                raise UnknownStudyError(f"there is no study {name!r} in {self.database.shown}{nearest(name, known)}. {listing}")
        return StudyRecord(*row)

    def studies(self) -> list[StudySummary]:
        """All studies, the oldest first."""
        return study_summaries(self.database)

    def trials(
        self,
        study_id: int,
        state: TrialState | None = None,
        offset: int = 0,
        limit: int | None = None,
        architectures: Collection[str] | None = None,
    ) -> list[TrialRecord]:
        """In the order of their numbers. architectures: keys; only trials that decoded one of these."""
        query = select(*columns(TrialRecord, Trial)).where(_in_study(study_id, architectures))
        if state is not None:
            query = query.where(Trial.state == state)
        if architectures is not None:
            query = query.where(Trial.id.in_(select(Candidate.trial_id).where(_is_one_of(architectures))))
        return self._records(TrialRecord, query.order_by(Trial.number).offset(offset).limit(limit))

    def trial(self, study_id: int, number: int) -> TrialRecord:
        """Raises UsageError where the study has no such trial."""
        with self.database.read() as session:
            of_study = Trial.study_id == study_id
            row = session.execute(select(*columns(TrialRecord, Trial)).where(of_study, Trial.number == number)).one_or_none()
            if row is None:
                count = session.scalar(select(func.count()).where(of_study))
                raise UsageError(f"there is no trial {number}; the study has {count} trials, counted from 0")
        return TrialRecord(*row)

    def tasks(
        self,
        study_id: int,
        state: TaskState | None = None,
        kind: str | None = None,
        trial: int | None = None,
        telling: str | None = None,
    ) -> list[TaskRecord]:
        """In the order they were added. telling: only those whose result has an entry of this name, neither null nor empty."""
        wanted = select(Task.id).where(Task.study_id == study_id)
        for column, value in ((Task.state, state), (Task.kind, kind)):
            if value is not None:
                wanted = wanted.where(column == value)
        if telling is not None:
            wanted = wanted.where(Task.result[telling].as_string().not_in(("[]", "{}")))
        if trial is not None:
            wanted = wanted.where(Task.id.in_(_tasks_of(trial)))
        with self.database.read() as session:
            return task_records(session, wanted)

    def tasks_at_hand(self, study_id: int) -> list[TaskRecord]:
        """All that a loop still needs: those but complete evaluations and measurements, whose results are `measurements`."""
        over = and_(Task.state == TaskState.COMPLETE, Task.kind.in_(("evaluate", "measure")))
        with self.database.read() as session:
            return task_records(session, select(Task.id).where(Task.study_id == study_id, ~over))

    def attempts(
        self, study_id: int, trial: int | None = None, task_id: int | None = None, state: AttemptState | None = None
    ) -> list[AttemptRecord]:
        """Of a study, of one trial's tasks or of one task; in the order they began."""
        query = select(*columns(AttemptRecord, Attempt, kind=Task.kind)).join(Task).where(Task.study_id == study_id)
        if trial is not None:
            query = query.where(Task.id.in_(_tasks_of(trial)))
        if task_id is not None:
            query = query.where(Task.id == task_id)
        if state is not None:
            query = query.where(Attempt.state == state)
        return self._records(AttemptRecord, query.order_by(Attempt.id))

    def progress(self, task_id: int) -> list[ProgressRecord]:
        """In the order of the steps."""
        query = select(*columns(ProgressRecord, Progress)).where(Progress.task_id == task_id)
        return self._records(ProgressRecord, query.order_by(Progress.step))

    def mixtures(self, task_id: int) -> list[tuple[int, dict[str, Any]]]:
        """(step, what a search's architecture parameters then said, as of `moonas.spaces.mixture`), in the order of the steps."""
        query = select(Progress.step, Progress.mixture).where(Progress.task_id == task_id, Progress.mixture.is_not(None))
        with self.database.read() as session:
            return [(step, mixture) for step, mixture in session.execute(query.order_by(Progress.step))]

    def curves(self, study_id: int, task_id: int | None = None) -> list[tuple[str, list[float]]]:
        """(key, accuracy on `valid` after each epoch) of every training of the study, or of one task, that ran to its end.

        In the order in which they finished.
        """
        query = (
            select(Task.id, Task.key, Progress.metrics)
            .join(Progress, Progress.task_id == Task.id)
            .where(Task.study_id == study_id, Task.kind == "evaluate", Task.state == TaskState.COMPLETE)
            .order_by(Task.finished, Task.id, Progress.step)
        )
        if task_id is not None:
            query = query.where(Task.id == task_id)
        found: dict[int, tuple[str, list[float]]] = {}
        with self.database.read() as session:
            for task, key, metrics in session.execute(query):
                if "valid_accuracy" in metrics:
                    found.setdefault(task, (key, []))[1].append(metrics["valid_accuracy"])
        return list(found.values())

    def artifacts(self, task_id: int) -> list[ArtifactRecord]:
        query = select(*columns(ArtifactRecord, Artifact)).where(Artifact.task_id == task_id)
        return self._records(ArtifactRecord, query.order_by(Artifact.kind, Artifact.step))

    def device_seconds(self, study_id: int) -> float:
        """What all ended attempts of the study took."""
        query = select(func.sum(Attempt.seconds)).join(Task).where(Task.study_id == study_id)
        with self.database.read() as session:
            return session.scalar(query) or 0.0

    def device_seconds_by_trial(self, study_id: int) -> dict[int, float]:
        """The same by the ids of trials, a shared task divided among those that it serves; trials that took none are absent."""
        of_study = select(Task.id).where(Task.study_id == study_id)
        served = (
            select(TrialTask.task_id, func.count().label("trials"))
            .where(TrialTask.task_id.in_(of_study))
            .group_by(TrialTask.task_id)
        ).subquery()
        query = (
            select(TrialTask.trial_id, func.sum(Attempt.seconds / served.c.trials))
            .join(served, served.c.task_id == TrialTask.task_id)
            .join(Attempt, Attempt.task_id == TrialTask.task_id)
            .where(Attempt.seconds.is_not(None))
            .group_by(TrialTask.trial_id)
        )
        with self.database.read() as session:
            return dict(run(session, query).all())

    def candidates(
        self, study_id: int, trial: int | None = None, architectures: Collection[str] | None = None
    ) -> list[CandidateRecord]:
        """In the order they were decoded, each trial's primary one first; of all architectures, or of those with these keys."""
        chosen = columns(
            CandidateRecord,
            Candidate,
            trial=Trial.number,
            architecture=Architecture.key,
            function_key=Architecture.function_key,
            genotype=Architecture.genotype,
            skeleton_json=Cost.skeleton_json,
            params=Cost.params,
            macs=Cost.macs,
        )
        query = (
            select(*chosen)
            .join(Trial)
            .join(Architecture, Architecture.id == Candidate.architecture_id)
            .join(Cost, and_(Cost.architecture_id == Candidate.architecture_id, Cost.skeleton == Candidate.skeleton))
            .where(_in_study(study_id, architectures))
        )
        if trial is not None:
            query = query.where(Trial.number == trial)
        if architectures is not None:
            query = query.where(_is_one_of(architectures))
        return self._records(CandidateRecord, query.order_by(Candidate.id))

    def decoded(self, study_id: int) -> list[DecodedRecord]:
        """Of all `candidates`, in their order, what needs no JSON to be read: a tenth of the time."""
        query = (
            select(Candidate.trial_id, Architecture.key, Candidate.skeleton, Candidate.origin, Cost.params, Cost.macs)
            .join(Trial, Trial.id == Candidate.trial_id)
            .join(Architecture, Architecture.id == Candidate.architecture_id)
            .join(Cost, and_(Cost.architecture_id == Candidate.architecture_id, Cost.skeleton == Candidate.skeleton))
            .where(Trial.study_id == study_id)
        )
        with self.database.read() as session:
            return [DecodedRecord(*row) for row in run(session, query.order_by(Candidate.id)).all()]

    def evaluations(
        self,
        study_id: int,
        data: str | None = None,
        protocol: str | None = None,
        architectures: Collection[str] | None = None,
    ) -> list[EvaluationRecord]:
        """Every measurement of the architectures that the study met, whichever study made it; or of those with these keys."""
        met = select(Candidate.architecture_id).join(Trial).where(_in_study(study_id, architectures))
        if architectures is not None:
            met = met.where(_is_one_of(architectures))
        query = _evaluations().where(Evaluation.architecture_id.in_(met))
        for column, value in ((Evaluation.data, data), (Evaluation.protocol, protocol)):
            if value is not None:
                query = query.where(column == value)
        return self._records(EvaluationRecord, query.order_by(Evaluation.id))

    def measurements(self, study_id: int) -> dict[EvaluationKey, dict[str, float]]:
        """The metrics of all `evaluations`."""
        chosen = [Architecture.key, *(getattr(Evaluation, name) for name in EvaluationKey._fields[1:]), Evaluation.metrics]
        met = select(Candidate.architecture_id).join(Trial).where(Trial.study_id == study_id)
        query = select(*chosen).join(Architecture, Architecture.id == Evaluation.architecture_id)
        with self.database.read() as session:
            rows = run(session, query.where(Evaluation.architecture_id.in_(met)))
            return {EvaluationKey(*row[:-1]): row[-1] for row in rows.all()}

    def known_evaluation(self, key: EvaluationKey) -> EvaluationRecord | None:
        """The measurement with this identity, if any study has made it."""
        with self.database.read() as session:
            return find_evaluation(session, key)

    def device(self, study_id: int) -> dict[str, Any] | None:
        """Fingerprint of the device that the study's measured metrics come from; None before the first of them."""
        query = select(Event.data).where(Event.study_id == study_id, Event.kind == DEVICE).order_by(Event.id)
        with self.database.read() as session:
            return session.scalar(query.limit(1))

    def rungs(self, study_id: int) -> dict[int, int]:
        """To which rung each trial has been promoted, by its number; those that never were are absent."""
        query = select(Event.data).where(Event.study_id == study_id, Event.kind == PROMOTION).order_by(Event.id)
        with self.database.read() as session:
            return {data["trial"]: data["rung"] for data in session.scalars(query) if data}

    def halved(self, study_id: int) -> dict[tuple[str, str], int]:
        """{(kind, key) of a task whose memory ran out: the images of a batch it then took}."""
        query = select(Event.data).where(Event.study_id == study_id, Event.kind == OUT_OF_MEMORY).order_by(Event.id)
        with self.database.read() as session:
            return {(data["kind"], data["key"]): data["batch"] for data in session.scalars(query) if data}

    def state_note(self, study_id: int) -> str:
        """Why the study is in its state, such as the limit that was reached; empty where nothing was said."""
        query = select(Event.text).where(Event.study_id == study_id, Event.kind == STATE).order_by(Event.id.desc())
        with self.database.read() as session:
            return (session.scalar(query.limit(1)) or "").partition(": ")[2]

    def architecture_by_prefix(self, study_id: int, prefix: str) -> ArchitectureRecord:
        """The one architecture of the study whose key begins with `prefix`. Raises UsageError where none or several do."""
        met = select(Candidate.architecture_id).join(Trial).where(Trial.study_id == study_id)
        query = select(*columns(ArchitectureRecord, Architecture)).where(Architecture.id.in_(met)).order_by(Architecture.key)
        matching = query.where(Architecture.key.startswith(prefix.lower(), autoescape=True))
        found = self._records(ArchitectureRecord, matching.limit(9))
        if len(found) == 1:
            return found[0]
        if found:
            keys = ", ".join(record.key for record in found[:8]) + (" ..." if len(found) > 8 else "")
            raise UsageError(f"{prefix!r} is the beginning of several architectures' keys: {keys}")
        some = ", ".join(record.key for record in self._records(ArchitectureRecord, query.limit(8)))
        raise UsageError(f"no architecture of this study has a key that begins with {prefix!r}; its keys: {some or 'none yet'}")

    def front(self, study_id: int, number: int | None = None, protocol: str | None = None) -> list[FrontMemberRecord]:
        """The members of the present front, or of front `number`, in the order of their keys.

        Without `protocol` it is that of the front's last change: fronts of two protocols are never mixed.
        """
        with self.database.read() as session:
            return front_members(session, study_id, number, protocol)

    def last_front(self, study_id: int) -> int:
        """The number of the present front; 0 where there is none yet."""
        with self.database.read() as session:
            return session.scalar(select(func.max(Front.number)).where(Front.study_id == study_id)) or 0

    def front_history(self, study_id: int, protocol: str | None = None) -> list[FrontRecord]:
        """Every change of the front, the oldest first."""
        with self.database.read() as session:
            return front_steps(session, study_id, protocol)

    def events(self, study_id: int, after: int = 0) -> list[EventRecord]:
        """In the order they happened; `after` is the id of the last one already seen."""
        query = select(*columns(EventRecord, Event)).where(Event.study_id == study_id, Event.id > after)
        return self._records(EventRecord, query.order_by(Event.id))

    def requests(self, study_id: int) -> list[RequestRecord]:
        """Those that no loop has taken up yet, the oldest first."""
        query = select(*columns(RequestRecord, Request)).where(Request.study_id == study_id, Request.taken.is_(None))
        return self._records(RequestRecord, query.order_by(Request.id))

    def answer(self, study_id: int, request_id: int) -> EventRecord | None:
        """What came of a request; None before a loop took it up."""
        asked = select(Request.created).where(Request.id == request_id).scalar_subquery()
        # Events of an imported study name requests of the database that it comes from.
        query = select(*columns(EventRecord, Event)).where(Event.study_id == study_id, Event.kind == REQUEST, Event.time >= asked)
        return next(iter(self._records(EventRecord, query.where(Event.data["request"].as_integer() == request_id))), None)

    def _records(self, record: type[Any], query: Select[Any]) -> list[Any]:
        with self.database.read() as session:
            return [record(*row) for row in run(session, query).all()]


def task_records(session: Session, wanted: Select[Any]) -> list[TaskRecord]:
    """The tasks whose ids `wanted` selects, in the order they were added."""
    trial_ids: dict[int, list[int]] = defaultdict(list)
    checkpoints: dict[int, list[ArtifactRecord]] = defaultdict(list)
    links = select(TrialTask.task_id, TrialTask.trial_id).where(TrialTask.task_id.in_(wanted)).order_by(TrialTask.trial_id)
    for task_id, trial_id in session.execute(links):
        trial_ids[task_id].append(trial_id)
    kept = select(*columns(ArtifactRecord, Artifact)).where(Artifact.task_id.in_(wanted), Artifact.kind == CHECKPOINT)
    for row in session.execute(kept.order_by(Artifact.step.desc())):
        checkpoints[row.task_id].append(ArtifactRecord(*row))
    plain = columns(TaskRecord, Task, without=("trial_ids", "checkpoints"))
    rows = session.execute(select(*plain).where(Task.id.in_(wanted)).order_by(Task.id)).mappings()
    return [TaskRecord(**row, trial_ids=tuple(trial_ids[row["id"]]), checkpoints=tuple(checkpoints[row["id"]])) for row in rows]


def find_evaluation(session: Session, key: EvaluationKey) -> EvaluationRecord | None:
    """The measurement with this identity, as the session sees it."""
    row = run(session, EVALUATION, {f"the_{name}": value for name, value in key._asdict().items()}).one_or_none()
    return None if row is None else EvaluationRecord(*row)


def _in_study(study_id: int, architectures: Collection[str] | None) -> ColumnElement[bool]:
    """The condition on `Trial`. A sum keeps SQLite off the study's index where it has to begin with architectures."""
    return Trial.study_id == study_id if architectures is None else Trial.study_id + 0 == study_id


def _is_one_of(architectures: Collection[str]) -> ColumnElement[bool]:
    """The condition on `Candidate` that its architecture's key is one of these."""
    return Candidate.architecture_id.in_(select(Architecture.id).where(Architecture.key.in_(architectures)))


def _tasks_of(trial: int) -> Select[Any]:
    return select(TrialTask.task_id).join(Trial).where(Trial.number == trial)


def _evaluations() -> Select[Any]:
    chosen = columns(EvaluationRecord, Evaluation, architecture=Architecture.key)
    return select(*chosen).join(Architecture, Architecture.id == Evaluation.architecture_id)
