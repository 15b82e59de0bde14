"""A 1x1 convolution and its batch norm as one matrix, and the pools with theirs; each saves less than autograd would.

Batch norm of y = W d, over the M = images x pixels rows d of a map, needs y's mean and variance only, and those follow from the
rows' mean mu and covariance S: m = W mu, v = diag(W S W^T). So y is never formed: with s = 1 / sqrt(v + eps) a normalised output
is d (s W)^T - s m, and a weighted sum of several is a sum of matrix products. Backwards, with the gradient g of the sum:

    G = g^T d / M;  q = s (rowsum(W G) - m mean(g));  gradient of the weight: M q, per channel
    of W: M w s (G - mean(g) mu^T - s q W S);  of d: g (w s W) - d W^T diag(w s^2 q) W - const

Our own derivation. Maps are (n, c, h, w), channels last; where they are bfloat16, means, covariances and all that follows from them
are float32 and only the products with maps are not. None of these functions can be differentiated twice.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from moonas.networks.precision import explicit, wide

EPS = 1e-5  # of every batch norm here: torch's default
aten = torch.ops.aten


def rows(x: Tensor) -> Tensor:
    """(n, c, h, w) as (n * h * w, c)."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def maps(matrix: Tensor, like: Tensor) -> Tensor:
    """The inverse of `rows`: (n * h * w, c) as (n, c, h, w), with the n, h and w of `like`."""
    count, _, height, width = like.shape
    return matrix.view(count, height, width, -1).permute(0, 3, 1, 2)


