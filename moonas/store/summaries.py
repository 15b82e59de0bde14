"""The list of studies, in two queries and without the mapped tables, whose loading takes longer than the queries."""

from __future__ import annotations

from collections import defaultdict

from sqlalchemy import JSON, and_, column, func, select, table

from moonas.store.database import Database
from moonas.store.records import StudySummary
from moonas.store.states import StudyState, TrialState

_STUDY = table("moonas_study", column("id"), column("name"), column("state"), column("created"))
_TRIAL = table("moonas_trial", column("study_id"), column("state"))
_MEMBER = table("moonas_front_member", column("study_id"), column("left_front"), column("values", JSON))
_EVENT = table("moonas_event", column("study_id"), column("time"))


def study_summaries(database: Database) -> list[StudySummary]:
    """All studies, the oldest first."""
    present = and_(_MEMBER.c.study_id == _STUDY.c.id, _MEMBER.c.left_front.is_(None))
    accuracy = select(func.max(_MEMBER.c["values"]["accuracy"].as_float())).where(present).scalar_subquery()
    last_event = select(func.max(_EVENT.c.time)).where(_EVENT.c.study_id == _STUDY.c.id).scalar_subquery()
    trials: dict[int, dict[TrialState, int]] = defaultdict(dict)
    with database.connection() as connection:
        counted = select(_TRIAL.c.study_id, _TRIAL.c.state, func.count()).group_by(_TRIAL.c.study_id, _TRIAL.c.state)
        for study_id, state, count in connection.execute(counted):
            trials[study_id][TrialState(state)] = count
        query = select(_STUDY.c.id, _STUDY.c.name, _STUDY.c.state, _STUDY.c.created, accuracy, last_event).order_by(_STUDY.c.id)
        return [
            StudySummary(study_id, name, StudyState(state), created, trials[study_id], best, last)
            for study_id, name, state, created, best, last in connection.execute(query)
        ]
