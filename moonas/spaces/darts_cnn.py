"""The convolutional cell space of DARTS: two cell types, every node the sum of two transformed predecessors.

Source: Liu et al., ICLR 2019, arXiv:1806.09055, and its published code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import combinations, permutations, product

from moonas.architecture import Architecture, Edge
from moonas.errors import ArchitectureError
from moonas.seeds import digest
from moonas.skeleton import Skeleton
from moonas.spaces.connections import connected, connection_groups
from moonas.spaces.layout import CellPlan, plan_darts_cells, plan_stem
from moonas.spaces.operations import OperationCost, area, halve, pointwise
from moonas.spaces.space import CellGroup, Option, Slot, assemble, check_cells
from moonas.study.operations import OPERATIONS
from moonas.study.spaces import DartsCnnConfig

GROUPS = {1: ("normal", "reduce"), 3: ("normal0", "normal1", "normal2", "reduce0", "reduce1")}  # by levels
INPUTS = 2  # nodes 0 and 1 are the outputs of the two cells before


class DartsCnn:
    """Groups `normal` and `reduce`, or with 3 levels `normal0` to `reduce1`; all nodes from 2 on are concatenated."""

    name = "darts-cnn"

    def __init__(self, config: DartsCnnConfig) -> None:
        self.operations = config.operations
        self.nodes = tuple(range(INPUTS, INPUTS + config.nodes))
        edges = tuple((predecessor, node) for node in self.nodes for predecessor in range(node))
        self.levels = config.levels
        group = CellGroup(self.operations, edges, INPUTS, self.nodes, kept=2)
        self.cell_groups = GROUPS[config.levels]
        self.connections = connection_groups(self.cell_groups, config.nodes) if config.connections else {}
        self.groups: Mapping[str, CellGroup] = dict.fromkeys(self.cell_groups, group) | self.connections

    @classmethod
    def holding(cls, architecture: Architecture) -> DartsCnn:
        """The smallest space with the nodes and operations of `architecture`. Raises ArchitectureError, UnknownNameError."""
        edges = [edge for edges in architecture.groups.values() for edge in edges]
        operations = sorted({operation for _, _, operation in edges})
        for name in operations:
            OPERATIONS[name]
        nodes = max((node for node, _, _ in edges), default=INPUTS) - INPUTS + 1
        space = cls(
            DartsCnnConfig(
                operations=tuple(operations),
                nodes=nodes,
                levels=3 if set(architecture.groups) == set(GROUPS[3]) else 1,
                connections=bool(architecture.links),
            )
        )
        space.check(architecture)
        return space

    def slots(self) -> list[Slot]:
        """One slot per node and group; an option is two distinct predecessors with an operation other than none on each.

        Options are ordered by predecessors, then operations, which is the published rule for ties. Then one slot per connection.
        """
        names = [name for name in self.operations if name != "none"]
        nodes = [
            Slot(
                group,
                tuple(
                    ((node, first, one), (node, second, other))
                    for first, second in combinations(range(node), 2)
                    for one, other in product(names, repeat=2)
                ),
            )
            for group in self.cell_groups
            for node in self.nodes
        ]
        connections = [
            Slot(name, tuple(((node, source, operation),) for operation in group.operations))
            for name, group in self.connections.items()
            for source, node in group.edges
        ]
        return nodes + connections

    def architecture(self, options: Sequence[Option]) -> Architecture:
        """The architecture that takes one option per slot, in the order of `slots`."""
        names = [group for group in self.cell_groups for _ in self.nodes] + list(self.connections)
        chosen: dict[str, list[Edge]] = {}
        for name, option in zip(names, options, strict=True):
            chosen.setdefault(name, []).extend(option)
        return assemble(self, chosen)

    def check(self, architecture: Architecture) -> None:
        """Raise ArchitectureError unless every group gives each node two distinct predecessors and known operations."""
        check_cells(self, architecture)
        for group, edges in architecture.groups.items():
            inputs = sorted((node, predecessor) for node, predecessor, _ in edges)
            if [node for node, _ in inputs] != [node for node in self.nodes for _ in range(2)] or len(set(inputs)) < len(inputs):
                raise ArchitectureError(f"{group}: each of the nodes {self.nodes} needs two distinct predecessors")
        for group, edges in architecture.links.items():
            if len(edges) != INPUTS:
                raise ArchitectureError(f"{group}: each of the {INPUTS} inputs needs one connection, got {len(edges)}")

    def cells(self, skeleton: Skeleton) -> tuple[CellPlan, ...]:
        """Where each cell stands. Raises SkeletonError for fewer than 3 cells, with 3 levels 5."""
        cells = plan_darts_cells(skeleton, len(self.nodes), self.levels)
        return connected(cells) if self.connections else cells

    def fixed_cost(self, skeleton: Skeleton) -> OperationCost:
        """Stem, classifier, and the preprocessing convolutions of every cell unless searched; without auxiliary head."""
        return fixed_cost(skeleton, self.cells(skeleton), len(self.nodes))

    def function_key(self, architecture: Architecture) -> str:
        """The smallest description over all orders of the intermediate nodes, which the concatenation treats alike.

        No part of such an architecture is dead: every node has two inputs and is concatenated.
        """
        cells = {name: smallest_order(edges, self.nodes) for name, edges in architecture.groups.items()}
        return digest([self.name, cells, *([dict(architecture.links)] if architecture.links else [])])


def fixed_cost(skeleton: Skeleton, cells: Sequence[CellPlan], nodes: int) -> OperationCost:
    """Stem, the preprocessing convolutions of the cells that have them, and a classifier on the concatenation of `nodes` nodes."""
    parts = [_stem_cost(skeleton)]
    for cell in filter(lambda cell: cell.preprocessed, cells):
        parts += [pointwise(channels, cell.channels, cell.size) for channels in cell.input_channels]
    features = nodes * cells[-1].channels
    parts.append(OperationCost((features + 1) * skeleton.classes, features * skeleton.classes))
    return OperationCost(sum(part.params for part in parts), sum(part.macs for part in parts))


@lru_cache(maxsize=4096)
def smallest_order(edges: tuple[Edge, ...], nodes: tuple[int, ...]) -> list[Edge]:
    """The smallest list of edges over all orders of `nodes` in which edges lead to later nodes."""
    inner = tuple((predecessor, node) for node, predecessor, _ in edges if predecessor in nodes)
    return min(
        sorted((number[node], number.get(predecessor, predecessor), operation) for node, predecessor, operation in edges)
        for number in _numberings(inner, nodes)
    )


@lru_cache(maxsize=1024)
def _numberings(edges: tuple[tuple[int, int], ...], nodes: tuple[int, ...]) -> list[dict[int, int]]:
    """New numbers for the nodes, every way in which the edges (predecessor, node) lead to higher ones."""
    numberings = [dict(zip(order, nodes, strict=True)) for order in permutations(nodes)]
    return [number for number in numberings if all(number[predecessor] < number[node] for predecessor, node in edges)]


def _stem_cost(skeleton: Skeleton) -> OperationCost:
    images, height, width = skeleton.input_shape
    stem = plan_stem(skeleton)
    channels = stem.channels[0]
    if skeleton.stem == "cifar":
        weights = 9 * images * channels
        return OperationCost(weights + 2 * channels, weights * area((height, width)))
    half, first, second = channels // 2, 9 * images * (channels // 2), 9 * (channels // 2) * channels
    third, size = 9 * channels * channels, halve((height, width))
    params = first + second + third + 2 * (half + channels + channels)
    return OperationCost(params, first * area(size) + second * area(halve(size)) + third * area(stem.size))
