"""Depthwise convolutions of search cells, with the gradients that are fast on a CPU.

A dilated one runs as plain ones: at stride 2 every tap falls on an even row and column, so that the rest is left out beforehand; at
stride 1 the four phases (even and odd rows and columns) never mix, so that each is one more image of the batch. A CPU's weight
gradient is fast for kernels at most three wide, so that wider ones are put together from such.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional

from moonas.networks.precision import explicit

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
    """Several depthwise convolutions, called as `(windows, *inputs, *weights)` with as many weights as windows.

    inputs: (n, c, h, w), one for each convolution or one for all. weights: (k * c, 1, kernel, kernel), applied to k copies of the
    input side by side. Returns a map (n, k * c, ...) for each.
    """

    @staticmethod
    @explicit
    def forward(ctx: Any, windows: Sequence[Window], *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.windows = windows
        ctx.save_for_backward(*tensors)
        inputs, weights = _widened(tensors, len(windows))
        return tuple(map(_convolve, inputs, weights, windows))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        windows, shared = ctx.windows, len(ctx.saved_tensors) == len(ctx.windows) + 1
        channels = ctx.saved_tensors[0].shape[1]
        inputs, weights = _widened(ctx.saved_tensors, len(windows))
        d_inputs: list[Tensor | None] = [None] * (1 if shared else len(windows))
        d_weights: list[Tensor | None] = [None] * len(windows)
        for number, (g, x, weight, window) in enumerate(zip(gradients, inputs, weights, windows, strict=True)):
            if ctx.needs_input_grad[1]:
                place = 0 if shared else number
                before, d_x = d_inputs[place], _input_gradient(g, x, weight, window)
                d_inputs[place] = d_x if before is None else before.add_(d_x)
            if ctx.needs_input_grad[-1]:
                d_weights[number] = _weight_gradient(g, x, weight, window).to(ctx.saved_tensors[-1].dtype)
        return None, *(None if d_x is None else _add_copies(d_x, channels) for d_x in d_inputs), *d_weights


def _widened(tensors: Sequence[Tensor], count: int) -> tuple[list[Tensor], Sequence[Tensor]]:
    """An input and a weight for each of `count` convolutions, of one type."""
    inputs, weights = tensors[:-count], [weight.to(tensors[0].dtype) for weight in tensors[-count:]]
    wide = [_copies(x, weight) for x, weight in zip(inputs, weights, strict=False)]
    return (wide * count if len(wide) < count else wide), weights


def _input_gradient(g: Tensor, x: Tensor, weight: Tensor, window: Window) -> Tensor:
    if window.stride == 1:
        return _convolve(g, weight.flip(2, 3), window)
    return _backward(g, x, weight, window, [True, False, False])[0]


def _weight_gradient(g: Tensor, x: Tensor, weight: Tensor, window: Window) -> Tensor:
    if window.stride == window.dilation == 1 and window.kernel > 3 and not x.is_cuda:
        return _narrow_weight_gradients(g, x, weight)
    return _backward(g, x, weight, window, [False, True, False])[1]


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
    parts = x.split(channels, dim=1)
    if len(parts) == 1:
        return x
    total = parts[0] + parts[1]
    for part in parts[2:]:
        total.add_(part)
    return total
