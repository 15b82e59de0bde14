"""A 1x1 convolution and its batch norm as one matrix, and the pools with theirs; each saves less than autograd would.

Batch norm of y = W d, over the M = images x pixels rows d of a map, needs y's mean and variance only, and those follow from the
rows' mean mu and covariance S: m = W mu, v = diag(W S W^T). So y is never formed: with s = 1 / sqrt(v + eps) a normalised output
is d (s W)^T - s m, and a weighted sum of several is a sum of matrix products. Backwards, with the gradient g of the sum:

    G = g^T d / M;  q = s (rowsum(W G) - m mean(g));  gradient of the weight: M q, per channel
    of W: M w s (G - mean(g) mu^T - s q W S);  of d: g (w s W) - d W^T diag(w s^2 q) W - const

Our own derivation. Maps are (n, c, h, w), channels last. None of these functions can be differentiated twice.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

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
    mu = d.mean(0)
    return mu, torch.addmm(torch.outer(mu, mu), d.t(), d, beta=-1, alpha=1 / len(d))


def _fold(weights: Tensor, blocks: list[Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """mu (b, in), W S (b, out, in), and m and v (b, out) of b maps with their matrices (b, out, in)."""
    mu, covariance = map(torch.stack, zip(*map(_moments, blocks), strict=True))
    products = weights @ covariance
    return mu, products, (weights @ mu[:, :, None])[:, :, 0], (products * weights).sum(2).clamp_min_(0)


class MixedNorms(Function):
    """Sum over b maps of weight * batch_norm(W map). Called as `(weight, W, *maps)`; see `mixed_norms`."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, matrices: Tensor, *inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        blocks = [rows(x) for x in inputs]
        mu, products, m, v = _fold(matrices, blocks)
        scale = weight * (v + EPS).rsqrt()
        folded = (scale[:, :, None] * matrices).transpose(1, 2)
        total = torch.addmm(-(scale * m).sum(0), blocks[0], folded[0])
        for block, matrix in zip(blocks[1:], folded[1:], strict=True):
            total.addmm_(block, matrix)
        ctx.save_for_backward(weight, matrices, mu, products, m, v, *inputs)
        ctx.mark_non_differentiable(m, v)
        return maps(total, inputs[0]), m, v

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        weight, matrices, mu, products, m, v, *inputs = ctx.saved_tensors
        g, blocks = rows(gradient), [rows(x) for x in inputs]
        d_weight, d_matrices, d_blocks = _unfold(
            g, blocks, (weight, matrices, mu, products, m, v), ctx.needs_input_grad[1], ctx.needs_input_grad[2:]
        )
        return d_weight, d_matrices, *(None if d is None else maps(d, x) for d, x in zip(d_blocks, inputs, strict=True))


def _unfold(
    g: Tensor, blocks: list[Tensor], saved: tuple[Tensor, ...], needs_matrices: bool, needs_blocks: tuple[bool, ...]
) -> tuple[Tensor, Tensor | None, list[Tensor | None]]:
    """Gradients of weights, matrices and maps, by the formulas above."""
    weight, matrices, mu, products, m, v = saved
    s = (v + EPS).rsqrt()
    scale, mean = weight * s, g.mean(0)
    correlation = torch.stack([g.t() @ block for block in blocks]) / len(g)
    q = s * ((matrices * correlation).sum(2) - m * mean)
    d_matrices = None
    if needs_matrices:
        inner = correlation - mean[None, :, None] * mu[:, None, :] - (s * q)[:, :, None] * products
        d_matrices = len(g) * scale[:, :, None] * inner
    folded = scale[:, :, None] * matrices
    centring = matrices.transpose(1, 2) @ ((scale * s * q)[:, :, None] * matrices)
    const = ((scale * (mean - s * m * q))[:, None, :] @ matrices)[:, 0]
    d_blocks: list[Tensor | None] = [
        torch.addmm(const[b], g, folded[b], beta=-1).addmm_(block, centring[b], alpha=-1) if needs_blocks[b] else None
        for b, block in enumerate(blocks)
    ]
    return len(g) * q, d_matrices, d_blocks


class NormRelu(Function):
    """relu(batch_norm(W x)), with W (out, in). Returns that, and the mean and variance of W x."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        block = rows(x)
        mu, products, m, v = _fold(matrix[None], [block])
        s = (v + EPS).rsqrt()
        z = maps(torch.addmm(-(s * m)[0], block, (s[0, :, None] * matrix).t()).relu_(), x)
        ctx.save_for_backward(x, matrix, mu, products, m, v, z)
        ctx.mark_non_differentiable(m, v)
        return z, m, v

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        x, matrix, mu, products, m, v, z = ctx.saved_tensors
        g = rows(aten.threshold_backward(gradient, z, 0))
        saved = (torch.ones_like(m), matrix[None], mu, products, m, v)
        _, d_matrix, d_blocks = _unfold(g, [rows(x)], saved, ctx.needs_input_grad[1], (True,))
        assert d_blocks[0] is not None
        return maps(d_blocks[0], x), None if d_matrix is None else d_matrix[0]


class PooledNorm(Function):
    """Batch norm of a 3x3 pool. Returns that, and the mean and variance of the pooled map."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kind: str, stride: int) -> tuple[Tensor, Tensor, Tensor]:
        if kind == "max":
            pooled, places = aten.max_pool2d_with_indices(x, [3, 3], [stride, stride], [1, 1])
            if x.shape[2] * x.shape[3] < 2**15:
                places = places.short()
        else:
            pooled, places = aten.avg_pool2d(x, [3, 3], [stride, stride], [1, 1], False, False), None
        normal, mean, inverse = torch.native_batch_norm(pooled, None, None, None, None, True, 0.0, EPS)
        ctx.stride = stride
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
        window = ([3, 3], [ctx.stride, ctx.stride], [1, 1])
        if places is None:
            return aten.avg_pool2d_backward(g, x, *window, False, False, None), None, None
        return aten.max_pool2d_with_indices_backward(g, x, *window, [1, 1], False, places.long()), None, None


class WeightedSum(Function):
    """Sum of weights[b] * maps[b]. Called as `(weights, *maps)`; weights: (b,)."""

    @staticmethod
    def forward(ctx: Any, weights: Tensor, *inputs: Tensor) -> Tensor:
        ctx.save_for_backward(weights, *inputs)
        total = inputs[0] * weights[0]
        for x, weight in zip(inputs[1:], weights[1:], strict=True):
            total.addcmul_(x, weight)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        weights, *inputs = ctx.saved_tensors
        d_weights = torch.stack([(gradient * x).sum() for x in inputs]) if ctx.needs_input_grad[0] else None
        return d_weights, *(gradient * weight for weight in weights)
