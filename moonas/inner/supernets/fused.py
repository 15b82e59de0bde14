"""The supernet that searches use: every candidate's exact value, with no work done twice.

While training on a mixture, ReLU, pools and the cutting up for dilated convolutions are computed once per state, for all edges that
leave it; the last pointwise convolution, batch norm, architecture weight and sum of all convolutions of an edge are a few matrix
products (`folding` where weights learn, else `products`); depthwise convolutions take their fast forms (`depthwise`); `none` is
left out. Operations other than DARTS's, paths, evaluation and random channels (`partial`) run module by module. Weights, their
names and the running statistics are those of one module per edge and operation. The arrangement is our own; the network is that of
Liu et al., ICLR 2019, arXiv:1806.09055, and its published code.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import reduce
from operator import add
from typing import Any

import torch
from torch import Tensor, nn

from moonas.inner.supernets.fan import Fan, prepare
from moonas.inner.supernets.partial import PartialEdge, PartialSums
from moonas.inner.supernets.statistics import Statistics
from moonas.inner.supernets.sums import Concat, Remaining, Sums
from moonas.inner.supernets.supernet import Choice, Mixture, Path
from moonas.networks.connections import make_connection
from moonas.networks.dropout import Dropout
from moonas.networks.frame import Frame, preprocess
from moonas.networks.operations import Zero, make_operation
from moonas.seeds import stream
from moonas.skeleton import Skeleton
from moonas.spaces.layout import CellPlan
from moonas.spaces.space import Space, chosen_edges
from moonas.study.partial import Partial
from moonas.study.spaces import operation_name

Term = tuple[int, Tensor | None]  # operation number, weight (None where the term stands unweighted)
Chosen = tuple[int, Tensor | None, list[Term]]  # edge number, its factor (None for 1), its terms


class FusedSupernet(Frame):
    """`forward(x, choice)`; see `Supernet`. partial: None where operations read all channels."""

    def __init__(self, space: Space, skeleton: Skeleton, partial: Partial | None = None) -> None:
        plans = space.cells(skeleton)
        skip_dropout = Dropout()
        cells = [SearchCell(plan, space, skip_dropout, partial) for plan in plans]
        super().__init__(skeleton, plans, cells, len(cells[-1].output) * plans[-1].channels)
        self.skeleton, self.skip_dropout = skeleton, skip_dropout
        self.norms = [module for module in self.modules() if isinstance(module, nn.BatchNorm2d)]

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
        performance = self.performance
        self.performance = replace(performance, memory="normal")  # a cell that is computed again is differentiated once
        self._fuse(False)
        try:
            yield
        finally:
            self._fuse(True)
            self.performance = performance

    def _fuse(self, fused: bool) -> None:
        for cell in self.cells:
            assert isinstance(cell, SearchCell)
            cell.fused = fused


class SearchCell(nn.Module):
    """A cell with every operation on every edge. A node that nothing leads to is zeros."""

    def __init__(self, plan: CellPlan, space: Space, skip_dropout: Dropout, partial: Partial | None = None) -> None:
        super().__init__()
        group = space.groups[plan.group]
        self.index, self.group, self.place = plan.index, plan.group, group.place
        self.names = [operation_name(space.name, name) for name in group.operations]
        self.edges, self.nodes, self.output = group.edges, group.nodes, group.output
        self.connections = nn.ModuleList(Connection(plan, place, space) for place in range(len(plan.connections)))
        self.preprocess = preprocess(plan, affine=False)
        channels = plan.channels if partial is None else plan.channels // partial.channel_divisor
        self.candidates = [
            [make_operation(name, channels, plan.stride(predecessor), affine=False) for name in self.names]
            for predecessor, _ in self.edges
        ]
        self.operations = nn.ModuleList(map(nn.ModuleList, self.candidates))
        self.partial_edges = [
            PartialEdge(partial, plan.channels, plan.stride(predecessor)) for predecessor, _ in self.edges if partial is not None
        ]
        self.partial = nn.ModuleList(self.partial_edges)
        self.random = partial is not None and partial.sampling == "random"
        self.norms = [module for module in self.modules() if isinstance(module, nn.BatchNorm2d)]
        self.fused = True  # where false, every operation runs as a module of its own
        self.fans = [
            Fan(self.candidates, self.names, self.edges, source, channels, plan.stride(source), skip_dropout)
            for source in sorted({predecessor for predecessor, _ in self.edges})
        ]
        self.skip_dropout = skip_dropout
        self.zero = Zero(plan.stride(0))

    def forward(self, inputs: Sequence[Tensor], choice: Choice) -> Tensor:
        if self.connections:
            inputs = [connection(x, choice) for connection, x in zip(self.connections, inputs, strict=True)]
        cumulative = any(norm.momentum is None for norm in self.norms[:1])
        fused = self.fused and self.training and not cumulative and not self.random
        if fused and isinstance(choice, Mixture):
            states = self._mix(inputs, choice)
        else:
            states = {place: module(x) for place, (module, x) in enumerate(zip(self.preprocess, inputs, strict=True))}
            self._add_edges(states, choice)
        parts = [self._state(states, node) for node in self.output]
        if len(parts) == 1:
            return parts[0]
        return Concat.apply(*parts) if self.fused else torch.cat(parts, dim=1)

    def _mix(self, inputs: Sequence[Tensor], mixture: Mixture) -> dict[int, Tensor]:
        """All states, the nodes source by source."""
        statistics = Statistics()
        states = {
            place: x if isinstance(module, nn.Identity) else prepare(module, x, statistics)
            for place, (module, x) in enumerate(zip(self.preprocess, inputs, strict=True))
        }
        sums, fans = self._sums(mixture, statistics), list(self.fans)
        for node in self.nodes:
            while fans and fans[0].source < node:
                fan = fans.pop(0)
                sums.spread(fan, self._state(states, fan.source))
            total = sums.total(node)
            if total is not None:
                states[node] = total
        statistics.update()
        return states

    def _sums(self, mixture: Mixture, statistics: Statistics) -> Sums | PartialSums:
        weights, remaining = mixture.weights[self.group], self._remaining(mixture)
        factors = None if mixture.edges is None else mixture.edges[self.group]
        if not self.partial_edges:
            return Sums(self.nodes, weights if factors is None else weights * factors[:, None], statistics, remaining)
        factors = weights.new_ones(len(weights)) if factors is None else factors
        return PartialSums(self.partial_edges, self.nodes, weights, factors, statistics, remaining)

    def _remaining(self, mixture: Mixture) -> Remaining:
        """`none` never does: its zeros are left out."""
        live = [name != "none" for name in self.names]
        if mixture.remaining is None:
            return [live] * len(self.edges)
        return (mixture.remaining[self.group].cpu() & torch.tensor(live)).tolist()

    def _add_edges(self, states: dict[int, Tensor], choice: Choice) -> None:
        """All nodes, edge by edge and operation by operation."""
        for edge, factor, terms in self._path(choice) if isinstance(choice, Path) else self._mixture(choice):
            predecessor, node = self.edges[edge]
            value = self._value(edge, self._state(states, predecessor), terms, choice.draw)
            if factor is not None:
                value = value * factor
            states[node] = states[node] + value if node in states else value

    def _path(self, path: Path) -> list[Chosen]:
        """An edge with `none` is left out, whatever would bypass it."""
        edges = [self.place(edge) for edge in path.architecture.groups[self.group] if edge[2] != "none"]
        return [(edge, None, [(number, None)]) for edge, number in edges]

    def _mixture(self, mixture: Mixture) -> list[Chosen]:
        """By rising node."""
        rows = mixture.weights[self.group].unbind()
        factors = [None] * len(rows) if mixture.edges is None else mixture.edges[self.group].unbind()
        return [
            (edge, factor, [(number, row[number]) for number, left in enumerate(remaining) if left])
            for edge, (factor, row, remaining) in enumerate(zip(factors, rows, self._remaining(mixture), strict=True))
            if any(remaining)
        ]

    def _value(self, edge: int, x: Tensor, terms: list[Term], draw: int) -> Tensor:
        def mix(x: Tensor) -> Tensor:
            return reduce(add, (self._term(self.candidates[edge][number], x, weight) for number, weight in terms))

        if not self.partial_edges:
            return mix(x)
        partial = self.partial_edges[edge]
        return partial(x, mix, partial.draw(stream(draw, self.index, edge)).to(x.device) if self.random else None)

    def _term(self, operation: Any, x: Tensor, weight: Tensor | None) -> Tensor:
        if weight is None:
            return operation(x)
        return (self.skip_dropout(x) if isinstance(operation, nn.Identity) else operation(x)) * weight

    def _state(self, states: dict[int, Tensor], node: int) -> Tensor:
        return states[node] if node in states else self.zero(states[0])


class Connection(nn.ModuleList):
    """Every candidate that brings one input of a cell to its channels, module by module."""

    def __init__(self, plan: CellPlan, place: int, space: Space) -> None:
        self.group, self.names = plan.connections[place], space.groups[plan.connections[place]].operations
        super().__init__(make_connection(name, plan, place, affine=False) for name in self.names)

    def forward(self, x: Tensor, choice: Choice) -> Tensor:
        if isinstance(choice, Path):
            ((_, _, name),) = chosen_edges(choice.architecture)[self.group]
            return self[self.names.index(name)](x)
        weights = choice.weights[self.group][0]
        if choice.edges is not None:
            weights = weights * choice.edges[self.group]
        left = range(len(self)) if choice.remaining is None else choice.remaining[self.group][0].nonzero().flatten().tolist()
        return reduce(add, (weights[column] * self[column](x) for column in left))
