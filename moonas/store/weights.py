"""Trained weights in the database: an artifact of the task that made an evaluation, found through that evaluation."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sqlalchemy import ColumnElement, and_, bindparam, exists, or_, select
from sqlalchemy.orm import Session

from moonas.store.database import Database
from moonas.store.queries import columns, run, table_of
from moonas.store.records import ArtifactRecord, EvaluationKey
from moonas.store.tables import Architecture, Artifact, Evaluation, FrontMember, Study, Task

WEIGHTS = "weights"

_MEMBER, _ARCHITECTURE = table_of(FrontMember), table_of(Architecture)
# Built once: the loop asks for every evaluation whose weights are not to stay.
_ON_OTHER_FRONT = (
    select(_MEMBER.c.id)
    .join_from(_MEMBER, _ARCHITECTURE, _ARCHITECTURE.c.id == _MEMBER.c.architecture_id)
    .where(
        _ARCHITECTURE.c.key == bindparam("the_architecture"),
        _MEMBER.c.skeleton == bindparam("the_skeleton"),
        _MEMBER.c.left_front.is_(None),
        _MEMBER.c.study_id != bindparam("the_study"),
        or_(
            _MEMBER.c.recipe == bindparam("the_protocol"),
            and_(_MEMBER.c.recipe == "", _MEMBER.c.protocol == bindparam("the_protocol")),
        ),
    )
    .limit(1)
)


def evaluations_with_weights(database: Database, study_id: int) -> dict[EvaluationKey, int]:
    """The ids of the study's tasks whose evaluations have weights, by what they measured."""
    key = [Architecture.key, *(getattr(Evaluation, name) for name in EvaluationKey._fields[1:])]
    query = (
        select(*key, Task.id)
        .join_from(Evaluation, Architecture, Architecture.id == Evaluation.architecture_id)
        .join(Task, Task.id == Evaluation.task_id)
        .where(Task.study_id == study_id, _has_weights())
        .order_by(Task.id)
    )
    with database.read() as session:
        return {EvaluationKey(*found): task_id for *found, task_id in session.execute(query)}


def weights_of(database: Database, task_ids: Collection[int]) -> dict[int, ArtifactRecord]:
    """The weights that tasks have left, by their ids."""
    query = select(*columns(ArtifactRecord, Artifact)).where(Artifact.task_id.in_(task_ids), Artifact.kind == WEIGHTS)
    with database.read() as session:
        return {row.task_id: ArtifactRecord(*row) for row in session.execute(query)}


def search_weights(database: Database, study_id: int) -> dict[str, ArtifactRecord]:
    """The weights that the study's searches have left, by their keys."""
    query = select(Task.key, *columns(ArtifactRecord, Artifact)).join(Task, Task.id == Artifact.task_id)
    query = query.where(Task.study_id == study_id, Task.kind == "search", Artifact.kind == WEIGHTS)
    with database.read() as session:
        return {key: ArtifactRecord(*row) for key, *row in session.execute(query)}


def on_other_fronts(session: Session, study_id: int, measured: Iterable[EvaluationKey]) -> set[EvaluationKey]:
    """Those of a network that is on the present front of another study."""
    return {
        key
        for key in measured
        if run(
            session,
            _ON_OTHER_FRONT,
            {
                "the_study": study_id,
                "the_architecture": key.architecture,
                "the_skeleton": key.skeleton,
                "the_protocol": key.protocol,
            },
        ).first()
    }


def borrowers(database: Database, study_id: int) -> dict[str, int]:
    """{other study: how many members of its present front have weights that this study trained}."""
    member = and_(
        FrontMember.architecture_id == Evaluation.architecture_id,
        FrontMember.skeleton == Evaluation.skeleton,
        FrontMember.left_front.is_(None),
        or_(
            FrontMember.recipe == Evaluation.protocol,
            and_(FrontMember.recipe == "", FrontMember.protocol == Evaluation.protocol),
        ),
    )
    query = (
        select(Study.name, FrontMember.id)
        .join_from(FrontMember, Study, Study.id == FrontMember.study_id)
        .join(Evaluation, member)
        .join(Task, Task.id == Evaluation.task_id)
        .where(Task.study_id == study_id, FrontMember.study_id != study_id, _has_weights())
    )
    found: dict[str, int] = {}
    with database.read() as session:
        for name, _ in session.execute(query.distinct().order_by(Study.name)):
            found[name] = found.get(name, 0) + 1
    return found


def _has_weights() -> ColumnElement[bool]:
    """A condition on tasks."""
    return exists().where(Artifact.task_id == Task.id, Artifact.kind == WEIGHTS)
