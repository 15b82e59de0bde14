"""Exact costs of candidate operations in a derived network, where every batch norm is affine and pools have none.

Counting rules: parameters are all learnable tensors; multiply-adds are those of convolutions and linear layers, one each, at batch
1. Every function takes `channels` (of input and output alike), `stride` and `size`, the (height, width) of its input.
"""

from __future__ import annotations

from typing import Any, NamedTuple

Size = tuple[int, int]


class OperationCost(NamedTuple):
    """Exact integers of one operation at one place: learnable parameters and multiply-adds."""

    params: int
    macs: int


def halve(size: Size) -> Size:
    """(height, width) after a stride of 2: halves, rounded up."""
    return (size[0] + 1) // 2, (size[1] + 1) // 2


def stride_by(size: Size, stride: int) -> Size:
    return halve(size) if stride == 2 else size


def area(size: Size) -> int:
    return size[0] * size[1]


def pointwise(channels_in: int, channels_out: int, size: Size) -> OperationCost:
    """ReLU, 1x1 convolution, batch norm; `size` is that of the output. A factorized reduction costs the same."""
    weights = channels_in * channels_out
    return OperationCost(weights + 2 * channels_out, weights * area(size))


def free(channels: int, stride: int, size: Size, **settings: Any) -> OperationCost:
    """Zero, identity and pooling: nothing to learn and nothing to multiply."""
    return OperationCost(0, 0)


def skip(channels: int, stride: int, size: Size) -> OperationCost:
    """Identity; a factorized reduction (two strided 1x1 convolutions and batch norm) at stride 2."""
    return OperationCost(0, 0) if stride == 1 else pointwise(channels, channels, halve(size))


def dilated(channels: int, stride: int, size: Size, kernel: int) -> OperationCost:
    """ReLU, dilated depthwise convolution, pointwise convolution, batch norm."""
    weights = kernel * kernel * channels + channels * channels
    return OperationCost(weights + 2 * channels, weights * area(stride_by(size, stride)))


def separable(channels: int, stride: int, size: Size, kernel: int) -> OperationCost:
    """Twice ReLU, depthwise convolution, pointwise convolution, batch norm; the stride is in the first."""
    once = dilated(channels, stride, size, kernel)
    return OperationCost(2 * once.params, 2 * once.macs)


def full(channels: int, stride: int, size: Size, kernel: int) -> OperationCost:
    """ReLU, full convolution, batch norm."""
    weights = kernel * kernel * channels * channels
    return OperationCost(weights + 2 * channels, weights * area(stride_by(size, stride)))


def factored(channels: int, stride: int, size: Size) -> OperationCost:
    """ReLU, 1x3 convolution, 3x1 convolution, batch norm; the first strides along the width, the second along the height."""
    weights = 3 * channels * channels
    output = stride_by(size, stride)
    return OperationCost(2 * weights + 2 * channels, weights * (size[0] * output[1] + area(output)))
