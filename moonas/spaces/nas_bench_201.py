"""The cell space of NAS-Bench-201: four nodes, one operation on each of the six edges, `none` among them.

Source: Dong & Yang, ICLR 2020, arXiv:2001.00326, and its published code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import permutations, product
from typing import Any

from moonas.architecture import Architecture, Edge
from moonas.errors import ArchitectureError, SkeletonError, nearest
from moonas.seeds import digest
from moonas.skeleton import Skeleton
from moonas.spaces.layout import CellPlan
from moonas.spaces.operations import OperationCost, area, halve
from moonas.spaces.space import CellGroup, Option, Slot, live_edges
from moonas.study.spaces import NasBench201Config

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
OUTPUT = 3
STAGES = 3  # of equally many cells, between which the channels double and the resolution halves
IDENTITY, LINEAR = "skip_connect", "avg_pool_3x3"


class NasBench201:
    """One group, `cell`; node 0 is the output of the cell before, node 3 the cell's own output, each node the sum of its edges.

    Cells in which nothing leads from input to output belong to the space (they can be built, costed and evaluated), but decoding
    and sampling leave them out: with all five operations 15,284 of the 15,625 cells remain.
    """

    name = "nas-bench-201"

    def __init__(self, config: NasBench201Config) -> None:
        self.operations: tuple[str, ...] = config.operations
        self.groups = {"cell": CellGroup(self.operations, EDGES, 1, (OUTPUT,), kept=None)}

    @classmethod
    def holding(cls, architecture: Architecture) -> NasBench201:
        """The space with all five operations. Raises ArchitectureError where it does not contain `architecture`."""
        space = cls(NasBench201Config())
        space.check(architecture)
        return space

    def slots(self) -> list[Slot]:
        """A single slot: its options are all connected cells, in the order of edges, then operations.

        Without bounds, decoding is so the published per-edge argmax, `none` included, wherever that cell is connected.
        """
        return [Slot("cell", _connected_cells(self.operations))]

    def architecture(self, options: Sequence[Option]) -> Architecture:
        """The cell that is the one option given."""
        return Architecture(self.name, {"cell": options[0]}, {"cell": (OUTPUT,)})

    def check(self, architecture: Architecture) -> None:
        """Raise ArchitectureError unless there is one cell with a known operation on each of the six edges."""
        if architecture.space != self.name:
            raise ArchitectureError(f"an architecture of {architecture.space!r} does not belong to {self.name!r}")
        if list(architecture.groups) != ["cell"] or architecture.links:
            raise ArchitectureError(f"{self.name} has the cell group cell, not {', '.join(architecture.groups)}")
        edges = architecture.groups["cell"]
        for _, _, operation in edges:
            if operation not in self.operations:
                raise ArchitectureError(f"{operation!r} is not an operation of this space{nearest(operation, self.operations)}")
        if [(predecessor, node) for node, predecessor, _ in edges] != list(EDGES):
            raise ArchitectureError(f"a cell of {self.name} has one operation on each of the edges {EDGES}")
        if architecture.concat.get("cell") != (OUTPUT,):
            raise ArchitectureError(f"the output of a cell of {self.name} is node {OUTPUT}")

    def cells(self, skeleton: Skeleton) -> tuple[CellPlan, ...]:
        """Three stages of equally many cells. Raises SkeletonError where `cells` is no multiple of 3, or for another stem."""
        if skeleton.cells % STAGES:
            raise SkeletonError(
                f"skeleton: {self.name} has {STAGES} stages of equally many cells, so `cells` must be a multiple of {STAGES}, "
                f"not {skeleton.cells}"
            )
        if skeleton.stem != "cifar":
            raise SkeletonError(f"skeleton: {self.name} begins with one 3x3 convolution; its stem is cifar, not {skeleton.stem}")
        plans: list[CellPlan] = []
        channels, size = skeleton.channels, skeleton.input_shape[1:]
        for stage in range(STAGES):
            if stage:
                channels, size = 2 * channels, halve(size)
            for _ in range(skeleton.cells // STAGES):
                plan = CellPlan(len(plans), "cell", channels, (channels,), size, False, False, preprocessed=False)
                plans.append(plan)
        return tuple(plans)

    def fixed_cost(self, skeleton: Skeleton) -> OperationCost:
        """Stem, the two residual blocks, the last batch norm, classifier."""
        last = self.cells(skeleton)[-1]
        images, height, width = skeleton.input_shape
        channels, size = skeleton.channels, (height, width)
        stem = 9 * images * channels
        params, macs = stem + 2 * channels, stem * area(size)
        for _ in range(STAGES - 1):
            wide, size = 2 * channels, halve(size)
            weights = 9 * channels * wide + 9 * wide * wide + channels * wide  # two 3x3 convolutions and a 1x1 shortcut
            params, macs = params + weights + 4 * wide, macs + weights * area(size)
            channels = wide
        params += 2 * last.channels + (last.channels + 1) * skeleton.classes
        return OperationCost(params, macs + last.channels * skeleton.classes)

    def function_key(self, architecture: Architecture) -> str:
        """Equal for cells that compute the same with the same weights, whichever nodes they do it in.

        Edges that lie on no path from input to output are dropped (one that leaves a node without input adds at most a constant per
        channel); skips are identities, so that a node is a sum of terms and sums of sums flatten; average pooling is linear, so
        that it passes through sums; the order of nodes and of terms does not count. A convolution whose output is used twice is
        one convolution, and differs from two convolutions of the same input.
        """
        return _function_key(*_convolutions(architecture.groups["cell"]))


@lru_cache(maxsize=8)
def _connected_cells(operations: tuple[str, ...]) -> tuple[Option, ...]:
    """Every cell with a path from input to output; listing them all takes a tenth of a second."""
    cells = (
        tuple((node, predecessor, name) for (predecessor, node), name in zip(EDGES, names, strict=True))
        for names in product(operations, repeat=len(EDGES))
    )
    return tuple(cell for cell in cells if live_edges(cell, 1, (OUTPUT,)))


Term = tuple[int, Any]  # how often pooled, of what: the cell's input, None, or the number of a convolution
Convolution = tuple[str, tuple[Term, ...]]  # its operation, and the terms that are its input


def _convolutions(edges: Sequence[Edge]) -> tuple[tuple[Convolution, ...], tuple[Term, ...]]:
    """The live convolutions, and the terms of the output."""
    terms: dict[int, list[Term]] = {0: [(0, None)]}
    convolutions: list[Convolution] = []
    for node, predecessor, operation in live_edges(edges, 1, (OUTPUT,)):
        source, target = terms[predecessor], terms.setdefault(node, [])
        if operation == IDENTITY:
            target += source
        elif operation == LINEAR:
            target += [(pooled + 1, what) for pooled, what in source]
        else:
            target.append((0, len(convolutions)))
            convolutions.append((operation, tuple(source)))
    return tuple(convolutions), tuple(terms.get(OUTPUT, []))


@lru_cache(maxsize=8192)
def _function_key(convolutions: tuple[Convolution, ...], output: tuple[Term, ...]) -> str:
    """A hash of the smallest description over all numberings: of each convolution its operation and terms, then the output's terms.

    `order[i]` is the convolution that gets the number i. What is described first decides, so that most orders are soon left.
    """
    least = min((operation for operation, _ in convolutions), default="")
    best: list[Any] = []
    for order in permutations(range(len(convolutions))):
        if order and convolutions[order[0]][0] != least:
            continue
        number = {old: new for new, old in enumerate(order)}
        described: list[Any] = []
        undecided = bool(best)
        for new, old in enumerate(order):
            operation, terms = convolutions[old]
            described.append([new, operation, _renamed(terms, number)])
            if undecided and described[new] > best[0][new]:
                break
            undecided = undecided and described[new] == best[0][new]
        else:
            found = [described, _renamed(output, number)]
            best = min(best, found) if undecided else found
    return digest([NasBench201.name, best])


def _renamed(terms: Sequence[Term], number: Mapping[int, int]) -> list[list[int]]:
    return sorted([pooled, -1 if what is None else number[what]] for pooled, what in terms)
