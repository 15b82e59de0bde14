"""The tables of a study database, all with the prefix `moonas_`.

Timestamps are seconds since 1970 (UTC) by the clock of the database, never of a worker.
"""

from __future__ import annotations

import enum
from typing import Any
from uuid import uuid4

from sqlalchemy import (
    JSON,
    BigInteger,
    Double,
    Enum,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.sql.functions import FunctionElement

from moonas.store.states import AttemptState, StudyState, TaskState, TrialState

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
Key = String(64)


class database_time(FunctionElement[float]):  # noqa: N801 - reads as the SQL function it is
    """Seconds since 1970 (UTC) by the database's clock; moves on within a transaction."""

    type = Double()
    inherit_cache = True


@compiles(database_time, "sqlite")
def _sqlite_time(element: database_time, compiler: Any, **_: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(database_time, "postgresql")
def _postgresql_time(element: database_time, compiler: Any, **_: Any) -> str:
    return "CAST(extract(epoch FROM clock_timestamp()) AS double precision)"


class Words(TypeDecorator[str]):
    """Text that others wrote, such as a worker's last words: what a database cannot hold is replaced."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:
        if value is None:
            return None
        return value.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode("utf-8")


class Base(DeclarativeBase):
    """None in a JSON column is SQL's NULL; states are stored as text."""

    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map = {  # noqa: RUF012 - read by SQLAlchemy, never changed
        dict[str, Any]: JSON(none_as_null=True),
        float: Double(),
        str: Text(),
        enum.Enum: Enum(enum.Enum, native_enum=False, length=16),
    }


def _of_study() -> Mapped[int]:
    return mapped_column(ForeignKey("moonas_study.id", ondelete="CASCADE"))


class Study(Base):
    """One question and who drives it.

    config: the resolved study file. schema: the number of the file format it is written in.
    version: the moonas that created the study. lease: host/pid/uuid of the loop that may write, and until when.
    """

    __tablename__ = "moonas_study"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200), unique=True)
    config: Mapped[dict[str, Any]]
    schema: Mapped[int]
    config_hash: Mapped[str] = mapped_column(Key)
    seed: Mapped[int] = mapped_column(BigInteger)
    version: Mapped[str]
    state: Mapped[StudyState] = mapped_column(default=StudyState.NEW)
    created: Mapped[float] = mapped_column(default=database_time())
    lease_holder: Mapped[str | None]
    lease_since: Mapped[float | None]
    lease_expires: Mapped[float | None]


class Trial(Base):
    """One proposal of the sampler and, once finished, the values it was told.

    number: 0, 1, 2 ... within its study. values: {metric: value}, in the metrics' own signs.
    violation: how far the constraints are broken, 0 where they hold. reason: why it failed or was pruned.
    """

    __tablename__ = "moonas_trial"
    __table_args__ = (UniqueConstraint("study_id", "number"), Index(None, "study_id", "state"))

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = _of_study()
    number: Mapped[int]
    state: Mapped[TrialState] = mapped_column(default=TrialState.WAITING)
    params: Mapped[dict[str, Any]]
    replicate: Mapped[int]
    sampler_attrs: Mapped[dict[str, Any]]
    values: Mapped[dict[str, Any] | None]
    violation: Mapped[float | None]
    reason: Mapped[str | None] = mapped_column(Words)
    created: Mapped[float] = mapped_column(default=database_time())
    started: Mapped[float | None]
    finished: Mapped[float | None]


class Task(Base):
    """A unit of work: a search, an evaluation or a measurement.

    key: what equal work shares: the search key, or the key of the evaluation's spec.
    result: of a search, its final scores and the like; of a task that was given up, why. Its checkpoints are artifacts.
    """

    __tablename__ = "moonas_task"
    __table_args__ = (UniqueConstraint("study_id", "kind", "key"), Index(None, "study_id", "state"))

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = _of_study()
    kind: Mapped[str] = mapped_column(String(16))
    key: Mapped[str] = mapped_column(Key)
    spec: Mapped[dict[str, Any]]
    state: Mapped[TaskState] = mapped_column(default=TaskState.WAITING)
    result: Mapped[dict[str, Any] | None]
    created: Mapped[float] = mapped_column(default=database_time())
    started: Mapped[float | None]
    finished: Mapped[float | None]


