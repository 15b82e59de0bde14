"""Depthwise convolutions of search cells, with the gradients that are fast on a CPU.

A dilated one runs as plain ones: at stride 2 every tap falls on an even row and column, so that the rest is left out beforehand; at
stride 1 the four phases (even and odd rows and columns) never mix, so that each is one more image of the batch. A CPU's weight
gradient is fast for kernels at most three wide, so that wider ones are put together from such.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional

aten = torch.ops.aten


class Window(NamedTuple):
    """How a kernel moves; it is padded so that height and width become ceil(size / stride)."""

    kernel: int
    stride: int = 1
    dilation: int = 1

    @property
    def padding(self) -> int:
        return self.dilation * (self.kernel // 2)


class Depthwise(Function):
    """Called as `(x, weight, window)`. x: (n, c, h, w); weight: (k * c, 1, kernel, kernel), applied to k copies of x side by side."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, window: Window) -> Tensor:
        ctx.window = window
        ctx.save_for_backward(x, weight)
        return _convolve(_copies(x, weight), weight, window)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        window, wide = ctx.window, _copies(x, weight)
        d_x = d_weight = None
        if ctx.needs_input_grad[0]:
            if window.stride == 1:
                d_wide = _convolve(gradient, weight.flip(2, 3), window)
            else:
                d_wide = _backward(gradient, wide, weight, window, [True, False, False])[0]
            d_x = _add_copies(d_wide, x.shape[1])
        if ctx.needs_input_grad[1]:
            if window.stride == window.dilation == 1 and window.kernel > 3 and not x.is_cuda:
                d_weight = _narrow_weight_gradients(gradient, wide, weight)
            else:
                d_weight = _backward(gradient, wide, weight, window, [False, True, False])[1]
        return d_x, d_weight, None


def _convolve(x: Tensor, weight: Tensor, window: Window) -> Tensor:
    return functional.conv2d(x, weight, None, window.stride, window.padding, window.dilation, len(weight))


def _backward(g: Tensor, x: Tensor, weight: Tensor, window: Window, mask: list[bool]) -> tuple[Tensor, ...]:
    stride, padding, dilation = ([size] * 2 for size in (window.stride, window.padding, window.dilation))
    return aten.convolution_backward(g, x, weight, None, stride, padding, dilation, False, [0, 0], len(weight), mask)


def _narrow_weight_gradients(g: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """The gradient of a weight, three columns at a time: each on the input moved to where those columns stand."""
    kernel = weight.shape[3]
    half, gradient = kernel // 2, torch.empty_like(weight)
    for start in (min(first, kernel - 3) for first in range(0, kernel, 3)):
        moved = functional.pad(x, (half - start, start + 2 - half))
        part = weight[..., start : start + 3].contiguous()
        gradient[..., start : start + 3] = aten.convolution_backward(
            g, moved, part, None, [1, 1], [half, 0], [1, 1], False, [0, 0], len(weight), [False, True, False]
        )[1]
    return gradient


def _copies(x: Tensor, weight: Tensor) -> Tensor:
    count = len(weight) // x.shape[1]
    return x if count == 1 else torch.cat([x] * count, dim=1)


def _add_copies(x: Tensor, channels: int) -> Tensor:
    if x.shape[1] == channels:
        return x
    count, _, height, width = x.shape
    parts = x.permute(0, 2, 3, 1).view(count, height, width, -1, channels)
    return parts.sum(3).permute(0, 3, 1, 2)
