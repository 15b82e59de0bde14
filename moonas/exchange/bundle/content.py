"""What a database holds of a study, in the form that bundles have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from moonas.outer.plan import Design, Plan
from moonas.seeds import canonical_json
from moonas.store.copying import Row, read_artifacts, read_rows, read_study, snapshot
from moonas.store.database import Database
from moonas.store.states import AttemptState
from moonas.store.tables import Trial
from moonas.study.loading import study_from

ELSEWHERE: dict[str, Any] = {"storage": None, "artifacts": None}  # settings of a file that name places of one machine


@dataclass(frozen=True)
class Content:
    """study: its columns. rows: by table, see `moonas.store.copying`. artifacts: those that go along; in a database with `url`."""

    study: Row
    rows: Mapping[str, Sequence[Row]]
    artifacts: Sequence[Row]

    @property
    def lasting(self) -> set[str]:
        """What never changes once it is there: events, changes of the front, attempts that have ended."""
        tasks = [(task["kind"], task["key"]) for task in self.rows["tasks"]]
        ended = [
            {**attempt, "task_id": tasks[attempt["task_id"]]}
            for attempt in self.rows["attempts"]
            if attempt["state"] != AttemptState.RUNNING
        ]
        return {canonical_json(row) for row in (*self.rows["events"], *self.rows["fronts"], *ended)}


def read_content(database: Database, study_id: int, kinds: Iterable[str] = ()) -> Content:
    """A study as it is at one moment. kinds: of artifacts."""
    with snapshot(database) as session:
        study = read_study(session, study_id)
        study["config"] = {**study["config"], **ELSEWHERE}
        plan = Plan(study_from(study["config"], f"study {study['name']}"))
        params = session.scalars(select(Trial.params).where(Trial.study_id == study_id))
        rows = read_rows(session, study_id, {plan.data_identity, ""}, protocols(plan, params))
        return Content(study, rows, read_artifacts(session, study_id, kinds))


def protocols(plan: Plan, params: Iterable[Mapping[str, Any]]) -> set[str]:
    """The identities under which results of a study are stored. params: of its trials."""
    rungs = (None, *range(len(plan.rungs)))
    found = {plan.identity(design, rung) for design in map(Design.from_params, params) for rung in rungs}
    return found | {plan.protocol_identity, plan.measure_identity}
