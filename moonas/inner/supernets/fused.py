"""The supernet that searches use: every candidate's exact value, with no work done twice.

While training on a mixture, ReLU, pools and the cutting up for dilated convolutions are computed once per state, for all edges that
leave it; the last pointwise convolution, batch norm, architecture weight and sum of all convolutions of an edge are a few matrix
products (`folding`); depthwise convolutions take their fast forms (`depthwise`); `none` is left out. Operations other than DARTS's,
paths and evaluation run module by module. Weights, their names and the running statistics are those of one module per edge and
operation. The arrangement is our own; the network is that of Liu et al., ICLR 2019, arXiv:1806.09055, and its published code.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from moonas.inner.supernets.fan import Fan, Statistics, prepare
from moonas.inner.supernets.folding import Concat, WeightedSum
from moonas.inner.supernets.supernet import Choice, Mixture
from moonas.networks.connections import make_connection
from moonas.networks.frame import Frame, preprocess
from moonas.networks.operations import Zero, make_operation
from moonas.skeleton import Skeleton
from moonas.spaces.connections import chosen_edges
from moonas.spaces.layout import CellPlan
from moonas.spaces.space import Space

Term = tuple[int, int, Tensor | None]  # edge number, operation number, weight (None where the term stands unweighted)


class FusedSupernet(Frame):
    """`forward(x, choice)`; see `Supernet`."""

    def __init__(self, space: Space, skeleton: Skeleton) -> None:
        plans = space.cells(skeleton)
        cells = [SearchCell(plan, space) for plan in plans]
        super().__init__(skeleton, plans, cells, len(cells[-1].output) * plans[-1].channels)
        self.space = space
        self.norms = [module for module in self.modules() if isinstance(module, nn.BatchNorm2d)]

    def forward(self, x: Tensor, choice: Choice) -> Tensor:
        if isinstance(choice, Mixture):
            return super().forward(x, choice.weights)
        groups = self.space.groups
        terms: dict[str, list[Term]] = {
            name: [(*groups[name].place(edge), None) for edge in edges if edge[2] != "none"]
            for name, edges in chosen_edges(choice.architecture).items()
        }
        return super().forward(x, terms)

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

    @contextmanager
    def twice_differentiable(self) -> Iterator[None]:
        self._fuse(False)
        try:
            yield
        finally:
            self._fuse(True)

    def _fuse(self, fused: bool) -> None:
        for cell in self.cells:
            assert isinstance(cell, SearchCell)
            cell.fused = fused


class SearchCell(nn.Module):
    """A cell with every operation on every edge. A node that nothing leads to is zeros."""

    def __init__(self, plan: CellPlan, space: Space) -> None:
        super().__init__()
        group = space.groups[plan.group]
        self.group = plan.group
        self.names, self.edges, self.nodes, self.output = group.operations, group.edges, group.nodes, group.output
        self.connected = plan.connections
        self.connections = nn.ModuleList(Connection(plan, place, space) for place in range(len(plan.connections)))
        self.preprocess = preprocess(plan, affine=False)
        self.candidates = [
            [make_operation(name, plan.channels, plan.stride(predecessor), affine=False) for name in self.names]
            for predecessor, _ in self.edges
        ]
        self.operations = nn.ModuleList(map(nn.ModuleList, self.candidates))
        self.norms = [module for module in self.modules() if isinstance(module, nn.BatchNorm2d)]
        self.fused = True  # where false, every operation runs as a module of its own
        self.fans = [
            Fan(self.candidates, self.names, self.edges, source, plan.channels, plan.stride(source))
            for source in sorted({predecessor for predecessor, _ in self.edges})
        ]
        self.zero = Zero(plan.stride(0))

    def forward(self, inputs: Sequence[Tensor], choice: dict[str, Tensor] | dict[str, list[Term]]) -> Tensor:
        """choice: {group: (edges, operations) weights, or terms}."""
        chosen = choice[self.group]
        if self.connections:
            inputs = [module(x, choice[group]) for module, group, x in zip(self.connections, self.connected, inputs, strict=True)]
        cumulative = any(norm.momentum is None for norm in self.norms[:1])
        if self.fused and self.training and not cumulative and not isinstance(chosen, list):
            states = self._mix(inputs, chosen)
        else:
            states = {place: module(x) for place, (module, x) in enumerate(zip(self.preprocess, inputs, strict=True))}
            self._add_terms(states, chosen if isinstance(chosen, list) else self._all_terms(chosen))
        parts = [self._state(states, node) for node in self.output]
        if len(parts) == 1:
            return parts[0]
        return Concat.apply(*parts) if self.fused else torch.cat(parts, dim=1)

    def _mix(self, inputs: Sequence[Tensor], weights: Tensor) -> dict[int, Tensor]:
        """All states, the nodes source by source."""
        statistics = Statistics()
        states = {
            place: x if isinstance(module, nn.Identity) else prepare(module, x, statistics)
            for place, (module, x) in enumerate(zip(self.preprocess, inputs, strict=True))
        }
        fans = list(self.fans)
        sums: dict[int, list[Tensor]] = {node: [] for node in self.nodes}
        light: dict[int, list[tuple[Tensor, list[Tensor]]]] = {node: [] for node in self.nodes}
        for node in self.nodes:
            while fans and fans[0].source < node:
                fan = fans.pop(0)
                fan.spread(self._state(states, fan.source), weights, sums, light, statistics)
            parts = light[node]
            total = None
            if parts:
                total = WeightedSum.apply(torch.cat([weight for weight, _ in parts]), *(x for _, maps in parts for x in maps))
            for term in sums.pop(node):
                total = term if total is None else total + term
            if total is not None:
                states[node] = total
        statistics.update()
        return states

    def _all_terms(self, weights: Tensor) -> list[Term]:
        """Of a mixture, by rising node. The zeros of `none` are left out."""
        live = [number for number, name in enumerate(self.names) if name != "none"]
        return [(edge, number, row[number]) for edge, row in enumerate(weights.unbind()) for number in live]

    def _add_terms(self, states: dict[int, Tensor], terms: Iterable[Term]) -> None:
        for edge, number, weight in terms:
            predecessor, node = self.edges[edge]
            value = self.candidates[edge][number](self._state(states, predecessor))
            if weight is not None:
                value = value * weight
            states[node] = states[node] + value if node in states else value

    def _state(self, states: dict[int, Tensor], node: int) -> Tensor:
        return states[node] if node in states else self.zero(states[0])


class Connection(nn.ModuleList):
    """Every candidate that brings one input of a cell to its channels, module by module."""

    def __init__(self, plan: CellPlan, place: int, space: Space) -> None:
        names = space.groups[plan.connections[place]].operations
        super().__init__(make_connection(name, plan, place, affine=False) for name in names)

    def forward(self, x: Tensor, choice: Tensor | list[Term]) -> Tensor:
        """choice: weights (1, candidates), or the one term of a path."""
        if isinstance(choice, list):
            return self[choice[0][1]](x)
        return sum(weight * module(x) for weight, module in zip(choice[0], self, strict=True))
