"""The plain sections of a study file: skeletons, decoding, workers, limits, what is kept, performance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, PlainValidator

from moonas.skeleton import Skeleton
from moonas.study.cluster import parse_address
from moonas.study.metrics import METRICS, is_measured
from moonas.study.numbers import Count, CountOrZero, Fraction, NonNegative, Positive, parse_whole

_FORBID = ConfigDict(extra="forbid")
Stem = Literal["cifar", "imagenet", "imagenet-search"]


# Limits of our own, far beyond any network: costs stay within 64 bits, and a slip of the pen is refused rather than worked on.
Channels = Annotated[Count, Field(le=4096)]
Cells = Annotated[Count, Field(le=1000)]


def _as_tuple(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else (value,)


def _each_once(sizes: tuple[int, ...]) -> tuple[int, ...]:
    if not sizes:
        raise ValueError("expected at least one size")
    return tuple(dict.fromkeys(sizes))


def _devices(value: Any) -> str | tuple[int, ...]:
    if isinstance(value, str) and value in ("auto", "cpu"):
        return value
    try:
        indices = tuple(map(parse_whole, value)) if isinstance(value, list | tuple) else ()
    except ValueError:
        indices = ()
    if not indices:
        raise ValueError(f"must be auto, cpu, or GPU indices such as [0, 1], got {value!r}")
    if min(indices) < 0:
        raise ValueError(f"GPU indices count from 0, got {value!r}")
    if len(set(indices)) < len(indices):
        raise ValueError(f"names a GPU twice: {value!r}; for several tasks on each use `tasks_per_device`")
    return indices


def _measured(name: str) -> str:
    if name not in METRICS:
        raise ValueError(METRICS.unknown(name))
    if not is_measured(name):
        raise ValueError(f"{name} is not measured on a device")
    return name


OpenChannels = Annotated[tuple[Channels, ...], BeforeValidator(_as_tuple), AfterValidator(_each_once)]
OpenCells = Annotated[tuple[Cells, ...], BeforeValidator(_as_tuple), AfterValidator(_each_once)]
MeasuredMetric = Annotated[str, AfterValidator(_measured)]
Devices = Annotated[str | tuple[int, ...], PlainValidator(_devices)]
Address = Annotated[str, PlainValidator(parse_address)]


@dataclass(frozen=True, kw_only=True)
class SearchSkeleton:
    """The small network that searches run in."""

    __pydantic_config__ = _FORBID

    channels: Channels
    cells: Cells
    stem: Stem = "cifar"

    def skeleton(self, space: str, input_shape: tuple[int, int, int], classes: int) -> Skeleton:
        """Raises SkeletonError."""
        return Skeleton(
            space=space, channels=self.channels, cells=self.cells, input_shape=input_shape, classes=classes, stem=self.stem
        )


@dataclass(frozen=True, kw_only=True)
class FinalSkeleton:
    """The network that is deployed; a list leaves width or depth open, one value per trial."""

    __pydantic_config__ = _FORBID

    channels: OpenChannels
    cells: OpenCells
    stem: Stem = "cifar"

    def sizes(self) -> Iterator[tuple[int, int]]:
        """Every (channels, cells)."""
        return product(self.channels, self.cells)

    def skeleton(self, channels: int, cells: int, space: str, input_shape: tuple[int, int, int], classes: int) -> Skeleton:
        """Raises SkeletonError."""
        return Skeleton(space=space, channels=channels, cells=cells, input_shape=input_shape, classes=classes, stem=self.stem)


@dataclass(frozen=True, kw_only=True)
class Decode:
    """How architectures are read off a finished search.

    rerank: of so many architectures of the highest scores within the budget, the one of the best accuracy with the weights of the
    search becomes the primary one; 1 takes the highest score.
    extra: neighbours of the primary architecture on the decoded front that are evaluated too, for archive and front only.
    """

    __pydantic_config__ = _FORBID

    rerank: Annotated[Count, Field(le=1000)] = 1

    extra: CountOrZero = 0


@dataclass(frozen=True, kw_only=True)
class Measure:
    """How measured metrics are come by.

    metrics: some to measure and report beside those that are objectives or constraints. batch: images of a forward pass; 1 on a CPU
    and 64 on a GPU where absent. warmups, repeats: forward passes left out, and those that the median is taken of.
    """

    __pydantic_config__ = _FORBID

    metrics: tuple[MeasuredMetric, ...] = ()
    batch: Count | None = None
    warmups: CountOrZero = 10
    repeats: Count = 50


@dataclass(frozen=True, kw_only=True)
class Workers:
    """Where tasks run.

    devices: "auto" (every GPU, else the CPU), "cpu", or GPU indices. tasks_per_device: slots on each, one on a GPU unless given; on
    the CPU one per core. threads_per_task: CPU threads of a task, stored with the study because they change the last digits.
    only_idle: start nothing on a GPU that others use. max_attempts: how often a task is started whose worker died. task_timeout:
    seconds without a report after which a worker counts as hanging; absent, none does.
    address: of a Ray cluster. gpus_per_task, cpus_per_task: what a task takes of it; where absent, one GPU where there are any, and
    threads_per_task CPUs. max_tasks: how many are asked for at once, room for them or not; where absent, as many as have room.
    """

    __pydantic_config__ = _FORBID

    backend: Literal["local", "ray"] = "local"
    devices: Devices = "auto"
    tasks_per_device: Count | None = None
    threads_per_task: Count = 1
    only_idle: bool = False
    max_attempts: Count = 3
    task_timeout: Positive | None = None
    address: Address | None = None
    gpus_per_task: Fraction | None = None
    cpus_per_task: Positive | None = None
    max_tasks: Count | None = None


@dataclass(frozen=True, kw_only=True)
class Limits:
    """When a study stops starting new trials.

    hours: of one run. device_hours: of all tasks. stagnation: after so many finished trials in a row that together raised the
    hypervolume of the front by no more than stagnation_tolerance, as a share of what it was before them.
    """

    __pydantic_config__ = _FORBID

    hours: Positive | None = None
    device_hours: Positive | None = None
    stagnation: Count | None = None
    stagnation_tolerance: NonNegative = 0.0


@dataclass(frozen=True, kw_only=True)
class Keep:
    """Which files stay when the task that wrote them is complete.

    weights: of trained networks: "front" of those on the present front, "all", or "none".
    """

    __pydantic_config__ = _FORBID

    weights: Literal["front", "all", "none"] = "front"


@dataclass(frozen=True, kw_only=True)
class Health:
    """What becomes of a search that collapses into operations without weights.

    on_collapse: "flag" goes on to the end and marks the trial; "stop" ends the search and decodes what it had found before.
    eigenvalue_every: epochs between two measurements of the dominant eigenvalue of the validation loss; 0 measures none.
    """

    __pydantic_config__ = _FORBID

    on_collapse: Literal["flag", "stop"] = "flag"
    eigenvalue_every: CountOrZero = 0


@dataclass(frozen=True, kw_only=True)
class Performance:
    """How networks compute. Every setting changes the last digits, so that all are fixed with the study.

    memory: "low" computes cells again in the backward pass instead of keeping what is inside them. precision: of forward passes;
    weights, statistics and second-order gradients stay fp32. compile: of trained networks, by torch.compile. channels_last: the
    layout of maps; "auto" means on a CPU only.
    """

    __pydantic_config__ = _FORBID

    memory: Literal["normal", "low"] = "normal"
    precision: Literal["fp32", "bf16"] = "fp32"
    compile: bool = False
    channels_last: bool | Literal["auto"] = "auto"

    def spec(self) -> dict[str, Any]:
        """The form that task specs carry; where `compile` and `channels_last` are not set, as before there were such settings."""
        later = {"compile": self.compile, "channels_last": self.channels_last}
        defaults = {"compile": False, "channels_last": "auto"}
        changed = {name: value for name, value in later.items() if value != defaults[name]}
        return {"memory": self.memory, "precision": self.precision, **changed}
