"""A whole study as plain rows, out of one database and into another.

A row is {column: JSON value}. Ids do not travel: a reference is the place of the row it names among the rows of its table, counted
from 0, so that equal studies give equal rows whatever database holds them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, exists, insert, select, update
from sqlalchemy.orm import Session

from moonas.errors import StudyConflictError
from moonas.store.database import Database
from moonas.store.queries import architecture_ids, insert_unknown, table_of
from moonas.store.tables import (
    Architecture,
    Artifact,
    Attempt,
    Base,
    Candidate,
    Cost,
    Evaluation,
    Event,
    Front,
    FrontMember,
    Progress,
    Study,
    Task,
    Trial,
    TrialTask,
)

Row = dict[str, Any]
STUDY_COLUMNS = ("name", "config", "schema", "config_hash", "seed", "version", "state", "created")
CHUNK = 5000  # rows in one statement


@dataclass(frozen=True)
class Copied:
    """A table that belongs to studies. order: the columns that its rows are sorted by. references: {column: table it points to}."""

    name: str
    model: type[Base]
    order: tuple[str, ...]
    references: Mapping[str, str] = field(default_factory=dict)

    @property
    def columns(self) -> list[str]:
        """All but the ids that a database gives."""
        return [column.name for column in table_of(self.model).columns if column.name not in ("id", "study_id")]


_TASK, _TRIAL, _ARCHITECTURE = {"task_id": "tasks"}, {"trial_id": "trials"}, {"architecture_id": "architectures"}
_IDENTITY = ("architecture_id", "skeleton", "data", "protocol", "replicate", "source")
TABLES = (  # each after those it refers to
    Copied("architectures", Architecture, ("key",)),
    Copied("costs", Cost, ("architecture_id", "skeleton"), _ARCHITECTURE),
    Copied("trials", Trial, ("number",)),
    Copied("tasks", Task, ("id",)),
    Copied("trial_tasks", TrialTask, ("trial_id", "task_id"), _TRIAL | _TASK),
    Copied("attempts", Attempt, ("id",), _TASK),
    Copied("progress", Progress, ("task_id", "step"), _TASK | {"attempt_id": "attempts"}),
    Copied("candidates", Candidate, ("id",), _TRIAL | _ARCHITECTURE),
    Copied("evaluations", Evaluation, _IDENTITY, _ARCHITECTURE | _TASK),
    Copied("fronts", Front, ("number",)),
    Copied("members", FrontMember, ("id",), _ARCHITECTURE),
    Copied("events", Event, ("id",)),
)


@contextmanager
def snapshot(database: Database) -> Iterator[Session]:
    """A session that sees the database as it is at one moment, whatever others write meanwhile. Raises StorageError."""
    with database.read() as session:
        if database.engine.dialect.name == "postgresql":  # SQLite's transactions are so by themselves
            session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        yield session


def read_study(session: Session, study_id: int) -> Row:
    """The study itself, without who drives it."""
    table = table_of(Study)
    row = session.execute(select(*(table.c[name] for name in STUDY_COLUMNS)).where(table.c.id == study_id)).mappings().one()
    return dict(row)


def write_study(session: Session, about: Row, study_id: int | None = None) -> int:
    """Add a study without any rows, or overwrite what one is; returns its id."""
    table = table_of(Study)
    if study_id is None:
        return int(session.execute(insert(table).values(about).returning(table.c.id)).scalar_one())
    session.execute(update(table).where(table.c.id == study_id).values(about))
    return study_id


def read_rows(session: Session, study_id: int, data: Iterable[str], protocols: Iterable[str]) -> dict[str, list[Row]]:
    """{table: its rows of a study}. data, protocols: identities of the evaluations that the study may use."""
    conditions = _belonging(study_id, data, protocols)
    places: dict[str, dict[int, int]] = {}
    found: dict[str, list[Row]] = {}
    for copied in TABLES:
        table = table_of(copied.model)
        rows = [dict(row) for row in session.execute(select(table).where(conditions[copied.name])).mappings()]
        for row in rows:
            for column, target in copied.references.items():
                row[column] = places[target].get(row[column]) if row[column] is not None else None
        rows.sort(key=lambda row: tuple(row[column] for column in copied.order))
        if "id" in table.columns:
            places[copied.name] = {row["id"]: place for place, row in enumerate(rows)}
        found[copied.name] = [{name: row[name] for name in copied.columns} for row in rows]
    for task in found["tasks"]:  # where files lie is nobody else's concern
        task["spec"] = {**task["spec"], "weights": None} if "weights" in task["spec"] else task["spec"]
        if task["result"] and task["result"].get("weights"):
            task["result"] = {**task["result"], "weights": {"url": None}}
    return found


def read_artifacts(session: Session, study_id: int, kinds: Iterable[str]) -> list[Row]:
    """The artifacts of a study, `task_id` being the place of the task among its tasks; with `id` and `url`."""
    tasks = session.scalars(select(Task.id).where(Task.study_id == study_id).order_by(Task.id))
    places = {task_id: place for place, task_id in enumerate(tasks)}
    query = select(table_of(Artifact)).join(Task, Task.id == Artifact.task_id)
    rows = session.execute(query.where(Task.study_id == study_id, Artifact.kind.in_(list(kinds)))).mappings()
    found = [{**row, "task_id": places[row["task_id"]]} for row in rows]
    return sorted(found, key=lambda row: (row["task_id"], row["kind"], row["step"] or 0, row["sha256"] or ""))


def clear_study(session: Session, study_id: int) -> list[str]:
    """Delete all that a study has, but not the study. Returns the URLs of its artifacts."""
    urls = list(session.scalars(select(Artifact.url).join(Task).where(Task.study_id == study_id)))
    for model in (FrontMember, Front, Event, Task, Trial):
        session.execute(delete(model).where(model.study_id == study_id))
    return urls


def write_rows(session: Session, study_id: int, rows: Mapping[str, Sequence[Row]], artifacts: Sequence[Row]) -> list[str]:
    """Add the rows of a study that has none. artifacts: as of `read_artifacts`.

    Returns the URLs of weights that were not added, because another study's equal evaluation is the one that counts here.
    Raises StudyConflictError where the database holds another result of one of the evaluations.
    """
    keys = [row["key"] for row in rows["architectures"]]
    for part in _parts(rows["architectures"]):
        insert_unknown(session, Architecture, part)
    known: dict[str, int] = {}
    for part in _parts(keys):
        known |= architecture_ids(session, part)
    ids: dict[str, list[int]] = {"architectures": [known[key] for key in keys]}
    for copied in TABLES[1:]:
        placed = [_placed(row, copied, ids, study_id) for row in rows[copied.name]]
        if copied.model is Cost:
            for part in _parts(placed):
                insert_unknown(session, Cost, part)
        elif copied.model is Evaluation:
            _add_evaluations(session, placed)
        else:
            ids[copied.name] = _insert(session, copied.model, placed)
    return _add_artifacts(session, [{**row, "task_id": ids["tasks"][row["task_id"]]} for row in artifacts])


def _belonging(study_id: int, data: Iterable[str], protocols: Iterable[str]) -> dict[str, ColumnElement[bool]]:
    """{table: the condition on its rows of a study}."""
    trials = select(Trial.id).where(Trial.study_id == study_id)
    tasks = select(Task.id).where(Task.study_id == study_id)
    met = select(Candidate.architecture_id).where(Candidate.trial_id.in_(trials))
    decoded = and_(Candidate.architecture_id == Cost.architecture_id, Candidate.skeleton == Cost.skeleton)
    used = and_(Evaluation.data.in_(list(data)), Evaluation.protocol.in_(list(protocols)))
    return {
        "architectures": Architecture.id.in_(met),
        "costs": exists().where(decoded, Candidate.trial_id.in_(trials)),
        "trials": Trial.study_id == study_id,
        "tasks": Task.study_id == study_id,
        "trial_tasks": TrialTask.task_id.in_(tasks),
        "attempts": Attempt.task_id.in_(tasks),
        "progress": Progress.task_id.in_(tasks),
        "candidates": Candidate.trial_id.in_(trials),
        "evaluations": and_(Evaluation.architecture_id.in_(met), used),
        "fronts": Front.study_id == study_id,
        "members": FrontMember.study_id == study_id,
        "events": Event.study_id == study_id,
    }


def _placed(row: Row, copied: Copied, ids: Mapping[str, Sequence[int]], study_id: int) -> Row:
    """A row with the ids of this database."""
    there = {name: None if row[name] is None else ids[target][row[name]] for name, target in copied.references.items()}
    return {**row, **there, **({"study_id": study_id} if "study_id" in table_of(copied.model).columns else {})}


def _insert(session: Session, model: type[Base], rows: Sequence[Row]) -> list[int]:
    """The ids of the rows, in their order; none of a table that has no such column."""
    table, ids = table_of(model), list[int]()
    for part in _parts(rows):
        if "id" in table.columns:
            ids += session.execute(insert(table).returning(table.c.id, sort_by_parameter_order=True), part).scalars().all()
        else:
            session.execute(insert(table), part)
    return ids


def _add_evaluations(session: Session, rows: Sequence[Row]) -> None:
    """Those that are new; one that is there without the task that made it belongs to the new task."""
    table, stored = table_of(Evaluation), dict[tuple[Any, ...], Any]()
    for part in _parts(sorted({row["architecture_id"] for row in rows})):
        for known in session.execute(select(table).where(table.c.architecture_id.in_(part))).mappings():
            stored[tuple(known[name] for name in _IDENTITY)] = known
    new, owned = list[Row](), []
    for row in rows:
        there = stored.get(tuple(row[name] for name in _IDENTITY))
        if there is None:
            new.append(row)
        elif there["metrics"] != row["metrics"]:
            raise StudyConflictError(
                f"the database holds another result of an evaluation by {row['protocol']}, replicate {row['replicate']}: "
                f"{there['metrics']}, not {row['metrics']}. Results of one evaluation are shared by all studies of a database: "
                "import into another one"
            )
        elif there["task_id"] is None and row["task_id"] is not None:
            owned.append((there["id"], row["task_id"]))
    _insert(session, Evaluation, new)
    for evaluation_id, task_id in owned:
        session.execute(update(table).where(table.c.id == evaluation_id).values(task_id=task_id))


def _add_artifacts(session: Session, rows: Sequence[Row]) -> list[str]:
    trained = {row["task_id"] for row in rows if row["kind"] == "weights"}
    query = select(Task.id).where(Task.id.in_(trained), Task.kind == "evaluate", ~exists().where(Evaluation.task_id == Task.id))
    idle = set(session.scalars(query)) if trained else set()
    kept = [row for row in rows if row["kind"] != "weights" or row["task_id"] not in idle]
    if kept:
        session.execute(insert(table_of(Artifact)), kept)
    return [row["url"] for row in rows if row not in kept]


def _parts(rows: Sequence[Any]) -> Iterable[list[Any]]:
    """The rows, so many at a time as one statement takes."""
    return (list(rows[start : start + CHUNK]) for start in range(0, len(rows), CHUNK))
