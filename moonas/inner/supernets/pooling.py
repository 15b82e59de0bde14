"""A pool and its batch norm, which saves less than autograd would."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from moonas.inner.supernets.matrices import EPS
from moonas.networks.precision import explicit, wide

aten = torch.ops.aten


class PooledNorm(Function):
    """Batch norm of a pool. Returns that, and the mean and variance of the pooled map. Cannot be differentiated twice."""

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
