"""The plain supernet: one module per edge and operation, summed as the formula says. The reference for faster ones.

Batch norms inside cells learn no scale and shift, that of the stem does; pools are followed by one.
Source: Liu et al., ICLR 2019, arXiv:1806.09055, and its published code.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from moonas.inner.supernets.supernet import Choice, Mixture
from moonas.networks.frame import Frame, edge_stride, preprocess
from moonas.networks.operations import make_operation
from moonas.skeleton import Skeleton
from moonas.spaces.layout import CellPlan
from moonas.spaces.space import Space

Term = tuple[int, int, Tensor | None]  # edge number, operation number, weight (None where the term stands unweighted)


class PlainSupernet(Frame):
    """`forward(x, choice)`; see `Supernet`."""

    def __init__(self, space: Space, skeleton: Skeleton) -> None:
        plans = space.cells(skeleton)
        cells = [MixedCell(plan, space) for plan in plans]
        super().__init__(skeleton, cells, len(cells[-1].nodes) * plans[-1].channels)
        self.space = space
        self.norms = [module for module in self.modules() if isinstance(module, nn.BatchNorm2d)]

    def forward(self, x: Tensor, choice: Choice) -> Tensor:
        return super().forward(x, {group: self._terms(choice, group) for group in self.space.groups})

    def weights(self) -> Iterable[Tensor]:
        return self.parameters()

    @contextmanager
    def frozen_statistics(self) -> Iterator[None]:
        for norm in self.norms:
            norm.track_running_stats = False
        try:
            yield
        finally:
            for norm in self.norms:
                norm.track_running_stats = True

    def _terms(self, choice: Choice, group: str) -> list[Term]:
        """What is summed in a cell of `group`, by rising node. The zeros of `none` are left out."""
        names = self.space.operations
        if isinstance(choice, Mixture):
            rows = [row.unbind() for row in choice.weights[group].unbind()]
            return [
                (edge, number, row[number]) for edge, row in enumerate(rows) for number, name in enumerate(names) if name != "none"
            ]
        numbers = {edge: number for number, edge in enumerate(self.space.edges)}
        edges = choice.architecture.groups[group]
        return [(numbers[predecessor, node], names.index(name), None) for node, predecessor, name in edges]


class MixedCell(nn.Module):
    """A cell with every operation on every edge; its output concatenates all nodes."""

    def __init__(self, plan: CellPlan, space: Space) -> None:
        super().__init__()
        self.group = plan.group
        self.edges = space.edges
        self.nodes = sorted({node for _, node in space.edges})
        self.preprocess = preprocess(plan, affine=False)
        self.candidates = [
            [make_operation(name, plan.channels, edge_stride(plan, predecessor), affine=False) for name in space.operations]
            for predecessor, _ in space.edges
        ]
        self.operations = nn.ModuleList(map(nn.ModuleList, self.candidates))

    def forward(self, first: Tensor, second: Tensor, terms: dict[str, list[Term]]) -> Tensor:
        states = {0: self.preprocess[0](first), 1: self.preprocess[1](second)}
        for edge, number, weight in terms[self.group]:
            predecessor, node = self.edges[edge]
            value = self.candidates[edge][number](states[predecessor])
            if weight is None:
                states[node] = states[node] + value if node in states else value
            else:
                states[node] = torch.addcmul(states[node], value, weight) if node in states else value * weight
        return torch.cat([states[node] for node in self.nodes], dim=1)
