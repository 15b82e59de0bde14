"""What the store takes and gives: frozen records that need no session.

Architectures and skeletons are named by their keys. Timestamps are seconds since 1970 (UTC) by the database's clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, TypeVar

from moonas.architecture import Architecture
from moonas.skeleton import Skeleton
from moonas.specs import Bounds
from moonas.store.states import AttemptState, StudyState, TaskState, TrialState

Record = TypeVar("Record")


class Records(list[Record]):
    """A list of records that becomes a pandas table where pandas is installed."""

    def to_frame(self) -> Any:
        """A pandas.DataFrame, one row per record. Raises ImportError without pandas."""
        import pandas

        return pandas.DataFrame([record.to_row() if hasattr(record, "to_row") else asdict(record) for record in self])  # type: ignore[call-overload]


@dataclass(frozen=True)
class NewCandidate:
    """A decoded architecture at its final skeleton, with its exact costs. origin: "primary" or "extra"."""

    architecture: Architecture
    function_key: str
    skeleton: Skeleton
    params: int
    macs: int
    origin: str = "primary"
    score: float | None = None
    budget: Bounds | None = None


class Place(NamedTuple):
    """One point of an archive: an architecture and a final skeleton, by their keys.

    recipe: identity of the protocol where that is what a study varies, empty elsewhere.
    """

    architecture: str
    skeleton: str
    recipe: str = ""


class EvaluationKey(NamedTuple):
    """What makes two measurements the same one.

    architecture, skeleton: keys. data: identity of the data set and its split; empty where none is read, as on a device.
    protocol: identity of the recipe. source: the search key whose weights were read, empty where they were trained from scratch; of
    a measurement on a device the hash of the device's fingerprint.
    """

    architecture: str
    skeleton: str
    data: str
    protocol: str
    replicate: int
    source: str = ""


@dataclass(frozen=True)
class FrontUpdate:
    """A front as it now is.

    members: (place, {objective: value in the metric's own sign}).
    cause: such as "trial 3". evaluations: how many the archive now holds.
    """

    protocol: str
    members: Sequence[tuple[Place, Mapping[str, float]]]
    hypervolume: float
    cause: str
    evaluations: int


@dataclass(frozen=True)
class StudyRecord:
    id: int
    name: str
    config: dict[str, Any]
    schema: int
    config_hash: str
    seed: int
    version: str
    state: StudyState
    created: float
    lease_holder: str | None
    lease_since: float | None
    lease_expires: float | None


@dataclass(frozen=True)
class StudySummary:
    """One line of a list of studies. trials: how many in each state that occurs. accuracy: the best on the present front."""

    id: int
    name: str
    state: StudyState
    created: float
    trials: dict[TrialState, int]
    accuracy: float | None
    last_event: float | None


@dataclass(frozen=True)
class TrialRecord:
    id: int
    number: int
    state: TrialState
    params: dict[str, Any]
    replicate: int
    sampler_attrs: dict[str, Any]
    values: dict[str, float] | None
    violation: float | None
    reason: str | None
    created: float
    started: float | None
    finished: float | None


@dataclass(frozen=True)
class ArtifactRecord:
    id: str
    task_id: int
    kind: str
    step: int | None
    url: str
    sha256: str | None
    bytes: int | None


@dataclass(frozen=True)
class TaskRecord:
    """trial_ids: the trials it serves. checkpoints: the ones kept, the newest first."""

    id: int
    kind: str
    key: str
    spec: dict[str, Any]
    state: TaskState
    result: dict[str, Any] | None
    created: float
    started: float | None
    finished: float | None
    trial_ids: tuple[int, ...]
    checkpoints: tuple[ArtifactRecord, ...]


@dataclass(frozen=True)
class AttemptRecord:
    """kind: of its task."""

    id: int
    task_id: int
    kind: str
    worker: str
    device: str
    state: AttemptState
    reason: str | None
    error: str | None
    started: float
    finished: float | None
    seconds: float | None


@dataclass(frozen=True)
class ProgressRecord:
    """One step of a task; a metric that was not finite is None."""

    task_id: int
    step: int
    attempt_id: int
    metrics: dict[str, float | None]
    time: float


@dataclass(frozen=True)
class ArchitectureRecord:
    key: str
    function_key: str
    space: str
    genotype: dict[str, Any]


@dataclass(frozen=True)
class CandidateRecord:
    """trial: the number of the trial it was decoded from. genotype: what `Architecture.from_json` reads."""

    id: int
    trial_id: int
    trial: int
    architecture: str
    function_key: str
    genotype: dict[str, Any]
    skeleton: str
    skeleton_json: dict[str, Any]
    params: int
    macs: int
    origin: str
    score: float | None
    budget: dict[str, Any] | None


class DecodedRecord(NamedTuple):
    """Of a `CandidateRecord`, what needs no JSON to be read."""

    trial_id: int
    architecture: str
    skeleton: str
    origin: str
    params: int
    macs: int


@dataclass(frozen=True)
class EvaluationRecord:
    id: int
    architecture: str
    skeleton: str
    data: str
    protocol: str
    replicate: int
    source: str
    task_id: int | None
    metrics: dict[str, float]
    seconds: float
    device: dict[str, Any]
    versions: dict[str, Any]
    data_checksum: str
    created: float

    @property
    def key(self) -> EvaluationKey:
        return EvaluationKey(self.architecture, self.skeleton, self.data, self.protocol, self.replicate, self.source)


@dataclass(frozen=True)
class FrontRecord:
    """One change of the front."""

    number: int
    protocol: str
    cause: str
    hypervolume: float
    evaluations: int
    time: float


@dataclass(frozen=True)
class FrontMemberRecord:
    """A member of a front, with its exact costs. left_front: the number of the front it was gone from, if any."""

    architecture: str
    genotype: dict[str, Any]
    skeleton: str
    skeleton_json: dict[str, Any]
    recipe: str
    params: int
    macs: int
    values: dict[str, float]
    entered: int
    left_front: int | None

    @property
    def place(self) -> Place:
        return Place(self.architecture, self.skeleton, self.recipe)


@dataclass(frozen=True)
class RequestRecord:
    id: int
    kind: str
    payload: dict[str, Any]
    created: float


@dataclass(frozen=True)
class EventRecord:
    id: int
    kind: str
    text: str
    data: dict[str, Any] | None
    time: float
