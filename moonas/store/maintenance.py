"""Looking after a database: upgrading it to this version of moonas, and finding what is wrong with it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from sqlalchemy import exists, func, or_, select, text
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session

from moonas.errors import UsageError
from moonas.store.database import connect
from moonas.store.lease import has_died
from moonas.store.states import StudyState, TaskState, TrialState
from moonas.store.store import Store
from moonas.store.tables import Architecture, Artifact, Candidate, FrontMember, Study, Task, Trial, database_time


def upgrade(url: str) -> None:
    """Bring an existing database to the schema of this version, all or nothing.

    Raises NoDatabaseError where there is none, SchemaVersionError where it is of a newer moonas, StorageError otherwise.
    """
    database = connect(url)
    try:
        if database.revision() is not None:
            database.migrate()
        database.check_revision()
    finally:
        database.engine.dispose()


def check(url: str) -> list[str]:
    """Everything found wrong, one sentence each; empty where all is well. Changes nothing. Raises StorageError."""
    with Store.open(url, read_only=True) as store, store.database.read() as session:
        if damage := list(_damage(session)):  # other searches would stumble over it
            return damage
        searches = (_orphans, _impossible_trials, _abandoned_tasks, _dominated_members, _missing_files)
        return [problem for search in searches for problem in search(session)]


def _damage(session: Session) -> Iterator[str]:
    """What SQLite says of its own file; a database server looks after its own."""
    if session.get_bind().dialect.name != "sqlite":
        return
    try:
        for line in session.scalars(text("PRAGMA integrity_check")).all():
            if line != "ok":
                yield f"the file is damaged: {line}"
        for table, row, parent, _ in session.execute(text("PRAGMA foreign_key_check")).all():
            yield f"row {row} of {table} refers to a row of {parent} that is not there"
    except DatabaseError as error:
        yield f"the file is damaged: {error.orig}"


def _orphans(session: Session) -> Iterator[str]:
    needed = exists().where(Candidate.architecture_id == Architecture.id)
    for key in session.scalars(select(Architecture.key).where(~needed).order_by(Architecture.key)):
        yield f"architecture {key} belongs to no trial"


def _impossible_trials(session: Session) -> Iterator[str]:
    over = or_(Trial.state == TrialState.WAITING, Trial.state == TrialState.RUNNING)
    faults = {
        "is COMPLETE but has no values": (Trial.state == TrialState.COMPLETE) & Trial.values.is_(None),
        "has failed without a reason": (Trial.state == TrialState.FAIL) & Trial.reason.is_(None),
        "has ended but is not finished": ~over & Trial.finished.is_(None),
        "is finished but has not ended": over & Trial.finished.is_not(None),
        "is RUNNING but never began": (Trial.state == TrialState.RUNNING) & Trial.started.is_(None),
        "is open in a study that is COMPLETE": over & (Study.state == StudyState.COMPLETE),
    }
    for fault, condition in faults.items():
        query = select(Study.name, Trial.number).join(Study).where(condition).order_by(Study.name, Trial.number)
        for study, number in session.execute(query):
            yield f"study {study!r}: trial {number} {fault}"


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
            yield f"{where}: members differ in their objectives: {', '.join(odd)}"
            continue
        minimised = np.array([[sign * values[metric] for metric, sign in signs.items()] for _, values in members])
        for (key, _), kept in zip(members, non_dominated(minimised), strict=True):
            if not kept:
                yield f"{where}: {key} is dominated by another member"


def _missing_files(session: Session) -> Iterator[str]:
    query = select(Study.name, Artifact.kind, Artifact.url).join(Task, Task.id == Artifact.task_id).join(Study)
    for study, kind, url in session.execute(query.order_by(Study.name, Artifact.url)):
        parts = urlsplit(url)
        if parts.scheme == "file" and not Path(url2pathname(parts.path)).exists():
            yield f"study {study!r}: the {kind} {url} is missing"
