"""Connection cells: what brings an input of a cell to its channels is searched as well, one choice per cell group and input.

The idea is that of Jin et al. 2019 (RC-DARTS, arXiv:1912.12814), whose text was not at hand: the candidates are our own choice.
Each is ReLU, the operation, batch norm. Where the first input comes at twice the resolution, the operation halves it: a 1x1
convolution becomes the published factorized reduction, a grouped one the same with groups, and a depthwise one has stride 2.
"""

from __future__ import annotations

from math import gcd

from moonas.architecture import Architecture, Edge
from moonas.spaces.layout import CellPlan
from moonas.spaces.operations import OperationCost, Size, area

CONVOLUTIONS = ("conv_1x1", "grouped_conv_1x1", "depthwise_conv_3x3")
GROUPS = 4


def connection_group(group: str, place: int) -> str:
    """The name of the choice for input `place` of the cells of `group`."""
    return f"{group}.input{place}"


def chosen_edges(architecture: Architecture) -> dict[str, tuple[Edge, ...]]:
    """The edges that an architecture has in every group of its space: those of its cells, and one for each connection."""
    links = {connection_group(group, edge[0]): (edge,) for group, edges in architecture.links.items() for edge in edges}
    return {**architecture.groups, **links}


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
