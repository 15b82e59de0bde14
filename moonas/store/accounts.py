"""What a study's tasks have taken of its devices: every attempt counts, however it ended."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select

from moonas.store.database import Database
from moonas.store.states import AttemptState
from moonas.store.tables import Attempt, Progress, Task


@dataclass(frozen=True)
class Account:
    """The attempts at tasks of one kind on one device that ended alike. seconds: of those that still run, up to the last report."""

    kind: str
    device: str
    state: AttemptState
    attempts: int
    seconds: float


def accounts(database: Database, study_id: int) -> list[Account]:
    """By kind of task, device and state, in that order."""
    heard = select(func.max(Progress.time)).where(Progress.attempt_id == Attempt.id).scalar_subquery()
    seconds = func.coalesce(Attempt.seconds, heard - Attempt.started, 0.0)
    group = (Task.kind, Attempt.device, Attempt.state)
    query = select(*group, func.count(), func.sum(seconds)).join(Task).where(Task.study_id == study_id).group_by(*group)
    with database.read() as session:
        return [Account(*row) for row in session.execute(query.order_by(*group))]
