"""The convolutional cell space of DARTS: two cell types, every node the sum of two transformed predecessors.

Source: Liu et al., ICLR 2019, arXiv:1806.09055, and its published code.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, permutations, product

from moonas.architecture import Architecture, Edge
from moonas.errors import ArchitectureError, nearest
from moonas.seeds import digest
from moonas.skeleton import Skeleton
from moonas.spaces.layout import CellPlan, plan_darts_cells, plan_stem
from moonas.spaces.operations import OperationCost, area, halve, pointwise
from moonas.spaces.space import CellGroup, Option, Slot
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
        self.groups = dict.fromkeys(GROUPS[config.levels], CellGroup(self.operations, edges, INPUTS, self.nodes, kept=2))

    @classmethod
    def holding(cls, architecture: Architecture) -> DartsCnn:
        """The smallest space with the nodes and operations of `architecture`. Raises ArchitectureError, UnknownNameError."""
        edges = [edge for edges in architecture.groups.values() for edge in edges]
        operations = sorted({operation for _, _, operation in edges})
        for name in operations:
            OPERATIONS[name]
        nodes = max((node for node, _, _ in edges), default=INPUTS) - INPUTS + 1
        space = cls(
            DartsCnnConfig(operations=tuple(operations), nodes=nodes, levels=3 if set(architecture.groups) == set(GROUPS[3]) else 1)
        )
        space.check(architecture)
        return space

    def slots(self) -> list[Slot]:
        """One slot per node and group; an option is two distinct predecessors with an operation other than none on each.

        Options are ordered by predecessors, then operations, which is the published rule for ties.
        """
        names = [name for name in self.operations if name != "none"]
        return [
            Slot(
                group,
                tuple(
                    ((node, first, one), (node, second, other))
                    for first, second in combinations(range(node), 2)
                    for one, other in product(names, repeat=2)
                ),
            )
            for group in self.groups
            for node in self.nodes
        ]

    def architecture(self, options: Sequence[Option]) -> Architecture:
        """The architecture that takes one option per slot, in the order of `slots`."""
        per_group = len(self.nodes)
        groups = {
            group: [edge for option in options[index * per_group : (index + 1) * per_group] for edge in option]
            for index, group in enumerate(self.groups)
        }
        return Architecture(self.name, groups, dict.fromkeys(self.groups, self.nodes))

    def check(self, architecture: Architecture) -> None:
        """Raise ArchitectureError unless every group gives each node two distinct predecessors and known operations."""
        if architecture.space != self.name:
            raise ArchitectureError(f"an architecture of {architecture.space!r} does not belong to {self.name!r}")
        if list(architecture.groups) != list(self.groups) or architecture.links:
            raise ArchitectureError(
                f"{self.name} has the cell groups {', '.join(self.groups)}, not {', '.join(architecture.groups)}"
            )
        for group, edges in architecture.groups.items():
            for node, predecessor, operation in edges:
                if operation not in self.operations or operation == "none":
                    known = [name for name in self.operations if name != "none"]
                    raise ArchitectureError(f"{group}: {operation!r} is not an operation of this space{nearest(operation, known)}")
                if not 0 <= predecessor < node:
                    raise ArchitectureError(f"{group}: node {node} cannot take its input from node {predecessor}")
            inputs = sorted((node, predecessor) for node, predecessor, _ in edges)
            if [node for node, _ in inputs] != [node for node in self.nodes for _ in range(2)] or len(set(inputs)) < len(inputs):
                raise ArchitectureError(f"{group}: each of the nodes {self.nodes} needs two distinct predecessors")
            if architecture.concat.get(group) != self.nodes:
                raise ArchitectureError(f"{group}: the cell's output concatenates the nodes {self.nodes}")

    def cells(self, skeleton: Skeleton) -> tuple[CellPlan, ...]:
        """Where each cell stands. Raises SkeletonError for fewer than 3 cells, with 3 levels 5."""
        return plan_darts_cells(skeleton, len(self.nodes), self.levels)

    def fixed_cost(self, skeleton: Skeleton) -> OperationCost:
        """Stem, the two preprocessing convolutions of every cell, classifier; without auxiliary head."""
        cells = self.cells(skeleton)
        parts = [_stem_cost(skeleton)]
        for cell in cells:
            parts += [pointwise(channels, cell.channels, cell.size) for channels in cell.input_channels]
        features = len(self.nodes) * cells[-1].channels
        parts.append(OperationCost((features + 1) * skeleton.classes, features * skeleton.classes))
        return OperationCost(sum(part.params for part in parts), sum(part.macs for part in parts))

    def function_key(self, architecture: Architecture) -> str:
        """The smallest description over all orders of the intermediate nodes, which the concatenation treats alike.

        No part of such an architecture is dead: every node has two inputs and is concatenated.
        """
        return digest([self.name, {name: _smallest_order(edges) for name, edges in architecture.groups.items()}])


def _smallest_order(edges: tuple[Edge, ...]) -> list[Edge]:
    nodes = sorted({node for node, _, _ in edges})
    described = []
    for order in permutations(nodes):
        number = {node: nodes[place] for place, node in enumerate(order)}
        renamed = [(number[node], number.get(predecessor, predecessor), operation) for node, predecessor, operation in edges]
        if all(predecessor < node for node, predecessor, _ in renamed):
            described.append(sorted(renamed))
    return min(described)


def _stem_cost(skeleton: Skeleton) -> OperationCost:
    images, height, width = skeleton.input_shape
    channels, stem = skeleton.channels, plan_stem(skeleton)
    if skeleton.stem == "cifar":
        weights = 9 * images * stem.channels[0]
        return OperationCost(weights + 2 * stem.channels[0], weights * area((height, width)))
    half, first, second = channels // 2, 9 * images * (channels // 2), 9 * (channels // 2) * channels
    third, size = 9 * channels * channels, halve((height, width))
    params = first + second + third + 2 * (half + channels + channels)
    return OperationCost(params, first * area(size) + second * area(halve(size)) + third * area(stem.size))
