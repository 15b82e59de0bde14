"""The statements of every trial, built once: to build one takes several times as long as to run it.

Names of parameters that begin with `the_` choose rows; the others are columns.
"""

from __future__ import annotations

from sqlalchemy import bindparam, func, insert, select, update

from moonas.store.queries import columns, table_of
from moonas.store.records import EvaluationRecord
from moonas.store.states import AttemptState, TaskState, TrialState
from moonas.store.tables import Architecture, Artifact, Attempt, Evaluation, FrontMember, Task, Trial, TrialTask, database_time

_TRIAL, _TASK, _TRIAL_TASK, _ATTEMPT = table_of(Trial), table_of(Task), table_of(TrialTask), table_of(Attempt)
_ARTIFACT, _MEMBER = table_of(Artifact), table_of(FrontMember)
_ARCHITECTURE, _EVALUATION = table_of(Architecture), table_of(Evaluation)
_NOW = database_time()

ADD_TRIAL = insert(_TRIAL)
END_TRIAL = (
    update(_TRIAL)
    .where(_TRIAL.c.id == bindparam("the_trial"), _TRIAL.c.study_id == bindparam("the_study"))
    .values(finished=_NOW, started=func.coalesce(_TRIAL.c.started, _NOW))
)
START_TRIALS = (
    update(_TRIAL)
    .where(
        _TRIAL.c.id.in_(select(_TRIAL_TASK.c.trial_id).where(_TRIAL_TASK.c.task_id == bindparam("the_task"))),
        _TRIAL.c.state == TrialState.WAITING,
    )
    .values(state=TrialState.RUNNING, started=_NOW)
)

FIND_TASK = select(_TASK.c.id).where(
    _TASK.c.study_id == bindparam("the_study"), _TASK.c.kind == bindparam("the_kind"), _TASK.c.key == bindparam("the_key")
)
ADD_TASK = insert(_TASK).returning(_TASK.c.id, _TASK.c.created)
SERVE = insert(_TRIAL_TASK)
START_TASK = (
    update(_TASK)
    .where(_TASK.c.id == bindparam("the_task"), _TASK.c.state == TaskState.WAITING)
    .values(state=TaskState.RUNNING, started=func.coalesce(_TASK.c.started, _NOW))
)
END_TASK = update(_TASK).where(_TASK.c.id == bindparam("the_task")).values(finished=_NOW)

ADD_ATTEMPT = insert(_ATTEMPT)
END_ATTEMPT = (
    update(_ATTEMPT)
    .where(
        _ATTEMPT.c.id == bindparam("the_attempt"),
        _ATTEMPT.c.task_id == bindparam("the_task"),
        _ATTEMPT.c.state == AttemptState.RUNNING,
    )
    .values(finished=_NOW)
)
ARTIFACTS = select(_ARTIFACT.c.id, _ARTIFACT.c.url).where(
    _ARTIFACT.c.task_id == bindparam("the_task"), _ARTIFACT.c.kind == bindparam("the_kind")
)

EVALUATION = (
    select(*columns(EvaluationRecord, _EVALUATION.c, architecture=_ARCHITECTURE.c.key))
    .join_from(_EVALUATION, _ARCHITECTURE, _ARCHITECTURE.c.id == _EVALUATION.c.architecture_id)
    .where(
        _ARCHITECTURE.c.key == bindparam("the_architecture"),
        _EVALUATION.c.skeleton == bindparam("the_skeleton"),
        _EVALUATION.c.data == bindparam("the_data"),
        _EVALUATION.c.protocol == bindparam("the_protocol"),
        _EVALUATION.c.replicate == bindparam("the_replicate"),
        _EVALUATION.c.source == bindparam("the_source"),
    )
)
MEMBERS = (
    select(_ARCHITECTURE.c.key, _MEMBER.c.skeleton, _MEMBER.c.recipe, _MEMBER.c.id, _MEMBER.c["values"])
    .join_from(_MEMBER, _ARCHITECTURE, _ARCHITECTURE.c.id == _MEMBER.c.architecture_id)
    .where(
        _MEMBER.c.study_id == bindparam("the_study"),
        _MEMBER.c.protocol == bindparam("the_protocol"),
        _MEMBER.c.left_front.is_(None),
    )
)