class TrialTask(Base):
    """Which trials a task serves; a shared search serves several."""

    __tablename__ = "moonas_trial_task"

    trial_id: Mapped[int] = mapped_column(ForeignKey("moonas_trial.id", ondelete="CASCADE"), primary_key=True)
    task_id: Mapped[int] = mapped_column(ForeignKey("moonas_task.id", ondelete="CASCADE"), primary_key=True, index=True)


class Attempt(Base):
    """One go at a task. device: such as "cpu:0". seconds: device-seconds it took; of a lost one, up to its last report."""

    __tablename__ = "moonas_attempt"

    id: Mapped[int] = mapped_column(primary_key=True)
    task_id: Mapped[int] = mapped_column(ForeignKey("moonas_task.id", ondelete="CASCADE"), index=True)
    worker: Mapped[str]
    device: Mapped[str]
    state: Mapped[AttemptState] = mapped_column(default=AttemptState.RUNNING)
    reason: Mapped[str | None] = mapped_column(Words)
    error: Mapped[str | None] = mapped_column(Words)
    started: Mapped[float] = mapped_column(default=database_time())
    finished: Mapped[float | None]
    seconds: Mapped[float | None]


class Progress(Base):
    """The metrics of one step (epoch) of a task; a replayed step overwrites. Values that are not finite are stored as null.

    mixture: of a search, what its architecture parameters then said, as of `moonas.spaces.mixture`; a kilobyte or more, so that
    only who shows it reads it.
    """

    __tablename__ = "moonas_progress"

    task_id: Mapped[int] = mapped_column(ForeignKey("moonas_task.id", ondelete="CASCADE"), primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    attempt_id: Mapped[int] = mapped_column(ForeignKey("moonas_attempt.id", ondelete="CASCADE"), index=True)
    metrics: Mapped[dict[str, Any]]
    time: Mapped[float] = mapped_column(default=database_time())
    mixture: Mapped[dict[str, Any] | None]


class Artifact(Base):
    """A file that a task wrote. kind: checkpoint, weights ... step: of a checkpoint. The id is opaque, the URL never leaves us."""

    __tablename__ = "moonas_artifact"

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=lambda: uuid4().hex)
    task_id: Mapped[int] = mapped_column(ForeignKey("moonas_task.id", ondelete="CASCADE"), index=True)
    kind: Mapped[str] = mapped_column(String(16))
    step: Mapped[int | None]
    url: Mapped[str]
    sha256: Mapped[str | None] = mapped_column(String(64))
    bytes: Mapped[int | None] = mapped_column(BigInteger)
    created: Mapped[float] = mapped_column(default=database_time())


class Architecture(Base):
    """An architecture that some study met; no study owns it."""

    __tablename__ = "moonas_architecture"

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(Key, unique=True)
    function_key: Mapped[str] = mapped_column(Key, index=True)
    space: Mapped[str]
    genotype: Mapped[dict[str, Any]]


class Cost(Base):
    """The exact costs of an architecture at a skeleton."""

    __tablename__ = "moonas_cost"

    architecture_id: Mapped[int] = mapped_column(ForeignKey("moonas_architecture.id", ondelete="CASCADE"), primary_key=True)
    skeleton: Mapped[str] = mapped_column(Key, primary_key=True)
    skeleton_json: Mapped[dict[str, Any]]
    params: Mapped[int] = mapped_column(BigInteger)
    macs: Mapped[int] = mapped_column(BigInteger)


