"""The cell space of TND-NAS: DARTS's cell graph in which every edge stays with one operation, `none` among them.

Source: Lyu et al. 2021, arXiv:2111.03892; graph and operations after the first author's published fork of P-DARTS.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

from moonas.architecture import Architecture, Edge
from moonas.errors import ArchitectureError
from moonas.seeds import digest
from moonas.skeleton import Skeleton
from moonas.spaces.darts_cnn import INPUTS, fixed_cost, smallest_order
from moonas.spaces.layout import CellPlan, plan_darts_cells
from moonas.spaces.operations import OperationCost
from moonas.spaces.space import CellGroup, Option, Slot, check_cells
from moonas.study.operations import OPERATIONS
from moonas.study.spaces import TndCnnConfig


class TndCnn:
    """Groups `normal` and `reduce`, each with its own operations; nodes 2 .. 2+nodes-1 are intermediate, all are concatenated.

    An architecture lists the edges whose operation is not `none`. A node left without any is a map of zeros; its channels count in
    the concatenation all the same. Unless `empty_nodes`, our own rule is that every node keeps one input at least.
    """

    name = "tnd-cnn"

    def __init__(self, config: TndCnnConfig) -> None:
        self.nodes = tuple(range(INPUTS, INPUTS + config.nodes))
        self.empty_nodes = config.empty_nodes
        edges = tuple((predecessor, node) for node in self.nodes for predecessor in range(node))
        operations = {"normal": config.normal, "reduce": config.reduce}
        self.groups: Mapping[str, CellGroup] = {
            name: CellGroup(names, edges, INPUTS, self.nodes, kept=None) for name, names in operations.items()
        }

    @classmethod
    def holding(cls, architecture: Architecture) -> TndCnn:
        """The smallest space with the nodes and operations of `architecture`. Raises ArchitectureError, UnknownNameError."""
        used = {name: {operation for _, _, operation in edges} for name, edges in architecture.groups.items()}
        normal, reduce = (tuple(sorted({"none", "skip_connect"} | used.get(name, set()))) for name in ("normal", "reduce"))
        for name in (*normal, *reduce):
            OPERATIONS[name]
        nodes = max((node for concat in architecture.concat.values() for node in concat), default=INPUTS) - INPUTS + 1
        space = cls(TndCnnConfig(normal=normal, reduce=reduce, nodes=nodes, empty_nodes=True))
        space.check(architecture)
        return space

    def slots(self) -> list[Slot]:
        """One slot per node and group, the last node first; an option is an operation for every edge that leads to the node.

        Options are ordered by the operations of the edges in turn, so that ties take the lower operations. The largest slots stand
        first, which keeps counts of partial architectures small.
        """
        return [Slot(group, self._options(cell, node)) for group, cell in self.groups.items() for node in reversed(self.nodes)]

    def _options(self, cell: CellGroup, node: int) -> tuple[Option, ...]:
        options = product(*([(node, predecessor, name) for name in cell.operations] for predecessor in range(node)))
        nothing = tuple((node, predecessor, "none") for predecessor in range(node))
        return tuple(option for option in options if self.empty_nodes or option != nothing)

    def architecture(self, options: Sequence[Option]) -> Architecture:
        """The architecture that takes one option per slot, in the order of `slots`."""
        chosen: dict[str, list[Edge]] = {name: [] for name in self.groups}
        for place, option in enumerate(options):
            chosen[list(self.groups)[place // len(self.nodes)]] += [edge for edge in option if edge[2] != "none"]
        return Architecture(self.name, chosen, dict.fromkeys(self.groups, self.nodes))

    def check(self, architecture: Architecture) -> None:
        """Raise ArchitectureError unless every edge is one of the space's and, where nodes may not be empty, each has an input."""
        check_cells(self, architecture)
        for name, edges in architecture.groups.items():
            cell = self.groups[name]
            if len({(node, predecessor) for node, predecessor, _ in edges}) < len(edges):
                raise ArchitectureError(f"{name}: an edge has more than one operation")
            if "none" not in cell.operations and len(edges) < len(cell.edges):
                raise ArchitectureError(f"{name}: an edge is missing, and `none` is not an operation of this space")
            empty = sorted(set(self.nodes) - {node for node, _, _ in edges})
            if empty and not self.empty_nodes:
                raise ArchitectureError(f"{name}: node {empty[0]} has no input; the space allows that only with empty_nodes")

    def cells(self, skeleton: Skeleton) -> tuple[CellPlan, ...]:
        """Where each cell stands. Raises SkeletonError for fewer than 3 cells."""
        return plan_darts_cells(skeleton, len(self.nodes))

    def fixed_cost(self, skeleton: Skeleton) -> OperationCost:
        """Stem, the two preprocessing convolutions of every cell, classifier; without auxiliary head."""
        return fixed_cost(skeleton, self.cells(skeleton), len(self.nodes))

    def function_key(self, architecture: Architecture) -> str:
        """The smallest description over all orders of the nodes, which the concatenation treats alike, without edges of zeros.

        What leaves an empty node by an operation without weights is zeros; a convolution's batch norm makes a constant of them.
        """
        cells = {name: smallest_order(tuple(_live(edges)), self.nodes) for name, edges in architecture.groups.items()}
        return digest([self.name, cells])


def _live(edges: Sequence[Edge]) -> list[Edge]:
    """Those that are not zeros by force. Edges are sorted by node, so that a node is settled before any that follows."""
    filled = set(range(INPUTS))
    kept = []
    for node, predecessor, operation in edges:
        if predecessor in filled or not OPERATIONS[operation].weightless:
            kept.append((node, predecessor, operation))
            filled.add(node)
    return kept
