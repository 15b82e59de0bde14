"""What lists of many thousand rows show: a page of trials, chosen and sorted by the database, and sums made there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import aliased

from moonas.errors import UsageError, nearest
from moonas.store.database import Database
from moonas.store.lease import has_died
from moonas.store.queries import columns
from moonas.store.records import EventRecord, TrialRecord
from moonas.store.states import TrialState
from moonas.store.tables import Attempt, Event, Front, FrontMember, Progress, Study, Task, Trial, TrialTask, database_time
from moonas.study.metrics import METRICS

SORTS: dict[str, Any] = {
    "number": Trial.number,
    "state": Trial.state,
    "method": Trial.params["method"].as_string(),
    "budget": Trial.params["budget"].as_string(),
    "replicate": Trial.replicate,
    "violation": Trial.violation,
    "started": Trial.started,
    "finished": Trial.finished,
    "seconds": Trial.finished - Trial.started,
}


@dataclass(frozen=True)
class StudyFacts:
    """front: members of the present one; its number, 0 before the first. seconds: of devices, by all attempts that ended.

    last_event: the id of the latest, 0 where there is none. driven_since: None where no living process drives it, as far as can be
    told from here.
    """

    config_hash: str
    front: int
    front_number: int
    hypervolume: float | None
    seconds: float
    last_event: int
    driven_since: float | None

    @property
    def driven(self) -> bool:
        return self.driven_since is not None


def trial_page(
    database: Database,
    study_id: int,
    *,
    state: TrialState | None = None,
    method: str | None = None,
    budget: str | None = None,
    replicate: int | None = None,
    sort: str = "number",
    offset: int = 0,
    limit: int = 100,
) -> tuple[list[TrialRecord], int]:
    """A page of the trials that are chosen, and how many they are in all.

    sort: one of `SORTS` or a metric, with a minus before it from the largest down; trials without a value come last.
    Raises UsageError for another one.
    """
    wanted = {Trial.state: state, SORTS["method"]: method, SORTS["budget"]: budget, Trial.replicate: replicate}
    chosen = [Trial.study_id == study_id, *(column == value for column, value in wanted.items() if value is not None)]
    query = select(*columns(TrialRecord, Trial)).where(*chosen).order_by(*_order(sort)).offset(offset).limit(limit)
    with database.read() as session:
        count = session.scalar(select(func.count()).select_from(Trial).where(*chosen)) or 0
        return [TrialRecord(*row) for row in session.execute(query)], count


def trials_served(database: Database, trial_id: int) -> dict[int, tuple[int, ...]]:
    """{id of a task of the trial: the numbers of all trials that it serves}."""
    own = select(TrialTask.task_id).where(TrialTask.trial_id == trial_id)
    query = select(TrialTask.task_id, Trial.number).join(Trial, Trial.id == TrialTask.trial_id).where(TrialTask.task_id.in_(own))
    found: dict[int, tuple[int, ...]] = {}
    with database.read() as session:
        for task_id, number in session.execute(query.order_by(Trial.number)):
            found[task_id] = (*found.get(task_id, ()), number)
    return found


def trial_stamp(database: Database, trial_id: int) -> str:
    """A text that is another one as soon as anything was written of a trial or of its tasks."""
    of_trial = select(TrialTask.task_id).where(TrialTask.trial_id == trial_id)
    tasks = select(func.count(), func.max(Task.finished)).where(Task.id.in_(of_trial))
    attempts = select(func.count(), func.max(Attempt.finished)).where(Attempt.task_id.in_(of_trial))
    steps = select(func.count(), func.max(Progress.time)).where(Progress.task_id.in_(of_trial))
    with database.read() as session:
        state = session.scalar(select(Trial.state).where(Trial.id == trial_id))
        return " ".join(map(str, (state, *(part for query in (tasks, attempts, steps) for part in session.execute(query).one()))))


def trial_counts(database: Database, study_id: int) -> dict[TrialState, int]:
    """How many trials are in each state that occurs."""
    query = select(Trial.state, func.count()).where(Trial.study_id == study_id).group_by(Trial.state)
    with database.read() as session:
        return dict(session.execute(query).all())


def study_facts(database: Database, study_id: int | None = None) -> dict[int, StudyFacts]:
    """Of every study by its id, or of one alone."""

    def chosen(query: Any, study: Any) -> list[Any]:
        return list(session.execute(query if study_id is None else query.where(study == study_id)))

    def grouped(study: Any, value: Any, *where: ColumnElement[bool]) -> dict[int, Any]:
        return dict(map(tuple, chosen(select(study, value).where(*where).group_by(study), study)))

    earlier = aliased(Front)
    last = select(func.max(earlier.number)).where(earlier.study_id == Front.study_id).scalar_subquery()
    fronts = select(Front.study_id, Front.number, Front.hypervolume).where(Front.number == last)
    driven = driven_since(database, study_id)
    with database.read() as session:
        members = grouped(FrontMember.study_id, func.count(), FrontMember.left_front.is_(None))
        steps = {id: (number, volume) for id, number, volume in chosen(fronts, Front.study_id)}
        seconds = grouped(Task.study_id, func.sum(Attempt.seconds), Task.id == Attempt.task_id)
        events = grouped(Event.study_id, func.max(Event.id))
        return {
            id: StudyFacts(
                config_hash=config_hash,
                front=members.get(id, 0),
                front_number=steps.get(id, (0, None))[0],
                hypervolume=steps.get(id, (0, None))[1],
                seconds=seconds.get(id) or 0.0,
                last_event=events.get(id, 0),
                driven_since=driven.get(id),
            )
            for id, config_hash in chosen(select(Study.id, Study.config_hash), Study.id)
        }


def driven_since(database: Database, study_id: int | None = None) -> dict[int, float]:
    """Since when a living process drives a study, as far as can be told from here; of all studies by their ids, or of one alone."""
    lasting = select(Study.id, Study.lease_holder, Study.lease_since).where(Study.lease_expires > database_time())
    with database.read() as session:
        held: list[Any] = list(session.execute(lasting if study_id is None else lasting.where(Study.id == study_id)))
    return {id: since for id, holder, since in held if holder and not has_died(holder)}


def event_page(database: Database, study_id: int, after: int, limit: int) -> list[EventRecord]:
    """The first events of a study whose ids are above `after`."""
    query = select(*columns(EventRecord, Event)).where(Event.study_id == study_id, Event.id > after)
    with database.read() as session:
        return [EventRecord(*row) for row in session.execute(query.order_by(Event.id).limit(limit))]


def _order(sort: str) -> list[Any]:
    name = sort.removeprefix("-")
    if name not in SORTS and name not in METRICS:
        known = [*SORTS, *METRICS]
        raise UsageError(f"trials are not sorted by {name!r}{nearest(name, known)}\nKnown: {', '.join(known)}.")
    column = SORTS[name] if name in SORTS else Trial.values[name].as_float()
    return [(column.desc() if sort.startswith("-") else column.asc()).nulls_last(), Trial.number]
