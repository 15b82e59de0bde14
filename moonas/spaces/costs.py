"""Exact costs of derived networks, without building them: one table per skeleton, summed by edge and operation.

Parameters and multiply-adds add up: a fixed part and, for every edge an architecture keeps, the cost of its operation summed over
all cells of its group. The same table serves reported costs, expected costs, decoding and the reachable interval. Columns fitted
on a device stand beside the exact ones and are used alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from moonas.architecture import Architecture
from moonas.skeleton import Skeleton
from moonas.spaces.connections import connection_cost, halves
from moonas.spaces.space import Space, chosen_edges, operation_cost, space_of
from moonas.specs import Predicted
from moonas.study.metrics import COSTS
from moonas.study.spaces import operation_name


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


def cost_table(space: Space, skeleton: Skeleton, predicted: Predicted | None = None) -> CostTable:
    """The exact costs of `space` at `skeleton`, with `predicted` columns behind them.

    Raises SkeletonError where the space cannot lay the skeleton out, ValueError where a predicted column has another shape.
    """
    edges = {name: np.zeros((*group.shape, len(COSTS)), dtype=np.int64) for name, group in space.groups.items()}
    for cell in space.cells(skeleton):
        group = space.groups[cell.group]
        for index, (predecessor, _) in enumerate(group.edges):
            stride = cell.stride(predecessor)
            size = cell.size if stride == 2 else cell.output_size
            for column, name in enumerate(group.operations):
                registered = operation_name(space.name, name)
                edges[cell.group][index, column] += operation_cost(registered, cell.channels, stride, size)
        for place, connection in enumerate(cell.connections):
            for column, name in enumerate(space.groups[connection].operations):
                halved, channels = halves(cell, place), cell.input_channels[place]
                edges[connection][0, column] += connection_cost(name, channels, cell.channels, halved, cell.size)
    fixed = np.array(space.fixed_cost(skeleton), dtype=np.int64)
    for added in (predicted or {}).values():
        fixed = np.append(fixed, added["fixed"])
        columns = {group: np.array(rows, dtype=np.int64)[..., None] for group, rows in added["edges"].items()}
        edges = {group: np.concatenate([table, columns[group]], axis=-1) for group, table in edges.items()}
    return CostTable((*COSTS, *(predicted or {})), fixed, edges)


def total_in(table: CostTable, space: Space, architecture: Architecture) -> dict[str, int]:
    """What `architecture` costs by a table of its space, for every metric of the table."""
    total = table.fixed.copy()
    for group, edges in chosen_edges(architecture).items():
        for edge in edges:
            total += table.edges[group][space.groups[group].place(edge)]
    return {metric: int(value) for metric, value in zip(table.metrics, total, strict=True)}


def cost_in(table: CostTable, space: Space, architecture: Architecture) -> Costs:
    """The exact costs of `architecture` by a table of its space; the table must hold `params` and `macs`."""
    total = total_in(table, space, architecture)
    return Costs(total["params"], total["macs"])


def cost(architecture: Architecture, skeleton: Skeleton) -> Costs:
    """Exact parameters and multiply-adds of the network `architecture` makes at `skeleton`; nothing is built.

    Raises ArchitectureError where the architecture is not a cell of its space, SkeletonError where the skeleton is too shallow.
    """
    space = space_of(architecture)
    return cost_in(cost_table(space, skeleton), space, architecture)
