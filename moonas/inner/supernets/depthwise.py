"""Depthwise convolutions of search cells, with the gradients that are fast on a CPU.

A dilated one runs as plain ones: at stride 2 every tap falls on an even row and column, so that the rest is left out beforehand; at
stride 1 the four phases (even and odd rows and columns) never mix, so that each is one more image of the batch. A CPU's weight
gradient is fast for kernels at most three wide, so that wider ones are put together from such.

Maps are (n, c, h, w), weights (c, 1, kernel, kernel).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
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


def convolve(x: Tensor, weight: Tensor, window: Window) -> Tensor:
    return functional.conv2d(x, weight, None, window.stride, window.padding, window.dilation, len(weight))


def input_gradient(g: Tensor, x: Tensor, weight: Tensor, window: Window) -> Tensor:
    """g: the gradient of the result."""
    if window.stride == 1:
        return convolve(g, weight.flip(2, 3), window)
    return _backward(g, x, weight, window, [True, False, False])[0]


def weight_gradient(g: Tensor, x: Tensor, weight: Tensor, window: Window) -> Tensor:
    """g: the gradient of the result."""
    if window.stride == window.dilation == 1 and window.kernel > 3 and not x.is_cuda:
        return _narrow_weight_gradients(g, x, weight)
    return _backward(g, x, weight, window, [False, True, False])[1]


def _backward(g: Tensor, x: Tensor, weight: Tensor, window: Window, mask: list[bool]) -> tuple[Tensor, ...]:
    stride, padding, dilation = ([size] * 2 for size in (window.stride, window.padding, window.dilation))
    return aten.convolution_backward(g, x, weight, None, stride, padding, dilation, False, [0, 0], len(weight), mask)


def _narrow_weight_gradients(g: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """The gradient of a weight, three columns at a time: each with `g` moved to where those columns see the input.

    Rows of g stand in memory with as many zeros between them as it is ever moved by, so that all moved ones are views.
    """
    count, channels, height, width = g.shape
    kernel = weight.shape[3]
    gap = kernel - 3
    bordered = (count, height, width + gap, channels)
    memory = g.new_zeros(gap * channels + count * height * (width + gap) * channels)
    memory[gap * channels :].view(bordered)[:, :, :width] = g.permute(0, 2, 3, 1)
    gradient = torch.empty_like(weight)
    part = weight.new_empty(channels, 1, kernel, 3)
    for start in (min(first, gap) for first in range(0, kernel, 3)):
        moved = memory[(gap - start) * channels :][: len(memory) - gap * channels].view(bordered).permute(0, 3, 1, 2)
        gradient[..., start : start + 3] = _backward(moved, x, part, Window(kernel), [False, True, False])[1]
    return gradient


def copies(x: Tensor, count: int) -> Tensor:
    """`count` times the same channels, side by side."""
    return x if count == 1 else torch.cat([x] * count, dim=1)


def add_copies(x: Tensor, count: int) -> Tensor:
    """The sum of `count` groups of channels: the gradient of `copies`."""
    if count == 1:
        return x
    first, second, *others = x.chunk(count, dim=1)
    total = first + second
    for part in others:
        total.add_(part)
    return total
