"""What the nodes of a cell are sums of, and how sums and outputs are formed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from moonas.inner.supernets.matrices import centred, maps, rows
from moonas.inner.supernets.statistics import Statistics
from moonas.networks.operations import join_phases
from moonas.networks.precision import explicit

if TYPE_CHECKING:
    from moonas.inner.supernets.fan import Fan

Remaining = Sequence[Sequence[bool]]  # [edge][operation]: whether it is computed


class Sums:
    """One pass through a cell, collected source by source. weights: (edges, operations). remaining: never of `none`.

    weighted: {node: (weights (b,), b maps) to be added}. maps: {node: maps to be added}. phases: the same, after `split_phases`.
    """

    def __init__(self, nodes: Iterable[int], weights: Tensor, statistics: Statistics, remaining: Remaining) -> None:
        self.weights, self.statistics, self.remaining = weights, statistics, remaining
        self.weighted: dict[int, list[tuple[Tensor, list[Tensor]]]] = {node: [] for node in nodes}
        self.maps: dict[int, list[Tensor]] = {node: [] for node in self.weighted}
        self.phases: dict[int, list[Tensor]] = {node: [] for node in self.weighted}

    def spread(self, fan: Fan, x: Tensor) -> None:
        """Collect the mixtures of all edges that leave `x`."""
        fan.spread(x, self)

    def total(self, node: int) -> Tensor | None:
        """The value of `node`, whose terms are then forgotten; None where nothing leads to it."""
        parts, plain, phases = self.weighted.pop(node), self.maps.pop(node), self.phases.pop(node)
        if phases:
            joined = reduce(add, phases)
            plain.append(join_phases(joined, len(joined) // 4))
        weights = torch.cat([weight for weight, _ in parts]) if parts else self.weights.new_empty(0)
        terms = [x for _, own in parts for x in own] + plain
        return WeightedSum.apply(weights, *terms) if terms else None


class WeightedSum(Function):
    """Sum of weights[b] * maps[b], and of the maps beyond the weights as they are. Called as `(weights, *maps)`; weights: (b,).

    Those are mixtures of batch norms, whose values have no mean whatever happens, so that their gradients get none either.
    """

    @staticmethod
    @explicit
    def forward(ctx: Any, weights: Tensor, *inputs: Tensor) -> Tensor:
        weighted, others = inputs[: len(weights)], inputs[len(weights) :]
        ctx.save_for_backward(weights, *(weighted if ctx.needs_input_grad[0] else ()))
        ctx.others = len(others)
        total = weighted[0] * weights[0] if weighted else others[0].clone(memory_format=torch.channels_last)
        for x, weight in zip(weighted[1:], weights[1:], strict=True):
            total.addcmul_(x, weight)
        for x in others if weighted else others[1:]:
            total.add_(x)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        weights, *weighted = ctx.saved_tensors
        d_weights = torch.stack([(gradient * x).sum(dtype=weights.dtype) for x in weighted]) if weighted else None
        d_other = maps(centred(rows(gradient)), gradient) if ctx.others else None
        return d_weights, *(gradient * weight for weight in weights), *([d_other] * ctx.others)


class Concat(Function):
    """The maps side by side; the gradient of each is channels last and dense, as the sums that it goes to need it."""

    @staticmethod
    def forward(ctx: Any, *inputs: Tensor) -> Tensor:
        ctx.channels = [x.shape[1] for x in inputs]
        return torch.cat(inputs, dim=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        return tuple(part.contiguous(memory_format=torch.channels_last) for part in gradient.split(ctx.channels, dim=1))
