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

from moonas.inner.supernets.fan import Fan, prepare
from moonas.inner.supernets.statistics import Statistics
from moonas.inner.supernets.sums import Concat, Remaining, Sums
from moonas.inner.supernets.supernet import Choice, Mixture, Path
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
        super().__init__(skeleton, cells, len(cells[-1].nodes) * plans[-1].channels)
        self.norms = [module for module in self.modules() if isinstance(module, nn.BatchNorm2d)]

    def forward(self, x: Tensor, choice: Choice) -> Tensor:
        return super().forward(x, choice)

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
        self.names, self.edges, self.nodes, self.place = group.operations, group.edges, group.nodes, group.place
        self.stride = plan.stride(0)
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

    def forward(self, first: Tensor, second: Tensor, choice: Choice) -> Tensor:
        if isinstance(choice, Mixture) and self.training and self.norms[0].momentum is not None:
            states = self._mix([first, second], choice)
        else:
            states = {place: module(x) for place, (module, x) in enumerate(zip(self.preprocess, (first, second), strict=True))}
            self._add_terms(states, self._mixture(choice) if isinstance(choice, Mixture) else self._path(choice))
        return Concat.apply(*(states[node] if node in states else self._zeros(states) for node in self.nodes))

    def _mix(self, inputs: list[Tensor], choice: Mixture) -> dict[int, Tensor]:
        """All states, the nodes source by source."""
        statistics = Statistics()
        states = {
            place: prepare(module, x, statistics) for place, (module, x) in enumerate(zip(self.preprocess, inputs, strict=True))
        }
        sums, fans = Sums(self.nodes, choice.weights[self.group], statistics, self._remaining(choice)), list(self.fans)
        for node in self.nodes:
            while fans and fans[0].source < node:
                fan = fans.pop(0)
                sums.spread(fan, states[fan.source])
            total = sums.total(node)
            states[node] = self._zeros(states) if total is None else total
        statistics.update()
        return states

    def _remaining(self, choice: Mixture) -> Remaining | None:
        return None if choice.remaining is None else [tuple(row) for row in choice.remaining[self.group].tolist()]

    def _mixture(self, choice: Mixture) -> list[Term]:
        """By rising node. The zeros of `none` are left out."""
        remaining = self._remaining(choice)
        live = [number for number, name in enumerate(self.names) if name != "none"]
        rows = enumerate(choice.weights[self.group].unbind())
        return [(edge, number, row[number]) for edge, row in rows for number in live if remaining is None or remaining[edge][number]]

    def _path(self, choice: Path) -> list[Term]:
        return [(*self.place(edge), None) for edge in choice.architecture.groups[self.group]]

    def _add_terms(self, states: dict[int, Tensor], terms: Iterable[Term]) -> None:
        for edge, number, weight in terms:
            predecessor, node = self.edges[edge]
            x = states[predecessor] if predecessor in states else states.setdefault(predecessor, self._zeros(states))
            value = self.candidates[edge][number](x)
            if weight is not None:
                value = value * weight
            states[node] = states[node] + value if node in states else value

    def _zeros(self, states: dict[int, Tensor]) -> Tensor:
        """The value of a node that nothing leads to."""
        return torch.zeros_like(states[0][..., :: self.stride, :: self.stride], memory_format=torch.channels_last)
