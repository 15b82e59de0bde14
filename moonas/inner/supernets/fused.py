"""The supernet that searches use: every candidate's exact value, with no work done twice.

While training on a mixture, ReLU, pools and the cutting up for dilated convolutions are computed once per state, for all edges that
leave it; the last pointwise convolution, batch norm, architecture weight and sum of all convolutions of an edge are a few matrix
products (`folding`); depthwise convolutions take their fast forms (`depthwise`); `none` is left out. Operations other than DARTS's,
paths, evaluation and random channels (`partial`) run module by module. Weights, their names and the running statistics are those of
one module per edge and operation. The arrangement is our own; the network is that of Liu et al., ICLR 2019, arXiv:1806.09055, and
its published code.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import reduce
from operator import add

import torch
from torch import Tensor, nn

from moonas.inner.supernets.fan import Fan, prepare
from moonas.inner.supernets.partial import Draws, PartialEdge, PartialSums
from moonas.inner.supernets.statistics import Statistics
from moonas.inner.supernets.sums import Concat, Remaining, Sums
from moonas.inner.supernets.supernet import Choice, Mixture, Path
from moonas.networks.frame import Frame, preprocess
from moonas.networks.operations import Zero, make_operation
from moonas.seeds import stream
from moonas.skeleton import Skeleton
from moonas.spaces.layout import CellPlan
from moonas.spaces.space import Space
from moonas.study.partial import Partial

Term = tuple[int, Tensor | None]  # operation number, weight (None where the term stands unweighted)
Chosen = tuple[int, Tensor | None, list[Term]]  # edge number, its factor (None for 1), its terms


class FusedSupernet(Frame):
    """`forward(x, choice)`; see `Supernet`. partial: None where operations read all channels."""

    def __init__(self, space: Space, skeleton: Skeleton, partial: Partial | None = None) -> None:
        plans = space.cells(skeleton)
        cells = [SearchCell(plan, space, partial) for plan in plans]
        super().__init__(skeleton, plans, cells, len(cells[-1].output) * plans[-1].channels)
        self.draws = Draws() if partial is not None and partial.sampling == "random" else None
        self.norms = [module for module in self.modules() if isinstance(module, nn.BatchNorm2d)]

    def forward(self, x: Tensor, choice: Choice) -> Tensor:
        return super().forward(x, choice, None if self.draws is None else self.draws.next())

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

    def __init__(self, plan: CellPlan, space: Space, partial: Partial | None = None) -> None:
        super().__init__()
        group = space.groups[plan.group]
        self.index, self.group, self.place = plan.index, plan.group, group.place
        self.names, self.edges, self.nodes, self.output = group.operations, group.edges, group.nodes, group.output
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
        self.norms = [module for module in self.modules() if isinstance(module, nn.BatchNorm2d)]
        self.fused = True  # where false, every operation runs as a module of its own
        self.fans = [
            Fan(self.candidates, self.names, self.edges, source, channels, plan.stride(source))
            for source in sorted({predecessor for predecessor, _ in self.edges})
        ]
        self.zero = Zero(plan.stride(0))

    def forward(self, inputs: Sequence[Tensor], choice: Choice, draw: int | None) -> Tensor:
        """draw: seeds random channels; None where there are none."""
        cumulative = any(norm.momentum is None for norm in self.norms[:1])
        if isinstance(choice, Mixture) and self.fused and self.training and not cumulative and draw is None:
            states = self._mix(inputs, choice)
        else:
            states = {place: module(x) for place, (module, x) in enumerate(zip(self.preprocess, inputs, strict=True))}
            self._add_edges(states, choice, draw)
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

    def _add_edges(self, states: dict[int, Tensor], choice: Choice, draw: int | None) -> None:
        """All nodes, edge by edge and operation by operation."""
        generator = None if draw is None else torch.Generator().manual_seed(stream(draw, self.index))
        for edge, factor, terms in self._path(choice) if isinstance(choice, Path) else self._mixture(choice):
            predecessor, node = self.edges[edge]
            value = self._value(edge, self._state(states, predecessor), terms, generator)
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

    def _value(self, edge: int, x: Tensor, terms: list[Term], generator: torch.Generator | None) -> Tensor:
        def mix(x: Tensor) -> Tensor:
            values = [self.candidates[edge][number](x) for number, _ in terms]
            weights = [weight for _, weight in terms]
            return reduce(add, (v if w is None else v * w for v, w in zip(values, weights, strict=True)))

        if not self.partial_edges:
            return mix(x)
        partial = self.partial_edges[edge]
        return partial(x, mix, None if generator is None else partial.draw(generator).to(x.device))

    def _state(self, states: dict[int, Tensor], node: int) -> Tensor:
        return states[node] if node in states else self.zero(states[0])
