"""What can be wrong with a database, as far as its rows tell: each search yields a sentence per fault, with what would do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from sqlalchemy import and_, exists, func, or_, select, text
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session

from moonas.errors import UsageError
from moonas.store.lease import has_died, is_holder
from moonas.store.states import AttemptState, StudyState, TaskState, TrialState
from moonas.store.tables import (
    Architecture,
    Artifact,
    Attempt,
    Candidate,
    Cost,
    Evaluation,
    Front,
    FrontMember,
    Study,
    Task,
    Trial,
    database_time,
)

BACKUP = "go back to a backup, or run its file under another name, which takes over what was measured"
DAMAGED = "go back to a backup, or save what can be read with: sqlite3 FILE .recover"
FORGET = "moonas db check --fix forgets it, and what still needs it is done again"
DRIVEN = "study {name!r}: {what}; moonas resume {name} puts that right"


def faults(session: Session) -> list[str]:
    """Everything found wrong, one sentence each; where the file itself is damaged, that alone."""
    if found := list(_damage(session)):  # other searches would stumble over it
        return found
    return [fault for search in SEARCHES for fault in search(session)]


def _damage(session: Session) -> Iterator[str]:
    """What SQLite says of its own file; a database server looks after its own."""
    if session.get_bind().dialect.name != "sqlite":
        return
    try:
        for line in session.scalars(text("PRAGMA integrity_check")).all():
            if line != "ok":
                yield f"the file is damaged: {line}; {DAMAGED}"
        for table, row, parent, _ in session.execute(text("PRAGMA foreign_key_check")).all():
            yield f"row {row} of {table} refers to a row of {parent} that is not there; {BACKUP}"
    except DatabaseError as error:
        yield f"the file is damaged: {error.orig}; {DAMAGED}"


def _orphans(session: Session) -> Iterator[str]:
    needed = exists().where(Candidate.architecture_id == Architecture.id)
    for key in session.scalars(select(Architecture.key).where(~needed).order_by(Architecture.key)):
        yield f"architecture {key} belongs to no trial; it is harmless, and goes when any study is deleted"


def _impossible_trials(session: Session) -> Iterator[str]:
    over = or_(Trial.state == TrialState.WAITING, Trial.state == TrialState.RUNNING)
    faults = {
        "is COMPLETE but has no values": (Trial.state == TrialState.COMPLETE) & Trial.values.is_(None),
        "has failed without a reason": (Trial.state == TrialState.FAIL) & Trial.reason.is_(None),
        "has ended but is not finished": ~over & Trial.finished.is_(None),
        "is finished but has not ended": over & Trial.finished.is_not(None),
        "is RUNNING but never began": (Trial.state == TrialState.RUNNING) & Trial.started.is_(None),
    }
    for fault, condition in faults.items():
        query = select(Study.name, Trial.number).join(Study).where(condition).order_by(Study.name, Trial.number)
        for study, number in session.execute(query):
            yield f"study {study!r}: trial {number} {fault}; {BACKUP}"
    query = select(Study.name, Trial.number).join(Study).where(over, Study.state == StudyState.COMPLETE)
    for study, number in session.execute(query.order_by(Study.name, Trial.number)):
        yield DRIVEN.format(name=study, what=f"trial {number} is open, but the study is COMPLETE")


def _abandoned_tasks(session: Session) -> Iterator[str]:
    running = select(Study.name, Study.lease_holder, Study.lease_expires < database_time(), func.count()).join(
        Task, (Task.study_id == Study.id) & (Task.state == TaskState.RUNNING)
    )
    for study, holder, expired, count in session.execute(running.group_by(Study.id).order_by(Study.name)):
        if holder is None or expired or has_died(holder):
            yield f"study {study!r}: {count} tasks are RUNNING but nobody drives the study; moonas resume {study} goes on with them"


def _dominated_members(session: Session) -> Iterator[str]:
    import numpy as np

    from moonas.front.dominance import non_dominated
    from moonas.study.functions import declare_returned
    from moonas.study.metrics import METRICS

    fronts = defaultdict(list)
    query = (
        select(Study.name, FrontMember.protocol, Architecture.key, FrontMember.values)
        .join(Study, Study.id == FrontMember.study_id)
        .join(Architecture, Architecture.id == FrontMember.architecture_id)
        .where(FrontMember.left_front.is_(None))
        .order_by(Study.name, FrontMember.protocol, Architecture.key)
    )
    for study, protocol, key, values in session.execute(query):
        fronts[study, protocol].append((key, values))
    methods = {name: config.get("methods") for name, config in session.execute(select(Study.name, Study.config))}
    for (study, protocol), members in fronts.items():
        where = f"study {study!r}, front by {protocol}"
        try:
            declare_returned(methods[study])
            signs = {metric: -1 if METRICS[metric].direction == "maximize" else 1 for metric in members[0][1]}
        except UsageError as error:
            yield f"{where}: {error}"
            continue
        if odd := [key for key, values in members if values.keys() != signs.keys()]:
            yield f"{where}: members differ in their objectives: {', '.join(odd)}; {BACKUP}"
            continue
        minimised = np.array([[sign * values[metric] for metric, sign in signs.items()] for _, values in members])
        for (key, _), kept in zip(members, non_dominated(minimised), strict=True):
            if not kept:
                yield f"{where}: {key} is dominated by another member; {BACKUP}"


def _missing_files(session: Session) -> Iterator[str]:
    query = select(Study.name, Artifact.kind, Artifact.url).join(Task, Task.id == Artifact.task_id).join(Study)
    for study, kind, url in session.execute(query.order_by(Study.name, Artifact.url)):
        parts = urlsplit(url)
        if parts.scheme == "file" and not Path(url2pathname(parts.path)).exists():
            yield f"study {study!r}: the {kind} {url} is missing; {FORGET}"


def _half_held(session: Session) -> Iterator[str]:
    fields = (Study.lease_holder, Study.lease_since, Study.lease_expires)
    query = select(Study.name, *fields).where(or_(*(field.is_not(None) for field in fields))).order_by(Study.name)
    for name, holder, since, expires in session.execute(query):
        if holder is None or since is None or expires is None or not is_holder(holder):
            held = f"holder {holder}, since {since}, until {expires}"
            yield f"study {name!r}: its lease makes no sense: {held}; moonas resume {name} takes it anew"


def _holes(session: Session) -> Iterator[str]:
    counted = select(Study.name, func.count(), func.min(Trial.number), func.max(Trial.number)).join(Trial)
    for name, count, least, most in session.execute(counted.group_by(Study.id).order_by(Study.name)):
        if (least, most) != (0, count - 1):
            yield f"study {name!r}: its {count} trials are numbered {least} to {most}, not 0 to {count - 1}; {BACKUP}"
    fronts = select(Study.name, func.count(), func.min(Front.number), func.max(Front.number)).join(Front)
    for name, count, least, most in session.execute(fronts.group_by(Study.id).order_by(Study.name)):
        if (least, most) != (1, count):
            yield f"study {name!r}: its {count} fronts are numbered {least} to {most}, not 1 to {count}; {BACKUP}"


def _impossible_stays(session: Session) -> Iterator[str]:
    last = select(func.max(Front.number)).where(Front.study_id == FrontMember.study_id).scalar_subquery()
    wrong = or_(
        FrontMember.left_front <= FrontMember.entered,
        FrontMember.left_front > func.coalesce(last, 0),
        FrontMember.entered > func.coalesce(last, 0),
    )
    query = select(Study.name, Architecture.key, FrontMember.entered, FrontMember.left_front).select_from(FrontMember)
    query = query.join(Study, Study.id == FrontMember.study_id).join(Architecture, Architecture.id == FrontMember.architecture_id)
    for name, key, entered, left in session.execute(query.where(wrong).order_by(Study.name, Architecture.key)):
        until = "stays" if left is None else f"left with front {left}"
        yield f"study {name!r}: {key} entered with front {entered} and {until}, which the history does not have; {BACKUP}"


def _costless(session: Session) -> Iterator[str]:
    known = exists().where(Cost.architecture_id == Evaluation.architecture_id, Cost.skeleton == Evaluation.skeleton)
    trained = and_(Evaluation.source == "", Evaluation.data != "")  # of others the skeleton is the search's, which has no costs
    query = select(Architecture.key, Evaluation.protocol, Evaluation.replicate).join(
        Architecture, Architecture.id == Evaluation.architecture_id
    )
    for key, protocol, replicate in session.execute(query.where(trained, ~known).order_by(Evaluation.id)):
        yield f"the evaluation of {key} by {protocol}, replicate {replicate}, is of a network whose costs are not stored; {BACKUP}"


def _strayed_attempts(session: Session) -> Iterator[str]:
    """Attempts and tasks that do not agree about what runs. A task given up may have an attempt that is about to hear of it."""
    running = Attempt.state == AttemptState.RUNNING
    query = (
        select(Study.name, Attempt.id, Task.id, Task.state)
        .select_from(Attempt)
        .join(Task, Task.id == Attempt.task_id)
        .join(Study, Study.id == Task.study_id)
        .where(running, Task.state.not_in((TaskState.RUNNING, TaskState.PRUNED)))
        .order_by(Attempt.id)
    )
    for name, attempt, task, state in session.execute(query):
        yield DRIVEN.format(name=name, what=f"attempt {attempt} is RUNNING, but its task {task} is {state}")
    counted = (
        select(Study.name, Task.id, func.count(Attempt.id))
        .select_from(Task)
        .join(Study, Study.id == Task.study_id)
        .outerjoin(Attempt, and_(Attempt.task_id == Task.id, running))
        .where(Task.state == TaskState.RUNNING)
        .group_by(Study.name, Task.id)
        .having(func.count(Attempt.id) != 1)
        .order_by(Task.id)
    )
    for name, task, count in session.execute(counted):
        yield DRIVEN.format(name=name, what=f"task {task} is RUNNING with {count} running attempts")


SEARCHES: tuple[Callable[[Session], Iterator[str]], ...] = (
    _orphans,
    _half_held,
    _holes,
    _impossible_trials,
    _strayed_attempts,
    _abandoned_tasks,
    _impossible_stays,
    _dominated_members,
    _costless,
    _missing_files,
)
