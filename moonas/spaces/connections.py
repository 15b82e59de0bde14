"""Connection cells: what brings an input of a cell to its channels is searched as well, one choice per cell group and input.

The idea is that of Jin et al. 2019 (RC-DARTS, arXiv:1912.12814), whose text was not at hand: the candidates are our own choice.
Each is ReLU, the operation, batch norm. Where the first input comes at twice the resolution, the operation halves it: a 1x1
convolution becomes the published factorized reduction, a grouped one the same with groups, and a depthwise one has stride 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import gcd

from moonas.spaces.layout import CellPlan
from moonas.spaces.operations import OperationCost, Size, area
from moonas.spaces.space import CellGroup, connection_group

CONVOLUTIONS = ("conv_1x1", "grouped_conv_1x1", "depthwise_conv_3x3")
GROUPS = 4


def connection_groups(groups: Sequence[str], nodes: int) -> dict[str, CellGroup]:
    """The choices for both inputs of the cells of every group, whose output joins `nodes` nodes."""
    return {
        connection_group(group, place): CellGroup(candidates(group, place, nodes), ((place, place),), 2, (place,), kept=None)
        for group in groups
        for place in range(2)
    }


def connected(cells: Sequence[CellPlan]) -> tuple[CellPlan, ...]:
    """The same cells with connections instead of preprocessing."""
    return tuple(
        replace(cell, preprocessed=False, connections=tuple(connection_group(cell.group, place) for place in range(2)))
        for cell in cells
    )


def candidates(group: str, place: int, nodes: int) -> tuple[str, ...]:
    """Those for input `place` of the cells of `group`, whose output joins `nodes` nodes.

    `identity` stands among them where channels and resolution agree in every network: in DARTS's layout only for what a reduction
    reads from the cell just before it, which has half its channels, where cells have 2 nodes.
    """
    agree = group.startswith("reduce") and place == 1 and nodes == 2
    return (*CONVOLUTIONS, "identity") if agree else CONVOLUTIONS


def halves(plan: CellPlan, place: int) -> bool:
    """Whether input `place` comes at twice the resolution of the cell."""
    return place == 0 and plan.after_reduction


def common_groups(channels_in: int, channels_out: int) -> int:
    """4 groups, or as many of them as divide both numbers of channels."""
    return gcd(GROUPS, channels_in, channels_out)


def connection_cost(name: str, channels_in: int, channels_out: int, halved: bool, size: Size) -> OperationCost:
    """Exact cost, batch norm included; `size` is that of the output."""
    parts = (channels_out // 2, channels_out - channels_out // 2) if halved else (channels_out,)
    if name == "identity":
        weights = 0
    elif name == "conv_1x1":
        weights = channels_in * channels_out
    elif name == "grouped_conv_1x1":
        weights = sum(channels_in * half // common_groups(channels_in, half) for half in parts)
    else:
        weights = 9 * channels_in + channels_in * channels_out // common_groups(channels_in, channels_out)
    return OperationCost(weights + 2 * channels_out, weights * area(size))