def _moments(d: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (c,) and covariance (c, c) of rows."""
    d = d.to(wide(d.dtype))
    mu = d.mean(0)
    return mu, torch.addmm(torch.outer(mu, mu), d.t(), d, beta=-1, alpha=1 / len(d))


def _fold(matrices: Tensor, blocks: list[Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """mu (t, b, in), W S (t, b, out, in), and m and v (t, b, out) of t * b maps with their matrices (t, b, out, in)."""
    mu, covariance = map(torch.stack, zip(*map(_moments, blocks), strict=True))
    mu, covariance = mu.view(*matrices.shape[:2], -1), covariance.view(*matrices.shape[:2], *covariance.shape[1:])
    products = matrices @ covariance
    return mu, products, (matrices @ mu[..., None])[..., 0], (products * matrices).sum(3).clamp_min_(0)


class MixedNorms(Function):
    """t sums over b maps each of weight * batch_norm(W map), then ReLU where asked for.

    Called as `(weight, W, relu, *maps)` with weight (t, b, out), W (t, b, out, in) and t * b maps, those of a sum in a row. Returns
    the sums, and the mean and variance (t, b, out) of every W map. Weighted sums with ReLU have no gradient of the weight.
    """

    @staticmethod
    @explicit
    def forward(ctx: Any, weight: Tensor, matrices: Tensor, relu: bool, *inputs: Tensor) -> tuple[Tensor, ...]:
        blocks, terms = [rows(x) for x in inputs], matrices.shape[1]
        mu, products, m, v = _fold(matrices, blocks)
        scale = weight * (v + EPS).rsqrt()
        kind = inputs[0].dtype
        folded = (scale[..., None] * matrices).flatten(0, 1).transpose(1, 2).to(kind).unbind()
        sums = []
        for target, shift in enumerate((scale * m).sum(1).neg_().to(kind).unbind()):
            first = target * terms
            total = torch.addmm(shift, blocks[first], folded[first])
            for number in range(first + 1, first + terms):
                total.addmm_(blocks[number], folded[number])
            sums.append(maps(total.relu_() if relu else total, inputs[0]))
        ctx.relu = relu
        ctx.save_for_backward(weight, matrices, mu, products, m, v, *inputs, *(sums if relu else ()))
        ctx.mark_non_differentiable(m, v)
        return *sums, m, v

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        weight, matrices, mu, products, m, v, *inputs = ctx.saved_tensors
        targets, terms = matrices.shape[:2]
        if ctx.relu:
            inputs, sums = inputs[: targets * terms], inputs[targets * terms :]
            outer = [rows(aten.threshold_backward(g, x, 0)) for g, x in zip(gradients, sums, strict=False)]
        else:
            outer = [rows(g) for g in gradients[:targets]]
        blocks, count = [rows(x) for x in inputs], len(outer[0])
        s, kind = (v + EPS).rsqrt(), inputs[0].dtype
        wide_outer = [g.to(wide(kind)) for g in outer]
        scale, mean = weight * s, torch.stack([g.mean(0) for g in wide_outer])[:, None]
        products_of_maps = [wide_outer[number // terms].t() @ block.to(wide(kind)) for number, block in enumerate(blocks)]
        correlation = torch.stack(products_of_maps) / count
        correlation = correlation.view_as(matrices)
        q = s * ((matrices * correlation).sum(3) - m * mean)
        d_matrices = None
        if ctx.needs_input_grad[1]:
            inner = correlation - mean[..., None] * mu[:, :, None] - (s * q)[..., None] * products
            d_matrices = inner.mul_((count * scale)[..., None])
        folded = scale[..., None] * matrices
        centring = folded.transpose(2, 3) @ ((s * q)[..., None] * matrices)
        const = ((scale * (s * m * q - mean))[:, :, None] @ matrices).flatten(0, 2).to(kind)
        folded, centring = folded.flatten(0, 1).to(kind), centring.flatten(0, 1).to(kind)
        d_inputs = [
            maps(torch.addmm(const[number], outer[number // terms], folded[number]).addmm_(block, centring[number], alpha=-1), x)
            for number, (block, x) in enumerate(zip(blocks, inputs, strict=True))
        ]
        return count * q if ctx.needs_input_grad[0] else None, d_matrices, None, *d_inputs


class PooledNorm(Function):
    """Batch norm of a pool. Returns that, and the mean and variance of the pooled map."""

    @staticmethod
    @explicit
    def forward(ctx: Any, x: Tensor, kind: str, kernel: int, stride: int) -> tuple[Tensor, Tensor, Tensor]:
        ctx.window = window = ([kernel, kernel], [stride, stride], [kernel // 2, kernel // 2])
        if kind == "max":
            pooled, places = aten.max_pool2d_with_indices(x, *window)
            if x.shape[2] * x.shape[3] < 2**15:
                places = places.short()
        else:
            pooled, places = aten.avg_pool2d(x, *window, False, False), None
        scale = x.new_ones(x.shape[1], dtype=wide(x.dtype))  # gives the statistics their type
        normal, mean, inverse = torch.native_batch_norm(pooled, scale, None, None, None, True, 0.0, EPS)
        ctx.save_for_backward(x, places, normal, inverse)
        variance = inverse**-2 - EPS
        ctx.mark_non_differentiable(mean, variance)
        return normal, mean[None], variance[None]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        x, places, normal, inverse = ctx.saved_tensors
        # the gradient of (pooled - mean) * inverse is that of a batch norm of `normal` itself, times `inverse`
        zero, one = torch.zeros_like(inverse), torch.ones_like(inverse)
        g = aten.native_batch_norm_backward(gradient, normal, inverse, None, None, zero, one, True, EPS, [True, False, False])[0]
        if places is None:
            return aten.avg_pool2d_backward(g, x, *ctx.window, False, False, None), None, None, None
        return aten.max_pool2d_with_indices_backward(g, x, *ctx.window, [1, 1], False, places.long()), None, None, None


class WeightedSum(Function):
    """Sum of weights[b] * maps[b]. Called as `(weights, *maps)`; weights: (b,)."""

    @staticmethod
    @explicit
    def forward(ctx: Any, weights: Tensor, *inputs: Tensor) -> Tensor:
        ctx.save_for_backward(weights, *(inputs if ctx.needs_input_grad[0] else ()))
        total = inputs[0] * weights[0]
        for x, weight in zip(inputs[1:], weights[1:], strict=True):
            total.addcmul_(x, weight)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        weights, *inputs = ctx.saved_tensors
        d_weights = torch.stack([(gradient * x).sum(dtype=weights.dtype) for x in inputs]) if inputs else None
        return d_weights, *(gradient * weight for weight in weights)


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
