"""The derived network: what an architecture and a skeleton make."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from moonas.architecture import Architecture, Edge
from moonas.networks.connections import make_connection
from moonas.networks.dropout import DropPath
from moonas.networks.frame import Frame, preprocess
from moonas.networks.operations import Zero, make_operation
from moonas.networks.weights import load_weights
from moonas.skeleton import Skeleton
from moonas.spaces.layout import CellPlan
from moonas.spaces.space import space_of
from moonas.study.spaces import operation_name


def build(architecture: Architecture, skeleton: Skeleton, weights: str | Path | None = None) -> Network:
    """The network of `architecture` at `skeleton`: every batch norm affine, none after pooling, no auxiliary head.

    weights: a safetensors file, as `moonas arch --weights` writes it; the network is then in evaluation mode.
    Raises ArchitectureError where the architecture is not a cell of its space, SkeletonError where the skeleton is too shallow,
    WeightsError where the file is damaged or of another network.
    """
    network = Network(architecture, skeleton, space_of(architecture).cells(skeleton))
    if weights is not None:
        load_weights(network, weights)
        network.eval()
    return network


class Network(Frame):
    """A derived network; `drop_path` acts on the output of every operation except the identity."""

    def __init__(self, architecture: Architecture, skeleton: Skeleton, plans: Sequence[CellPlan]) -> None:
        drop_path = DropPath()
        groups = {
            group: [(node, predecessor, operation_name(architecture.space, name)) for node, predecessor, name in edges]
            for group, edges in architecture.groups.items()
        }
        links = {group: [name for _, _, name in edges] for group, edges in architecture.links.items()}
        cells = [
            Cell(plan, groups[plan.group], architecture.concat[plan.group], links.get(plan.group, ()), drop_path) for plan in plans
        ]
        super().__init__(skeleton, plans, cells, len(architecture.concat[plans[-1].group]) * plans[-1].channels)
        self.drop_path = drop_path


class Cell(nn.Module):
    """edges: (node, predecessor, operation), sorted. concat: the nodes that make up the output. links: connections, by input.

    A node is the sum of its edges, zeros where none but `none` lead to it; what `none` gives is not computed.
    """

    def __init__(
        self, plan: CellPlan, edges: Sequence[Edge], concat: Iterable[int], links: Iterable[str], drop_path: DropPath
    ) -> None:
        super().__init__()
        self.connections = nn.ModuleList(make_connection(name, plan, place, affine=True) for place, name in enumerate(links))
        edges = [edge for edge in edges if edge[2] != "none"]
        self.preprocess = preprocess(plan, affine=True)
        self.operations = nn.ModuleList(
            make_operation(name, plan.channels, plan.stride(predecessor), affine=True) for _, predecessor, name in edges
        )
        self.wiring = [(node, predecessor) for node, predecessor, _ in edges]
        self.concat = tuple(concat)
        read = {predecessor for _, predecessor in self.wiring} | set(self.concat)
        self.empty = sorted(read - set(range(len(plan.input_channels))) - {node for node, _ in self.wiring})
        self.zero = Zero(plan.stride(0))
        self.drop_path = drop_path

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        if self.connections:
            inputs = [module(x) for module, x in zip(self.connections, inputs, strict=True)]
        states = {number: module(x) for number, (module, x) in enumerate(zip(self.preprocess, inputs, strict=True))}
        states |= {node: self.zero(states[0]) for node in self.empty}
        for (node, predecessor), operation in zip(self.wiring, self.operations, strict=True):
            value = operation(states[predecessor])
            if not isinstance(operation, nn.Identity):
                value = self.drop_path(value)
            states[node] = states[node] + value if node in states else value
        return states[self.concat[0]] if len(self.concat) == 1 else torch.cat([states[node] for node in self.concat], dim=1)
