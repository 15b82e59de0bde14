"""Partial channels: the operations of an edge read C/K of its input's C channels, the others bypass them.

With x = [x_a | x_b], |x_a| = C/K, and p the weights of its operations, an edge makes shuffle_K([U(sum of p_o o(D(x_a))) | B(x_b)]),
and a node adds up its edges by their factors q. B is the identity, at stride 2 a 2x2 max pool; with a side operation it adds
scale * norm(conv(relu(B(x_b)))) to that. D halves the resolution by a 2x2 average pool and U doubles it by repetition, both only
where asked for. At odd sizes both pools take what is left at the border, our own choice.
Source: Xu et al., ICLR 2020, arXiv:1907.05737, and its published code; D, U and the side operation after its journal version,
doi:10.1109/TPAMI.2021.3059510, in a form of our own.

`PartialEdge` is that formula. `PartialSums` gives the same values with less work: as all edges that leave a state read the same
channels, one `Fan` serves them; shuffling and U are linear, so that a node does both once, for the sum of its edges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional

from moonas.inner.supernets.fan import Fan
from moonas.inner.supernets.matrices import maps, rows
from moonas.inner.supernets.products import MixedNorm
from moonas.inner.supernets.statistics import Statistics
from moonas.inner.supernets.sums import Remaining, Sums
from moonas.study.partial import Partial

LARGE = 16  # rows and columns from which on down-sampling takes place


class Side(nn.Module):
    """ReLU, 1x1 convolution, batch norm, and one learned scale that starts at 0."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.scale = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * self.norm(self.conv(functional.relu(x)))

    def matrix(self) -> Tensor:
        """(out, in) of the convolution, the groups along the diagonal."""
        weight = self.conv.weight.flatten(1)
        return weight if self.conv.groups == 1 else torch.block_diag(*weight.chunk(self.conv.groups))


class PartialEdge(nn.Module):
    """What surrounds the operations of one edge. channels: C, of its input."""

    def __init__(self, settings: Partial, channels: int, stride: int) -> None:
        super().__init__()
        self.settings, self.stride = settings, stride
        self.sizes = channels // settings.channel_divisor, channels - channels // settings.channel_divisor
        self.side = Side(self.sizes[1], settings.side_groups) if settings.side == "conv1x1" else None

    def forward(self, x: Tensor, mix: Callable[[Tensor], Tensor], order: Tensor | None = None) -> Tensor:
        """The value of the edge. mix: its operations. order: of the channels, by `draw`; where None they are shuffled instead."""
        taken, rest = (x if order is None else x[:, order]).split(self.sizes, dim=1)
        mixed = enlarge(mix(halve(taken)), x.shape[2:]) if self.halves(x) else mix(taken)
        if not self.sizes[1]:
            return mixed
        rest = self.bypass(rest)
        value = torch.cat([mixed, rest if self.side is None else rest + self.side(rest)], dim=1)
        if order is None:
            return functional.channel_shuffle(value, self.settings.channel_divisor)
        return value[:, order.argsort()]

    def halves(self, x: Tensor) -> bool:
        """Whether the operations read `x` at half its resolution."""
        return self.settings.downsample and self.stride == 1 and min(x.shape[2:]) >= LARGE

    def bypass(self, rest: Tensor) -> Tensor:
        """The bypassing channels at the edge's resolution."""
        return rest if self.stride == 1 else functional.max_pool2d(rest, 2, ceil_mode=True)

    def draw(self, seed: int) -> Tensor:
        """All channels: at first those that the operations shall read, then the others, both rising."""
        order = torch.randperm(sum(self.sizes), generator=torch.Generator().manual_seed(seed))
        return torch.cat([part.sort().values for part in order.split(self.sizes)])


class PartialSums:
    """`Sums` of one pass through a cell with shuffled partial channels. factors: (edges,), of whole edges."""

    def __init__(
        self,
        edges: Sequence[PartialEdge],
        nodes: Iterable[int],
        weights: Tensor,
        factors: Tensor,
        statistics: Statistics,
        remaining: Remaining,
    ) -> None:
        self.edges, self.factors, self.statistics, self.remaining = edges, factors, statistics, remaining
        self.mixed, self.halved, self.bypassed = (Sums(nodes, weights * factors[:, None], statistics, remaining) for _ in range(3))
        self.divisor = edges[0].settings.channel_divisor
        self.size: Sequence[int] = ()  # (height, width) of the nodes, where a term of them is halved

    def spread(self, fan: Fan, x: Tensor) -> None:
        """Collect the values of all edges that leave `x`."""
        edge = self.edges[min(fan.nodes)]  # all of them have the same sizes and stride
        taken = x
        if edge.sizes[1]:
            taken, rest = Split.apply(x, edge.sizes)
            self._bypass(fan, edge.bypass(rest))
        if edge.halves(x):
            self.size = x.shape[2:]
            self.halved.spread(fan, halve(taken))
        else:
            self.mixed.spread(fan, taken)

    def total(self, node: int) -> Tensor | None:
        mixed, halved, bypassed = self.mixed.total(node), self.halved.total(node), self.bypassed.total(node)
        if halved is not None:
            halved = enlarge(halved, self.size)
            mixed = halved if mixed is None else mixed + halved
        return mixed if bypassed is None else Shuffled.apply(mixed, bypassed, self.divisor)

    def _bypass(self, fan: Fan, rest: Tensor) -> None:
        nodes = {number: node for number, node in fan.nodes.items() if any(self.remaining[number])}
        for number, node in nodes.items():
            self.bypassed.weighted[node].append((self.factors[number : number + 1], [rest]))
        sides = [side for number in nodes if (side := self.edges[number].side) is not None]
        if sides:
            matrix = torch.cat([side.matrix() for side in sides])
            scales = self.factors[list(nodes)] * torch.stack([side.scale for side in sides])
            weight = scales.repeat_interleave(rest.shape[1])
            mixed, mean, variance = MixedNorm.apply(weight, matrix, True, rest)
            self.statistics.add([side.norm for side in sides], mean, variance, mixed.numel() // mixed.shape[1])
            for node, part in zip(nodes.values(), mixed.split(rest.shape[1], dim=1), strict=True):
                self.bypassed.maps[node].append(part)


def halve(x: Tensor) -> Tensor:
    """D of the formula."""
    return functional.avg_pool2d(x, 2, ceil_mode=True)


def enlarge(x: Tensor, size: Sequence[int]) -> Tensor:
    """U of the formula: `x` at twice the resolution, cut to `size`."""
    return functional.interpolate(x, size=tuple(size), mode="nearest")


class Split(Function):
    """The first and the last `sizes` channels, each dense and channels last."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, sizes: tuple[int, int]) -> tuple[Tensor, ...]:
        return tuple(part.contiguous(memory_format=torch.channels_last) for part in x.split(sizes, dim=1))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return maps(torch.cat([rows(g) for g in gradients], dim=1), gradients[0]), None


class Shuffled(Function):
    """channel_shuffle([x_a | x_b], divisor): channel k * C/K + i of the input becomes channel i * K + k."""

    @staticmethod
    def forward(ctx: Any, first: Tensor, others: Tensor, divisor: int) -> Tensor:
        ctx.divisor = divisor
        parts = rows(first)[..., None], rows(others).unflatten(1, (divisor - 1, -1)).transpose(1, 2)
        return maps(torch.cat(parts, dim=2).flatten(1), first)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        parts = rows(gradient).unflatten(1, (-1, ctx.divisor)).transpose(1, 2).split([1, ctx.divisor - 1], dim=1)
        return *(maps(part.flatten(1).contiguous(), gradient) for part in parts), None
