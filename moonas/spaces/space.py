"""What every search space can tell about itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from moonas.architecture import Architecture, Edge
from moonas.registry import load_object
from moonas.skeleton import Skeleton
from moonas.spaces.layout import CellPlan
from moonas.spaces.operations import OperationCost, Size
from moonas.study.operations import OPERATIONS
from moonas.study.spaces import SPACES
from moonas.study.validation import settings_of

Option = tuple[Edge, ...]


@dataclass(frozen=True)
class Slot:
    """One independent choice of an architecture: a node of a cell group, with every way to wire it.

    options: each a tuple of (node, predecessor, operation), in the order that breaks ties.
    """

    group: str
    options: tuple[Option, ...]


class Space(Protocol):
    """A search space, free of torch.

    operations: candidates of an edge, in index order. groups: cell groups. edges: (predecessor, node) of each edge, in index order,
    the same for every group: scores and costs are arrays of shape (edges, operations) per group.
    """

    name: str
    operations: tuple[str, ...]
    groups: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]

    def slots(self) -> Sequence[Slot]:
        """The independent choices that make up an architecture."""

    def architecture(self, options: Sequence[Option]) -> Architecture:
        """The architecture that takes one option per slot."""

    def check(self, architecture: Architecture) -> None:
        """Raise ArchitectureError, saying why, unless the space contains `architecture`."""

    def cells(self, skeleton: Skeleton) -> Sequence[CellPlan]:
        """Where each cell stands. Raises SkeletonError."""

    def fixed_cost(self, skeleton: Skeleton) -> OperationCost:
        """Cost of all that does not depend on the architecture: stem, preprocessing, classifier."""

    def function_key(self, architecture: Architecture) -> str:
        """A hash that architectures computing the same function share: dead parts dropped, commuting parts sorted."""


def make_space(settings: Mapping[str, Any]) -> Space:
    """The space that `{"name": ..., **settings}` describes. Raises UnknownNameError or pydantic's ValidationError."""
    entry = SPACES[settings["name"]]
    return load_object(entry.load)(settings_of(entry.config, settings))


def space_of(architecture: Architecture) -> Space:
    """The smallest space of its kind that holds `architecture`. Raises UnknownNameError or ArchitectureError."""
    return load_object(SPACES[architecture.space].load).holding(architecture)


def operation_cost(name: str, channels: int, stride: int, size: Size) -> OperationCost:
    """Exact cost of one operation; `size` is that of its input."""
    entry = OPERATIONS[name]
    return OperationCost(*load_object(entry.cost)(channels, stride, size, **entry.settings))
