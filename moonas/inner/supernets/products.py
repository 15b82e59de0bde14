"""A 1x1 convolution and its batch norm one after the other: less work than `folding` where W gets no gradient or is wide.

With the rows y = W d of a product, less their mean, v = mean(y^2), s = 1 / sqrt(v + eps), and the gradient g of w s y, centred:

    q = s mean(g y), the gradient of the weight w being M q;  z = w s (g - s q y), that of W being z^T d, and that of d z W

The usual formulas of batch norm. See `folding` for the letters and for bfloat16. None of this can be differentiated twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from moonas.inner.supernets.matrices import EPS, Blocks, centre, centred, cut, each, maps, mean, moments, multiply, rows
from moonas.networks.precision import explicit, wide

aten = torch.ops.aten


class FormedNorms(NamedTuple):
    """As `FoldedNorms`, for W that get no gradient. Inputs are the products of `form`. matrices: (k, b, out, in)."""

    matrices: Tensor
    variance: Tensor

    @staticmethod
    def form(matrices: Tensor, inputs: Sequence[Tensor]) -> list[Tensor]:
        """The products W d, k matrices: the rows (M, out) of b blocks side by side. inputs: centred."""
        factors = each(matrices.transpose(2, 3).to(inputs[0].dtype))
        return [multiply(column, own) for column, own in zip(cut(inputs, len(factors[0])), factors, strict=True)]

    @classmethod
    def of(cls, matrices: Tensor, inputs: Sequence[Tensor]) -> FormedNorms:
        return cls(matrices, torch.stack([_variance(y) for y in inputs]).view(matrices.shape[:3]))

    def relu(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """ReLU of every norm: k matrices."""
        scales = (self.variance + EPS).rsqrt().flatten(1).to(inputs[0].dtype)
        return [(y * scale).relu_() for y, scale in zip(inputs, scales.unbind(), strict=True)]

    def mix(self, weight: Tensor, inputs: Sequence[Tensor], groups: Sequence[range]) -> list[Tensor]:
        """For each group of maps, and each block, the sum of weight * norm: matrices (M, out). weight: (k, b, out)."""
        scales = (weight * (self.variance + EPS).rsqrt()).flatten(1).to(inputs[0].dtype).unbind()
        totals = []
        for first, *others in groups:
            totals.append(inputs[first] * scales[first])
            for k in others:
                totals[-1].addcmul_(inputs[k], scales[k])
        return [block for blocks in cut(totals, weight.shape[1]) for block in blocks]

    def gradients(
        self, weight: Tensor | None, inputs: Sequence[Tensor], outer: Blocks, with_matrices: bool, with_inputs: bool
    ) -> tuple[Tensor, None, list[Tensor]]:
        """Gradients of weight (k, b, out), of W (never wanted), and of the k matrices of rows d, where wanted.

        weight: None for 1. outer: k times b gradients of the weighted norms, centred.
        """
        assert not with_matrices, "inputs are kept for this in folded norms only"
        columns, kind = cut(inputs, self.matrices.shape[1]), inputs[0].dtype
        s = (self.variance + EPS).rsqrt()
        products = [mean(g * y) for own, column in zip(outer, columns, strict=True) for g, y in zip(own, column, strict=True)]
        q = s * torch.stack(products).view_as(s)
        d_inputs = []
        if with_inputs:
            scaled, sq = s if weight is None else weight * s, each((s * q).to(kind))
            for own, column, scales, factors in zip(
                outer, columns, sq, each((scaled[..., None] * self.matrices).to(kind)), strict=True
            ):
                parts = [torch.addcmul(g, y, scale, value=-1) for g, y, scale in zip(own, column, scales, strict=True)]
                d_inputs.append(multiply(parts, factors))
        return len(inputs[0]) * q, None, d_inputs


class MixedNorm(Function):
    """weight * batch_norm(W map), or of ReLU of the map where `activate`. Called as `(weight, W, activate, map)`.

    weight: (out,), or None for 1. Returns that, and mean and variance of W map. ReLU is computed again in the backward pass.
    """

    @staticmethod
    @explicit
    def forward(ctx: Any, weight: Tensor | None, matrix: Tensor, activate: bool, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        normal = rows(x.relu() if activate else x) @ matrix.t().to(x.dtype)
        middle, variance = centre(normal), _variance(normal)
        s = (variance + EPS).rsqrt()
        result = maps(normal.mul_(s), x)
        ctx.activate = activate
        ctx.save_for_backward(weight, matrix, x, result, s)
        ctx.mark_non_differentiable(middle, variance)
        return result if weight is None else result * weight[:, None, None].to(x.dtype), middle, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        weight, matrix, x, result, s = ctx.saved_tensors
        needs_weight, needs_matrix, _, needs_x = ctx.needs_input_grad
        g, normal = centred(rows(gradient)), rows(result)
        q = mean(g * normal)
        z = torch.addcmul(g, normal, q.to(g.dtype), value=-1)
        scaled = (s if weight is None else weight * s)[:, None]
        d_matrix = d_x = None
        if needs_matrix:
            read = rows(x.relu() if ctx.activate else x)
            d_matrix = moments([(z, read)])[0].mul_(len(z) * scaled)
        if needs_x:
            d_x = maps(z @ (scaled * matrix).to(z.dtype), x)
            if ctx.activate:
                d_x = aten.threshold_backward(d_x, x, 0)
        return len(z) * q if needs_weight else None, d_matrix, None, d_x


def _variance(matrix: Tensor) -> Tensor:
    """Of rows that are centred."""
    return mean(matrix.to(wide(matrix.dtype)).square())
