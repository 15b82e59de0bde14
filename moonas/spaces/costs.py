"""Exact costs of derived networks, without building them: one table per skeleton, summed by edge and operation.

Parameters and multiply-adds add up: a fixed part and, for every edge an architecture keeps, the cost of its operation summed over
all cells of its group. The same table serves reported costs, expected costs, decoding and the reachable interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from moonas.architecture import Architecture
from moonas.skeleton import Skeleton
from moonas.spaces.connections import chosen_edges, connection_cost, halves
from moonas.spaces.space import Space, operation_cost, space_of
from moonas.study.metrics import COSTS


class Costs(NamedTuple):
    """params: learnable parameters, auxiliary head excluded. macs: multiply-adds of convolutions and linear layers, batch 1."""

    params: int
    macs: int


@dataclass(frozen=True)
class CostTable:
    """Costs of every choice at one skeleton.

    fixed: (metrics,) int64, in the order of `metrics`.
    edges: {group: (edges, operations, metrics) int64}, summed over the cells of the group.
    """

    metrics: tuple[str, ...]
    fixed: np.ndarray
    edges: dict[str, np.ndarray]

    def columns(self, metrics: Sequence[str]) -> CostTable:
        """The same table for some of the metrics, in the order given."""
        chosen = [self.metrics.index(metric) for metric in metrics]
        return CostTable(tuple(metrics), self.fixed[chosen], {name: table[..., chosen] for name, table in self.edges.items()})


def cost_table(space: Space, skeleton: Skeleton) -> CostTable:
    """The exact costs of `space` at `skeleton`. Raises SkeletonError where the space cannot lay the skeleton out."""
    edges = {name: np.zeros((*group.shape, len(COSTS)), dtype=np.int64) for name, group in space.groups.items()}
    for cell in space.cells(skeleton):
        group = space.groups[cell.group]
        for index, (predecessor, _) in enumerate(group.edges):
            stride = cell.stride(predecessor)
            size = cell.size if stride == 2 else cell.output_size
            for column, name in enumerate(group.operations):
                edges[cell.group][index, column] += operation_cost(name, cell.channels, stride, size)
        for place, connection in enumerate(cell.connections):
            for column, name in enumerate(space.groups[connection].operations):
                halved, channels = halves(cell, place), cell.input_channels[place]
                edges[connection][0, column] += connection_cost(name, channels, cell.channels, halved, cell.size)
    return CostTable(COSTS, np.array(space.fixed_cost(skeleton), dtype=np.int64), edges)


def cost_in(table: CostTable, space: Space, architecture: Architecture) -> Costs:
    """The exact costs of `architecture` by a table of its space; the table must hold `params` and `macs`."""
    total = table.fixed.copy()
    for group, edges in chosen_edges(architecture).items():
        for edge in edges:
            total += table.edges[group][space.groups[group].place(edge)]
    return Costs(**{metric: int(value) for metric, value in zip(table.metrics, total, strict=True)})


def cost(architecture: Architecture, skeleton: Skeleton) -> Costs:
    """Exact parameters and multiply-adds of the network `architecture` makes at `skeleton`; nothing is built.

    Raises ArchitectureError where the architecture is not a cell of its space, SkeletonError where the skeleton is too shallow.
    """
    space = space_of(architecture)
    return cost_in(cost_table(space, skeleton), space, architecture)
