"""The work a loop has in hand, and which of it comes next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from moonas.outer.plan import Design
from moonas.store.records import NewCandidate, TaskRecord, TrialRecord
from moonas.store.states import TaskState, TrialState


@dataclass
class OpenTrial:
    """A trial that is not finished.

    attributes: as stored with it. rung: at which it trains, as of `Plan.protocol`. candidates: once decoded. waits: the tasks it
    needs that are not finished. begun: whether any of its tasks has been started.
    """

    id: int
    number: int
    design: Design
    replicate: int
    attributes: Mapping[str, Any] = field(default_factory=dict)
    rung: int = 0
    candidates: list[NewCandidate] | None = None
    waits: list[OpenTask] = field(default_factory=list)
    begun: bool = False

    @classmethod
    def of(cls, record: TrialRecord, rung: int) -> OpenTrial:
        """A stored trial."""
        design, begun = Design.from_params(record.params), record.state is TrialState.RUNNING
        return cls(record.id, record.number, design, record.replicate, record.sampler_attrs, rung, begun=begun)


@dataclass(eq=False)
class OpenTask:
    """A task of this study as the loop knows it.

    checkpoints: the newest last. progress: what it reported last. died_on: the device of each worker that died with it. batch: the
    images of a batch, where memory ran out with those of its spec.
    """

    record: TaskRecord
    state: TaskState
    result: Mapping[str, Any] | None
    reason: str = ""
    checkpoints: list[Mapping[str, Any]] = field(default_factory=list)
    died_on: list[str] = field(default_factory=list)
    batch: int | None = None
    progress: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        """Whether it is still to be finished."""
        return self.state in (TaskState.WAITING, TaskState.RUNNING)

    @property
    def is_alone(self) -> bool:
        """Whether nothing else may run on its device meanwhile: a measurement."""
        return self.record.kind == "measure"


@dataclass
class Running:
    """A task in a slot.

    worker: the process there, by name. began, heard: when it started and when it last reported, by the monotonic clock.
    begun: its worker has taken it up. given_up: the worker hung and was killed. killed: why, where a user asked for it.
    """

    task: OpenTask
    attempt: int
    worker: str
    began: float
    heard: float
    begun: bool = False
    given_up: bool = False
    killed: str = ""


def waiting_tasks(trials: Iterable[OpenTrial], measuring: bool) -> list[OpenTask]:
    """What waits to be started, the lowest-numbered trial's first. measuring: measurements too, which run on one device only."""
    ordered = [task for trial in sorted(trials, key=lambda trial: trial.number) for task in trial.waits]
    return [task for task in ordered if task.state is TaskState.WAITING and (measuring or not task.is_alone)]


def choose_task(waiting: Sequence[OpenTask], beside: Sequence[OpenTask]) -> OpenTask | None:
    """Which of the waiting tasks to start on a device where others, `beside`, run already; None where it should be left alone.

    Once a measurement is next, nothing more is started, and when all others are done, every measurement that waits is made before
    the rest goes on: the device runs empty as seldom as can be.
    """
    if any(task.is_alone for task in beside):
        return None
    measurement = next((task for task in waiting if task.is_alone), None)
    if measurement is not None and not beside:
        return measurement
    return None if waiting[0].is_alone else waiting[0]
