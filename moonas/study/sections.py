"""The plain sections of a study file: skeletons, decoding, workers, limits, performance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from moonas.skeleton import Skeleton
from moonas.study.numbers import Count, CountOrZero, Positive, Whole

_FORBID = ConfigDict(extra="forbid")
Stem = Literal["cifar", "imagenet"]


def _as_tuple(value: Any) -> Any:
    return tuple(dict.fromkeys(value)) if isinstance(value, list | tuple) else (value,)


Sizes = Annotated[tuple[Count, ...], BeforeValidator(_as_tuple), Field(min_length=1)]


@dataclass(frozen=True, kw_only=True)
class SearchSkeleton:
    """The small network that searches run in."""

    __pydantic_config__ = _FORBID

    channels: Count
    cells: Count
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

    channels: Sizes
    cells: Sizes
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

    extra: neighbours of the primary architecture on the decoded front that are evaluated too, for archive and front only.
    """

    __pydantic_config__ = _FORBID

    extra: CountOrZero = 0


@dataclass(frozen=True, kw_only=True)
class Workers:
    """Where tasks run.

    devices: "auto" (every GPU, else the CPU), "cpu", or GPU indices. tasks_per_device: slots on each; on the CPU one per core unless
    given. threads_per_task: CPU threads of a task, stored with the study because they change the last digits.
    max_attempts: how often a task is started whose worker died.
    """

    __pydantic_config__ = _FORBID

    backend: Literal["local"] = "local"
    devices: Literal["auto", "cpu"] | tuple[Annotated[Whole, Field(ge=0)], ...] = "auto"
    tasks_per_device: Count | None = None
    threads_per_task: Count = 1
    max_attempts: Count = 3


@dataclass(frozen=True, kw_only=True)
class Limits:
    """When a study stops starting new trials: hours of running, and device-hours spent."""

    __pydantic_config__ = _FORBID

    hours: Positive | None = None
    device_hours: Positive | None = None


@dataclass(frozen=True, kw_only=True)
class Performance:
    """How searches and evaluations compute; both settings change the last digits and are fixed with the study."""

    __pydantic_config__ = _FORBID

    memory: Literal["normal"] = "normal"
    precision: Literal["fp32"] = "fp32"
