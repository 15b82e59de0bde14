"""The supernet that searches use: every candidate's exact value, with no work done twice.

While training on a mixture, ReLU, pools and the cutting up for dilated convolutions are computed once per state, for all edges that
leave it; the last pointwise convolution, batch norm, architecture weight and sum of all convolutions of an edge are a few matrix
products (`folding`); depthwise convolutions take their fast forms (`depthwise`); `none` is left out. Operations other than DARTS's,
paths and evaluation run module by module. Weights, their names and the running statistics are those of one module per edge and
operation. The arrangement is our own; the network is that of Liu et al., ICLR 2019, arXiv:1806.09055, and its published code.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from moonas.inner.supernets.fan import Fan, Statistics, prepare
from moonas.inner.supernets.folding import Concat, WeightedSum
from moonas.inner.supernets.supernet import Choice, Mixture
from moonas.networks.frame import Frame, preprocess
from moonas.networks.operations import make_operation
from moonas.skeleton import Skeleton
from moonas.spaces.layout import CellPlan
from moonas.spaces.space import Space

Term = tuple[int, int, Tensor | None]  # edge number, operation number, weight (None where the term stands unweighted)


class FusedSupernet(Frame):
    """`forward(x, choice)`; see `Supernet`."""

    def __init__(self, space: Space, skeleton: Skeleton) -> None:
        plans = space.cells(skeleton)
        cells = [SearchCell(plan, space) for plan in plans]
        super().__init__(skeleton, plans, cells, len(cells[-1].nodes) * plans[-1].channels)
        self.space = space
        self.norms = [module for module in self.modules() if isinstance(module, nn.BatchNorm2d)]

    def forward(self, x: Tensor, choice: Choice) -> Tensor:
        if isinstance(choice, Mixture):
            return super().forward(x, choice.weights)
        groups = self.space.groups
        terms: dict[str, list[Term]] = {
            name: [(*groups[name].place(edge), None) for edge in edges] for name, edges in choice.architecture.groups.items()
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


class SearchCell(nn.Module):
    """A cell with every operation on every edge; its output concatenates all nodes."""

    def __init__(self, plan: CellPlan, space: Space) -> None:
        super().__init__()
        group = space.groups[plan.group]
        self.group = plan.group
        self.names, self.edges, self.nodes = group.operations, group.edges, group.nodes
        self.preprocess = preprocess(plan, affine=False)
        self.candidates = [
            [make_operation(name, plan.channels, plan.stride(predecessor), affine=False) for name in self.names]
            for predecessor, _ in self.edges
        ]
        self.operations = nn.ModuleList(map(nn.ModuleList, self.candidates))
        self.norms = [module for module in self.modules() if isinstance(module, nn.BatchNorm2d)]
        self.fans = [
            Fan(self.candidates, self.names, self.edges, source, plan.channels, plan.stride(source))
            for source in sorted({predecessor for predecessor, _ in self.edges})
        ]

    def forward(self, first: Tensor, second: Tensor, choice: dict[str, Tensor] | dict[str, list[Term]]) -> Tensor:
        """choice: {group: (edges, operations) weights, or terms}."""
        chosen = choice[self.group]
        if not isinstance(chosen, list) and self.training and self.norms[0].momentum is not None:
            states = self._mix([first, second], chosen)
        else:
            states = {place: module(x) for place, (module, x) in enumerate(zip(self.preprocess, (first, second), strict=True))}
            self._add_terms(states, chosen if isinstance(chosen, list) else self._all_terms(chosen))
        return Concat.apply(*(states[node] for node in self.nodes))

    def _mix(self, inputs: list[Tensor], weights: Tensor) -> dict[int, Tensor]:
        """All states, the nodes source by source."""
        statistics = Statistics()
        states = {
            place: prepare(module, x, statistics) for place, (module, x) in enumerate(zip(self.preprocess, inputs, strict=True))
        }
        fans = list(self.fans)
        sums: dict[int, list[Tensor]] = {node: [] for node in self.nodes}
        light: dict[int, list[tuple[Tensor, list[Tensor]]]] = {node: [] for node in self.nodes}
        for node in self.nodes:
            while fans and fans[0].source < node:
                fan = fans.pop(0)
                fan.spread(states[fan.source], weights, sums, light, statistics)
            parts = light[node]
            total = None
            if parts:
                total = WeightedSum.apply(torch.cat([weight for weight, _ in parts]), *(x for _, maps in parts for x in maps))
            for term in sums.pop(node):
                total = term if total is None else total + term
            assert total is not None
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
            value = self.candidates[edge][number](states[predecessor])
            if weight is not None:
                value = value * weight
            states[node] = states[node] + value if node in states else value
