"""Depthwise convolutions of search cells, with the gradients that are fast on a CPU.

A dilated one runs as plain ones: at stride 2 every tap falls on an even row and column, so that the rest is left out beforehand; at
stride 1 the four phases (even and odd rows and columns) never mix, so that each is one more image of the batch. A CPU's weight
gradient is fast for kernels at most three wide on images at least as high as the kernel: wider ones are put together from such, and
lower images get rows of zeros.

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
    height, kernel, stride = x.shape[2], window.kernel, window.stride
    if not x.is_cuda and window.dilation == 1:
        if height < kernel:
            x = functional.pad(x, (0, 0, 0, kernel - height))
            g = functional.pad(g, (0, 0, 0, (kernel - 1) // stride + 1 - g.shape[2]))
        if kernel > 3:
            return _narrow_weight_gradients(g, x, weight, stride)
    return _backward(g, x, weight, window, [False, True, False])[1]


def _backward(g: Tensor, x: Tensor, weight: Tensor, window: Window, mask: list[bool]) -> tuple[Tensor, ...]:
    stride, padding, dilation = ([size] * 2 for size in (window.stride, window.padding, window.dilation))
    return aten.convolution_backward(g, x, weight, None, stride, padding, dilation, False, [0, 0], len(weight), mask)


def _narrow_weight_gradients(g: Tensor, x: Tensor, weight: Tensor, stride: int) -> Tensor:
    """The gradient of a weight, three columns at a time: each with the input moved to where those columns see it.

    Rows of the input stand in memory with zeros between them, so that all moved ones are views. They may be wider than needed; then
    g gets columns of zeros.
    """
    count, channels, height, width = x.shape
    kernel = weight.shape[3]
    half = kernel // 2
    bordered = (count, height, width + half, channels)
    size = count * height * (width + half) * channels
    memory = x.new_zeros(size + 2 * half * channels)
    memory[half * channels :][:size].view(bordered)[:, :, :width] = x.permute(0, 2, 3, 1)
    beyond = (width + half - 3) // stride + 1 - g.shape[3]
    if beyond:
        g = functional.pad(g, (0, beyond))
    gradient = torch.empty_like(weight)
    part = weight.new_empty(channels, 1, kernel, 3)
    for start in (min(first, kernel - 3) for first in range(0, kernel, 3)):
        moved = memory[start * channels :][:size].view(bordered).permute(0, 3, 1, 2)
        gradient[..., start : start + 3] = aten.convolution_backward(
            g, moved, part, None, [stride] * 2, [half, 0], [1, 1], False, [0, 0], channels, [False, True, False]
        )[1]
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
