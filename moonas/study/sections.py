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


OpenChannels = Annotated[
    tuple[Channels, ...],
    BeforeValidator(_as_tuple, json_schema_input_type=Channels | tuple[Channels, ...]),
    AfterValidator(_each_once),
]
OpenCells = Annotated[
    tuple[Cells, ...], BeforeValidator(_as_tuple, json_schema_input_type=Cells | tuple[Cells, ...]), AfterValidator(_each_once)
]
MeasuredMetric = Annotated[str, AfterValidator(_measured)]
Devices = Annotated[
    str | tuple[int, ...], PlainValidator(_devices, json_schema_input_type=Literal["auto", "cpu"] | tuple[CountOrZero, ...])
]
Address = Annotated[str, PlainValidator(parse_address, json_schema_input_type=str)]


@dataclass(frozen=True, kw_only=True)
class SearchSkeleton:
    """The small network that searches run in."""

    __pydantic_config__ = _FORBID

    channels: Channels
    """channels of a node in the first cells; they double at each reduction"""
    cells: Cells
    """number of cells; `darts-cnn` and `tnd-cnn` need at least 3, of which 2 are reductions, `darts-cnn` with 3 levels 5;
    `nas-bench-201` a multiple of 3, for its three stages"""
    stem: Stem = "cifar"
    """one 3×3 convolution of 3C channels, or three of C channels that reduce the image to an eighth; the third is the second
    with 3C channels, as in PC-DARTS's search on ImageNet. The last two need even channels"""

    def skeleton(self, space: str, input_shape: tuple[int, int, int], classes: int) -> Skeleton:
        """Raises SkeletonError."""
        return Skeleton(
            space=space, channels=self.channels, cells=self.cells, input_shape=input_shape, classes=classes, stem=self.stem
        )


@dataclass(frozen=True, kw_only=True)
class FinalSkeleton:
    """The network that is deployed."""

    __pydantic_config__ = _FORBID

    channels: OpenChannels
    """channels of a node in the first cells; a list leaves the width open, one value per trial"""
    cells: OpenCells
    """number of cells; a list leaves the depth open, one value per trial"""
    stem: Stem = "cifar"
    """as in `search`"""

    def sizes(self) -> Iterator[tuple[int, int]]:
        """Every (channels, cells)."""
        return product(self.channels, self.cells)

    def skeleton(self, channels: int, cells: int, space: str, input_shape: tuple[int, int, int], classes: int) -> Skeleton:
        """Raises SkeletonError."""
        return Skeleton(space=space, channels=channels, cells=cells, input_shape=input_shape, classes=classes, stem=self.stem)


@dataclass(frozen=True, kw_only=True)
class Decode:
    """How architectures are read off a finished search."""

    __pydantic_config__ = _FORBID

    rerank: Annotated[Count, Field(le=1000)] = 1
    """of so many architectures of the highest scores within the budget, the one of the best accuracy with the search's own
    weights becomes the primary one"""

    extra: CountOrZero = 0
    """neighbours of the primary architecture on the decoded front that are evaluated too, for archive and front only"""


@dataclass(frozen=True, kw_only=True)
class Measure:
    """How measured metrics are come by."""

    __pydantic_config__ = _FORBID

    metrics: tuple[MeasuredMetric, ...] = ()
    """measured metrics to report beside those that are objectives or constraints"""
    batch: Count | None = None
    """images of a forward pass; 1 on a CPU and 64 on a GPU where absent"""
    warmups: CountOrZero = 10
    """forward passes that are left out"""
    repeats: Count = 50
    """forward passes that the median is taken of"""


@dataclass(frozen=True, kw_only=True)
class Workers:
    """Where tasks run."""

    __pydantic_config__ = _FORBID

    backend: Literal["local", "ray"] = "local"
    """worker processes on this machine, or on the machines of a Ray cluster"""
    devices: Devices = "auto"
    """every GPU, else the CPU; the CPU; or the GPUs of these indices, which `ray` knows none of"""
    tasks_per_device: Count | None = None
    """tasks at once: on a GPU 1 unless given, on the CPU one per core; not with `ray`"""
    threads_per_task: Count = 1
    """CPU threads of a task; they change the last digits, so they are fixed with the study"""
    only_idle: bool = False
    """start nothing on a GPU that others use; not with `ray`"""
    max_attempts: Count = 3
    """how often a task is started whose worker died"""
    task_timeout: Positive | None = None
    """seconds without a report after which a worker counts as hanging, and is killed"""
    address: Address | None = None
    """where the Ray cluster is: `local`, `auto`, `HOST:PORT` or `ray://HOST:PORT`"""
    gpus_per_task: Fraction | None = None
    """GPUs that a task takes of the cluster, such as 0.5; where absent 1 if the cluster has any and `devices` is `auto`, else 0"""
    cpus_per_task: Positive | None = None
    """CPUs that a task takes of the cluster; where absent as many as `threads_per_task`"""
    max_tasks: Count | None = None
    """tasks at once on the cluster: so many are asked for, whether there is room for them or not, which lets an autoscaler
    add machines; where absent as many as there is room for, counted anew as machines come and go"""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """When a study stops starting new trials."""

    __pydantic_config__ = _FORBID

    hours: Positive | None = None
    """hours of one `run` or `resume`"""
    device_hours: Positive | None = None
    """hours of all tasks of the study together"""
    stagnation: Count | None = None
    """stop once so many finished trials in a row have gained no hypervolume"""
    stagnation_tolerance: NonNegative = 0.0
    """a gain that counts as none, as a share of the hypervolume before those trials"""


@dataclass(frozen=True, kw_only=True)
class Keep:
    """Which files stay when the task that wrote them is complete."""

    __pydantic_config__ = _FORBID

    weights: Literal["front", "all", "none"] = "front"
    """whose trained weights stay: those of the networks on the present front, of each its best training's; of every training;
    or none"""


@dataclass(frozen=True, kw_only=True)
class Health:
    """What becomes of a search that collapses into operations without weights."""

    __pydantic_config__ = _FORBID

    on_collapse: Literal["flag", "stop"] = "flag"
    """go on to the end and mark the trial; or end the search and decode what it had found before"""
    eigenvalue_every: CountOrZero = 0
    """epochs between two measurements of the eigenvalue, about 40 gradients each; 0 measures none"""


@dataclass(frozen=True, kw_only=True)
class Performance:
    """How networks compute. Every setting changes the last digits, so that all are fixed with the study."""

    __pydantic_config__ = _FORBID

    memory: Literal["normal", "low"] = "normal"
    """`low` keeps only the outputs of the first, largest cells and computes the rest of them again in the backward pass"""
    precision: Literal["fp32", "bf16"] = "fp32"
    """number format of forward passes"""
    compile: bool = False
    """whether the networks of protocol `short` train through `torch.compile`"""
    channels_last: bool | Literal["auto"] = "auto"
    """the memory layout of maps; `auto` is true on a CPU and false on a GPU"""

    def spec(self) -> dict[str, Any]:
        """The form that task specs carry; where `compile` and `channels_last` are not set, as before there were such settings."""
        later = {"compile": self.compile, "channels_last": self.channels_last}
        defaults = {"compile": False, "channels_last": "auto"}
        changed = {name: value for name, value in later.items() if value != defaults[name]}
        return {"memory": self.memory, "precision": self.precision, **changed}
