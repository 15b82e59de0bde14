"""What the API answers with.

Times are seconds since 1970 (UTC) by the database's clock; metrics are in their own signs and units.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Answer(BaseModel):
    """Fields are read from our records by name."""

    model_config = ConfigDict(from_attributes=True)


class Health(Answer):
    """The server answers, and its database too."""

    status: str = Field(description="`ok`.")
    version: str


class Me(Answer):
    """Who asks."""

    name: str = Field(description="Of the token; empty where the server asks for none.")
    role: str = Field(description="`viewer` or `operator`.")


class StudyOut(Answer):
    """One line of a list of studies."""

    name: str
    state: str = Field(description="NEW, RUNNING, PAUSED, STOPPED or COMPLETE.")
    driven: bool = Field(description="Whether a process drives it now; RUNNING and not driven: its process died.")
    driven_since: float | None
    created: float
    last_event: float | None
    trials: dict[str, int] = Field(description="How many in each state that occurs.")
    planned: int | None = Field(description="How many trials there will be; null where that is not known beforehand.")
    front: int = Field(description="Members of the present front.")
    front_number: int = Field(description="Of the last change of the front; 0 before the first.")
    hypervolume: float | None
    accuracy: float | None = Field(description="The best on the present front.")
    device_hours: float


class StudyDetail(StudyOut):
    """A study."""

    reason: str = Field(description="Why it is in its state, such as the limit that was reached.")
    version: str = Field(description="The moonas that created it.")
    last_event_id: int = Field(description="Where the stream of its events goes on from.")
    config: dict[str, Any] = Field(description="Its study file with every default filled in.")


class Reach(Answer):
    """What a budget reaches at a width and depth; `left_out` says why a pair has no trials."""

    model_config = ConfigDict(extra="allow")

    budget: str
    channels: int
    cells: int
    left_out: str | None = None
    architectures: int | None = Field(default=None, description="How many architectures keep to it.")


class PlanOut(Answer):
    """What a study would do."""

    name: str
    sampler: str
    trials: int
    asked: int = Field(description="For how many trials the sampler was asked; the numbers below are scaled from them.")
    searches: int
    evaluations: int
    spans: dict[str, Any] = Field(description="{cost: [smallest, largest]} over all architectures and widths.")
    budgets: list[Reach]


class Checked(Answer):
    """A study file without mistakes."""

    name: str
    sampler: str


class TrialOut(Answer):
    """One trial."""

    number: int
    state: str = Field(description="WAITING, RUNNING, COMPLETE, PRUNED or FAIL.")
    params: dict[str, Any] = Field(description="`method`, `budget`, `channels`, `cells`, and open settings as `setting.NAME`.")
    replicate: int
    metrics: dict[str, int | float | None]
    violation: float | None = Field(description="How far the constraints are broken; 0 where they hold.")
    reason: str | None = Field(description="Why it failed or was given up.")
    created: float
    started: float | None
    finished: float | None

    @classmethod
    def read(cls, record: Any) -> TrialOut:
        return cls(metrics=record.values or {}, **{name: getattr(record, name) for name in _TRIAL})


_TRIAL = ("number", "state", "params", "replicate", "violation", "reason", "created", "started", "finished")


class TrialPage(Answer):
    """A page of trials."""

    total: int = Field(description="How many trials were chosen.")
    offset: int
    trials: list[TrialOut]


class AttemptOut(Answer):
    """One go at a task."""

    worker: str
    device: str
    state: str
    started: float
    finished: float | None
    seconds: float | None = Field(description="Of its device.")
    reason: str | None = Field(description="Why it failed or was lost, in one line.")
    error: str | None = Field(description="What the worker said last: a traceback, or the end of its log. Plain text.")


class TaskOut(Answer):
    """A search, an evaluation or a measurement of a trial, with what it reported epoch by epoch."""

    kind: str
    key: str
    state: str
    created: float
    started: float | None
    finished: float | None
    trials: list[int] = Field(description="The trials that it serves, by their numbers: several may share a search.")
    attempts: list[AttemptOut]
    steps: list[dict[str, int | float | None]] = Field(description="{step, metric: value} in the order of the steps.")


class FoundBy(Answer):
    """An architecture as a trial decoded it, at its final skeleton, with its exact costs."""

    trial: int
    architecture: str
    skeleton: dict[str, Any] = Field(validation_alias="skeleton_json")
    params: int
    macs: int
    origin: str = Field(description="`primary`, or `extra` for a neighbour on the decoded front.")
    score: float | None
    budget: dict[str, Any] | None


class SettingOut(Answer):
    """One setting of a trial."""

    part: str = Field(description="`trial`, `method`, `handler` or `protocol`.")
    name: str
    value: Any
    default: Any
    chosen: bool = Field(description="By the sampler, for this trial.")


class TrialDetail(TrialOut):
    """A trial with its settings, its tasks and what it decoded."""

    settings: list[SettingOut] = Field(description="Those that were chosen or are not the default first.")
    candidates: list[FoundBy]
    tasks: list[TaskOut]
    collapse: dict[str, Any] | None = Field(description="Where its search collapsed: `epoch` and `reason`.")


class GroupOut(Answer):
    """The cells that share one architecture."""

    edges: list[tuple[int, int]] = Field(description="(predecessor, node) of each row.")
    operations: list[str] = Field(description="Of each column.")


class MixtureStep(Answer):
    """What a search said of its edges after an epoch."""

    step: int
    groups: dict[str, dict[str, Any]] = Field(
        description="`operations`: a row of probabilities for each edge, null for what was dropped; `edges`: how much each counts."
    )


class MixtureOut(Answer):
    """The architecture weights of a trial's search over its epochs."""

    search: str | None = Field(description="Its key; null where there is none.")
    groups: dict[str, GroupOut]
    steps: list[MixtureStep]


