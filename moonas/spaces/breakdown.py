"""Where the costs of one network come from, cell by cell and edge by edge."""

from __future__ import annotations

from typing import NamedTuple

from moonas.architecture import Architecture
from moonas.skeleton import Skeleton
from moonas.spaces.connections import connection_cost, halves
from moonas.spaces.costs import Costs
from moonas.spaces.space import chosen_edges, operation_cost, space_of
from moonas.study.spaces import operation_name


class Piece(NamedTuple):
    """One operation in one cell. cell: from 0. channels: of the cell's nodes. node, predecessor: of its edge, inputs first."""

    cell: int
    group: str
    channels: int
    node: int
    predecessor: int
    operation: str
    params: int
    macs: int


def breakdown(architecture: Architecture, skeleton: Skeleton) -> tuple[list[Piece], Costs]:
    """What each chosen operation costs, in the order of the cells; and the rest: stem, preprocessing and classifier.

    Together they are the network's exact `cost`. Raises SkeletonError where the space cannot lay the skeleton out.
    """
    space = space_of(architecture)
    chosen = chosen_edges(architecture)
    pieces = []
    for cell in space.cells(skeleton):
        for node, predecessor, name in chosen[cell.group]:
            stride = cell.stride(predecessor)
            size = cell.size if stride == 2 else cell.output_size
            spent = operation_cost(operation_name(space.name, name), cell.channels, stride, size)
            pieces.append(Piece(cell.index, cell.group, cell.channels, node, predecessor, name, *spent))
        for place, connection in enumerate(cell.connections):
            ((node, predecessor, name),) = chosen[connection]
            spent = connection_cost(name, cell.input_channels[place], cell.channels, halves(cell, place), cell.size)
            pieces.append(Piece(cell.index, connection, cell.channels, node, predecessor, name, *spent))
    return pieces, Costs(*space.fixed_cost(skeleton))
