"""The plain supernet with partial channels, the reference for the fused one: each edge splits, mixes, joins and shuffles by itself.

Written from the published description alone, in the structure of the published code. Weights have the names that the fused
supernet's have.
Source: Xu et al., ICLR 2020, arXiv:1907.05737, and its published code; side operation and down-sampling: see the fused one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from moonas.inner.supernets.supernet import Choice, Mixture
from moonas.skeleton import Skeleton
from moonas.spaces.layout import CellPlan
from moonas.spaces.space import Space
from moonas.study.partial import Partial
from tests.inner.plain import PlainCell, PlainSupernet, norm


class PlainPartialSupernet(PlainSupernet):
    """taken: (cell, edge) to the channels that its operations read next; the first ones and a shuffle where None."""

    def __init__(self, space: Space, skeleton: Skeleton, partial: Partial, stem: nn.Module | None = None) -> None:
        super().__init__(space, skeleton, stem)
        self.taken: Callable[[int, int], Tensor] | None = None
        self.cells = nn.ModuleList(PlainPartialCell(plan, space, partial) for plan in space.cells(skeleton))

    def forward(self, x: Tensor, choice: Choice) -> Tensor:
        inputs = list(self.stem(x))
        for index, cell in enumerate(self.cells):
            factors = [1.0] * len(cell.edges)
            if isinstance(choice, Mixture) and choice.edges is not None:
                factors = choice.edges[cell.group]
            taken = None if self.taken is None else [self.taken(index, edge) for edge in range(len(cell.edges))]
            inputs = [*inputs[1:], cell(inputs, self._weights(choice, cell.group), factors, taken)]
        return self.classifier(inputs[-1].mean((2, 3)))


class PlainPartialCell(PlainCell):
    def __init__(self, plan: CellPlan, space: Space, partial: Partial) -> None:
        super().__init__(plan, space)
        self.operations = PlainCell(replace(plan, channels=plan.channels // partial.channel_divisor), space).operations
        inputs = space.groups[plan.group].inputs
        strides = [2 if plan.reduction and predecessor < inputs else 1 for predecessor, _ in self.edges]
        self.partial = nn.ModuleList(PlainPartialEdge(partial, plan.channels, stride) for stride in strides)

    def forward(self, inputs, weights, factors, taken):
        states = {place: module(x) for place, (module, x) in enumerate(zip(self.preprocess, inputs, strict=True))}
        for node in self.nodes:
            values = []
            for number in sorted({edge for edge, _ in weights if self.edges[edge][1] == node}):
                operations = [(self.operations[number][o], weight) for (edge, o), weight in weights.items() if edge == number]
                channels = None if taken is None else taken[number]
                values.append(factors[number] * self.partial[number](states[self.edges[number][0]], operations, channels))
            states[node] = sum(values, inputs[0].new_zeros(len(inputs[0]), *self.shape))
        return torch.cat([states[node] for node in self.output], dim=1)


class PlainPartialEdge(nn.Module):
    def __init__(self, partial: Partial, channels: int, stride: int) -> None:
        super().__init__()
        self.partial, self.stride, self.taken = partial, stride, channels // partial.channel_divisor
        if partial.side == "conv1x1":
            self.side = nn.Module()
            others = channels - self.taken
            self.side.conv = nn.Conv2d(others, others, 1, groups=partial.side_groups, bias=False)
            self.side.norm = norm(others)
            self.side.scale = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, operations: list[tuple[nn.Module, Tensor]], taken: Tensor | None) -> Tensor:
        count, channels, height, width = x.shape
        if taken is None:
            mine, others = x[:, : self.taken], x[:, self.taken :]
        else:
            left = torch.tensor([channel for channel in range(channels) if channel not in taken], dtype=torch.long)
            mine, others = x[:, taken], x[:, left]
        down = self.partial.downsample and self.stride == 1 and height >= 16 and width >= 16
        if down:
            mine = functional.avg_pool2d(mine, 2, ceil_mode=True)
        mixed = sum(weight * operation(mine) for operation, weight in operations)
        if down:
            mixed = mixed.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)[:, :, :height, :width]
        if self.taken == channels:
            return mixed
        if self.stride == 2:
            others = functional.max_pool2d(others, 2, 2, ceil_mode=True)
        if self.partial.side == "conv1x1":
            others = others + self.side.scale * self.side.norm(self.side.conv(others.relu()))
        if taken is None:
            return shuffle(torch.cat([mixed, others], dim=1), self.partial.channel_divisor)
        value = mixed.new_empty(count, channels, *mixed.shape[2:])
        return value.index_copy(1, taken, mixed).index_copy(1, left, others)


def shuffle(x: Tensor, groups: int) -> Tensor:
    count, channels, height, width = x.shape
    return x.view(count, groups, channels // groups, height, width).transpose(1, 2).reshape(count, channels, height, width)
