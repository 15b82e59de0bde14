"""What every search space can tell about itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from moonas.architecture import Architecture, Edge
from moonas.errors import ArchitectureError, nearest
from moonas.registry import load_object
from moonas.skeleton import Skeleton
from moonas.spaces.layout import CellPlan
from moonas.spaces.operations import OperationCost, Size
from moonas.study.operations import OPERATIONS
from moonas.study.spaces import SPACES
from moonas.study.validation import settings_of

Option = tuple[Edge, ...]
_INPUT = ".input"  # between a group of cells and the number of an input in the name of a connection's group


@dataclass(frozen=True)
class CellGroup:
    """What the cells of one group choose from.

    operations: candidates of every edge, in index order. edges: (predecessor, node) of each edge, in index order.
    inputs: how many nodes, from 0 on, are outputs of cells before. output: the nodes whose concatenation leaves the cell.
    kept: edges that every node keeps, never with `none`; None where each edge stays, with one operation, `none` among them.
    """

    operations: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]
    inputs: int
    output: tuple[int, ...]
    kept: int | None

    @property
    def shape(self) -> tuple[int, int]:
        """(edges, operations): that of the group's logits, probabilities and scores."""
        return len(self.edges), len(self.operations)

    @property
    def nodes(self) -> tuple[int, ...]:
        """The nodes that edges lead to, rising."""
        return tuple(sorted({node for _, node in self.edges}))

    @property
    def selectable(self) -> list[int]:
        """The operations, as columns, that an edge of an architecture can have."""
        return [column for column, name in enumerate(self.operations) if self.kept is None or name != "none"]

    def place(self, edge: Edge) -> tuple[int, int]:
        """Row and column of (node, predecessor, operation) in arrays of this `shape`."""
        node, predecessor, operation = edge
        return self.edges.index((predecessor, node)), self.operations.index(operation)


@dataclass(frozen=True)
class Slot:
    """One independent choice of an architecture: a node of a cell group, with every way to wire it.

    options: each a tuple of (node, predecessor, operation), in the order that breaks ties.
    """

    group: str
    options: tuple[Option, ...]


class Space(Protocol):
    """A search space, free of torch.

    groups: by name. Scores and costs are arrays of shape (edges, operations), one per group.
    """

    name: str
    groups: Mapping[str, CellGroup]

    def __hash__(self) -> int:
        """By identity, as of any object: what is worked out from a space once may be kept with it."""

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


def live_edges(edges: Iterable[Edge], inputs: int, output: Iterable[int]) -> list[Edge]:
    """The edges, other than `none`, on some way from a cell's inputs to its output, by rising node; empty where there is no way."""
    live = sorted(edge for edge in edges if edge[2] != "none")
    reached = set(range(inputs))
    for node, predecessor, _ in live:
        if predecessor in reached:
            reached.add(node)
    needed = set(output)
    for node, predecessor, _ in reversed(live):
        if node in needed:
            needed.add(predecessor)
    return [edge for edge in live if edge[1] in reached and edge[0] in needed]


def operation_cost(name: str, channels: int, stride: int, size: Size) -> OperationCost:
    """Exact cost of one operation; `size` is that of its input."""
    entry = OPERATIONS[name]
    return OperationCost(*load_object(entry.cost)(channels, stride, size, **entry.settings))


def connection_group(group: str, place: int) -> str:
    """The name of the choice for input `place` of the cells of `group`."""
    return f"{group}{_INPUT}{place}"


def chosen_edges(architecture: Architecture) -> dict[str, tuple[Edge, ...]]:
    """The edges that an architecture has in every group of its space: those of its cells, and one for each connection."""
    links = {connection_group(group, edge[0]): (edge,) for group, edges in architecture.links.items() for edge in edges}
    return {**architecture.groups, **links}


def assemble(space: Space, chosen: Mapping[str, Sequence[Edge]]) -> Architecture:
    """The architecture with these edges in every group of its space; the inverse of `chosen_edges`."""
    groups: dict[str, Sequence[Edge]] = {}
    links: dict[str, list[Edge]] = {}
    for name, edges in chosen.items():
        group, connects, _ = name.partition(_INPUT)
        if connects:
            links[group] = [*links.get(group, ()), *edges]
        else:
            groups[name] = edges
    return Architecture(space.name, groups, {name: space.groups[name].output for name in groups}, links)


def check_cells(space: Space, architecture: Architecture) -> None:
    """What every architecture of a space of cells must have: its groups, edges, operations and outputs.

    Raises ArchitectureError.
    """
    if architecture.space != space.name:
        raise ArchitectureError(f"an architecture of {architecture.space!r} does not belong to {space.name!r}")
    chosen = chosen_edges(architecture)
    if sorted(chosen) != sorted(space.groups):
        raise ArchitectureError(f"{space.name} has the cell groups {', '.join(space.groups)}, not {', '.join(chosen)}")
    for name, edges in chosen.items():
        group = space.groups[name]
        known = [operation for operation in group.operations if operation != "none"]
        for node, predecessor, operation in edges:
            if operation not in known:
                raise ArchitectureError(f"{name}: {operation!r} is not an operation of this space{nearest(operation, known)}")
            if (predecessor, node) not in group.edges:
                raise ArchitectureError(f"{name}: node {node} cannot take its input from node {predecessor}")
        if name in architecture.groups and architecture.concat.get(name) != group.output:
            raise ArchitectureError(f"{name}: the cell's output concatenates the nodes {group.output}")