class NetworkOut(Answer):
    """One measured network: an architecture at a final skeleton."""

    model_config = ConfigDict(extra="allow")

    key: str
    genotype: dict[str, Any]
    skeleton: dict[str, Any]
    trial: int = Field(description="The first that decoded it.")
    method: str
    budget: dict[str, Any] | None
    origin: str
    on_front: bool
    metrics: dict[str, dict[str, Any]] = Field(description="{metric: {value, protocol, replicates, standard_error ...}}.")

    @classmethod
    def read(cls, network: Any) -> NetworkOut:
        return cls(**network.to_json(), on_front=network.on_front)


class FrontStep(Answer):
    """One change of the front."""

    number: int
    protocol: str
    cause: str
    hypervolume: float = Field(description="As a share of the box between the best and the reference.")
    evaluations: int = Field(description="How many the archive held then.")
    time: float


class FrontOut(Answer):
    """A front: the present one, or one of the study's history."""

    step: FrontStep | None = Field(description="Null before the first front.")
    members: list[NetworkOut] = Field(description="The cheapest first.")
    infeasible: dict[str, Any] | None = Field(default=None, description="Where no network meets the constraints, what keeps it so.")


class EvaluationOut(Answer):
    """One measurement of an architecture, whichever study made it."""

    skeleton: str
    data: str
    protocol: str
    replicate: int
    source: str
    metrics: dict[str, int | float | None]
    seconds: float
    device: dict[str, Any]
    versions: dict[str, Any]
    created: float


class ArchitectureOut(Answer):
    """An architecture as a study knows it."""

    key: str
    function_key: str
    space: str
    genotype: dict[str, Any] = Field(description="What `Architecture.from_json` reads.")
    text: str = Field(description="The community's notation where there is one for its space.")
    networks: list[NetworkOut] = Field(description="As measured by the study's protocol, one for each width and depth.")
    found_by: list[FoundBy]
    evaluations: list[EvaluationOut]


class EventOut(Answer):
    """Something worth telling: a state, a changed configuration, a warning."""

    id: int
    kind: str
    text: str
    data: dict[str, Any] | None
    time: float


class Outcome(Answer):
    """What came of a request."""

    message: str
    done: bool = Field(default=True, description="False where the process that drives the study has yet to take it up.")