class Candidate(Base):
    """An architecture decoded from a trial. origin: primary or extra. score: log-probability. budget: what it was decoded for."""

    __tablename__ = "moonas_candidate"
    __table_args__ = (
        UniqueConstraint("trial_id", "architecture_id", "skeleton"),
        ForeignKeyConstraint(["architecture_id", "skeleton"], ["moonas_cost.architecture_id", "moonas_cost.skeleton"]),
        Index(None, "architecture_id", "skeleton"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    trial_id: Mapped[int] = mapped_column(ForeignKey("moonas_trial.id", ondelete="CASCADE"))
    architecture_id: Mapped[int]
    skeleton: Mapped[str] = mapped_column(Key)
    origin: Mapped[str] = mapped_column(String(16))
    score: Mapped[float | None]
    budget: Mapped[dict[str, Any] | None]


class Evaluation(Base):
    """One measurement of an architecture, whichever study made it: no evaluation is done twice.

    data, protocol, source: as in `EvaluationKey`. device: fingerprint of the machine. versions: of the packages.
    data_checksum: of the bytes that were read, empty where there were none.
    """

    __tablename__ = "moonas_evaluation"
    __table_args__ = (
        UniqueConstraint(
            "architecture_id", "skeleton", "data", "protocol", "replicate", "source", name="uq_moonas_evaluation_identity"
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    architecture_id: Mapped[int] = mapped_column(ForeignKey("moonas_architecture.id", ondelete="CASCADE"))
    skeleton: Mapped[str] = mapped_column(Key)
    data: Mapped[str]
    protocol: Mapped[str]
    replicate: Mapped[int]
    source: Mapped[str] = mapped_column(Key)
    task_id: Mapped[int | None] = mapped_column(ForeignKey("moonas_task.id", ondelete="SET NULL"), index=True)
    metrics: Mapped[dict[str, Any]]
    seconds: Mapped[float]
    device: Mapped[dict[str, Any]]
    versions: Mapped[dict[str, Any]]
    data_checksum: Mapped[str]
    created: Mapped[float] = mapped_column(default=database_time())


class Front(Base):
    """One change of a study's front. cause: such as "trial 3". evaluations: how many the archive held then."""

    __tablename__ = "moonas_front"

    study_id: Mapped[int] = mapped_column(ForeignKey("moonas_study.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    protocol: Mapped[str]
    cause: Mapped[str]
    hypervolume: Mapped[float]
    evaluations: Mapped[int]
    time: Mapped[float] = mapped_column(default=database_time())


class FrontMember(Base):
    """A stay on a front: on every front of its protocol from number `entered` up to, not including, number `left_front`.

    recipe: identity of the protocol where a study varies that, else empty. values: {objective: value}, in the metrics' own signs.
    """

    __tablename__ = "moonas_front_member"
    __table_args__ = (
        ForeignKeyConstraint(["architecture_id", "skeleton"], ["moonas_cost.architecture_id", "moonas_cost.skeleton"]),
        Index(None, "architecture_id", "skeleton"),
        Index(None, "study_id", "left_front"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = _of_study()
    protocol: Mapped[str]
    architecture_id: Mapped[int]
    skeleton: Mapped[str] = mapped_column(Key)
    recipe: Mapped[str] = mapped_column(Key, server_default="")
    values: Mapped[dict[str, Any]]
    entered: Mapped[int]
    left_front: Mapped[int | None]


class Request(Base):
    """What another process asks of a study's loop: pause, stop, cancel ... taken: when the loop took it up."""

    __tablename__ = "moonas_request"
    __table_args__ = (Index(None, "study_id", "taken"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = _of_study()
    kind: Mapped[str] = mapped_column(String(16))
    payload: Mapped[dict[str, Any]]
    created: Mapped[float] = mapped_column(default=database_time())
    taken: Mapped[float | None]


class Token(Base):
    """A key to the REST service, kept as a hash only. It belongs to no study."""

    __tablename__ = "moonas_token"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200), unique=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    role: Mapped[str] = mapped_column(String(16))
    created: Mapped[float] = mapped_column(default=database_time())


class Event(Base):
    """Something worth telling: a changed configuration, a state, a warning."""

    __tablename__ = "moonas_event"
    __table_args__ = (Index(None, "study_id", "time"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = _of_study()
    kind: Mapped[str] = mapped_column(String(32))
    text: Mapped[str] = mapped_column(Words)
    data: Mapped[dict[str, Any] | None]
    time: Mapped[float] = mapped_column(default=database_time())
