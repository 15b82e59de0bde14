"""A 3x3 pool and its batch norm, which saves less than autograd would."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from moonas.inner.supernets.folding import EPS

aten = torch.ops.aten


class PooledNorm(Function):
    """Batch norm of a 3x3 pool. Returns that, and the mean and variance of the pooled map. Cannot be differentiated twice."""

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
