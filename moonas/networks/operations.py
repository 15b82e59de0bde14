"""Candidate operations as modules. Every builder is called as `builder(channels, stride, affine, **settings)`.

channels: of input and output alike. stride: 1 or 2; height and width become ceil(size / stride).
affine: true in derived networks; false in search networks, whose batch norms learn no scale and shift and whose pools end in one.
No activation works in place: its input feeds other operations too.
Source: Liu et al., ICLR 2019, arXiv:1806.09055, and its published code.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from moonas.registry import load_object
from moonas.study.operations import OPERATIONS


def make_operation(name: str, channels: int, stride: int, affine: bool) -> nn.Module:
    """The operation that the registry calls `name`. Raises UnknownNameError."""
    entry = OPERATIONS[name]
    return load_object(entry.load)(channels, stride, affine, **entry.settings)


class Zero(nn.Module):
    """Zeros of the shape that the stride leaves."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x[..., :: self.stride, :: self.stride])


class DilatedDepthwise(nn.Conv2d):
    """A depthwise convolution of dilation 2, on the CPU by way of plain ones, whose weight gradient is several times faster.

    At stride 2 every tap falls on an even row and column, so the rest is left out beforehand. At stride 1 the four phases (even and
    odd rows and columns) never mix, so each is convolved by itself as one more image of the batch.
    """

    def __init__(self, channels: int, kernel: int, stride: int) -> None:
        super().__init__(channels, channels, kernel, stride, padding=kernel - 1, dilation=2, groups=channels, bias=False)
        self.half_padding = kernel // 2

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        if x.is_cuda or (self.stride[0] == 1 and (height % 2 or width % 2)):
            return super().forward(x)
        if self.stride[0] == 2:
            return self._plain(x[:, :, ::2, ::2])
        return join_phases(self._plain(split_phases(x)), len(x))

    def _plain(self, x: Tensor) -> Tensor:
        return functional.conv2d(x, self.weight, padding=self.half_padding, groups=self.groups)


class FactorizedReduce(nn.Module):
    """ReLU, two 1x1 convolutions of stride 2 on the input and on the input shifted by one pixel down and right, batch norm.

    At an odd height or width the shifted input is padded at the bottom or right by one line of zeros, our own choice, so that both
    halves have the size ceil(size / 2).
    """

    def __init__(self, channels_in: int, channels_out: int, affine: bool) -> None:
        super().__init__()
        half = channels_out // 2
        self.straight = nn.Conv2d(channels_in, half, 1, stride=2, bias=False)
        self.shifted = nn.Conv2d(channels_in, channels_out - half, 1, stride=2, bias=False)
        self.norm = nn.BatchNorm2d(channels_out, affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(x)
        height, width = x.shape[2:]
        shifted = functional.pad(x, (0, width % 2, 0, height % 2))[:, :, 1:, 1:]
        return self.norm(torch.cat([self.straight(x), self.shifted(shifted)], dim=1))


def relu_conv_norm(channels_in: int, channels_out: int, affine: bool) -> nn.Sequential:
    """ReLU, 1x1 convolution, batch norm."""
    return nn.Sequential(
        nn.ReLU(), nn.Conv2d(channels_in, channels_out, 1, bias=False), nn.BatchNorm2d(channels_out, affine=affine)
    )


def none(channels: int, stride: int, affine: bool) -> nn.Module:
    return Zero(stride)


def max_pool(channels: int, stride: int, affine: bool, kernel: int) -> nn.Module:
    return _pool(nn.MaxPool2d(kernel, stride, padding=kernel // 2), channels, affine)


def avg_pool(channels: int, stride: int, affine: bool) -> nn.Module:
    """Average pooling; the padding does not count in the mean."""
    return _pool(nn.AvgPool2d(3, stride, padding=1, count_include_pad=False), channels, affine)


def bare_avg_pool(channels: int, stride: int, affine: bool) -> nn.Module:
    """As `avg_pool`, without batch norm in search networks either."""
    return avg_pool(channels, stride, affine=True)


def skip(channels: int, stride: int, affine: bool) -> nn.Module:
    """Identity; a factorized reduction at stride 2."""
    return nn.Identity() if stride == 1 else FactorizedReduce(channels, channels, affine)


def separable(channels: int, stride: int, affine: bool, kernel: int) -> nn.Module:
    """Twice ReLU, depthwise convolution, pointwise convolution, batch norm; the stride is in the first."""
    return nn.Sequential(
        nn.ReLU(),
        _depthwise(channels, kernel, stride),
        *_pointwise(channels, affine),
        nn.ReLU(),
        _depthwise(channels, kernel, 1),
        *_pointwise(channels, affine),
    )


def dilated(channels: int, stride: int, affine: bool, kernel: int) -> nn.Module:
    """ReLU, depthwise convolution of dilation 2, pointwise convolution, batch norm."""
    return nn.Sequential(nn.ReLU(), DilatedDepthwise(channels, kernel, stride), *_pointwise(channels, affine))


def full(channels: int, stride: int, affine: bool, kernel: int) -> nn.Module:
    """ReLU, full convolution, batch norm."""
    return _full(channels, stride, affine, kernel, bias=False)


def full_or_biased(channels: int, stride: int, affine: bool, kernel: int) -> nn.Module:
    """As `full`, but in search networks the convolution has a bias.

    Source: the published code of Dong & Yang, ICLR 2020, arXiv:2001.00326.
    """
    return _full(channels, stride, affine, kernel, bias=not affine)


def factored(channels: int, stride: int, affine: bool) -> nn.Module:
    """ReLU, 1x3 convolution, 3x1 convolution, batch norm; the first strides along the width, the second along the height."""
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(channels, channels, (1, 3), (1, stride), padding=(0, 1), bias=False),
        nn.Conv2d(channels, channels, (3, 1), (stride, 1), padding=(1, 0), bias=False),
        nn.BatchNorm2d(channels, affine=affine),
    )


def _full(channels: int, stride: int, affine: bool, kernel: int, bias: bool) -> nn.Module:
    convolution = nn.Conv2d(channels, channels, kernel, stride, padding=kernel // 2, bias=bias)
    return nn.Sequential(nn.ReLU(), convolution, nn.BatchNorm2d(channels, affine=affine))


def _pool(pool: nn.Module, channels: int, affine: bool) -> nn.Module:
    return pool if affine else nn.Sequential(pool, nn.BatchNorm2d(channels, affine=False))


def _depthwise(channels: int, kernel: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, kernel, stride, padding=kernel // 2, groups=channels, bias=False)


def _pointwise(channels: int, affine: bool) -> list[nn.Module]:
    return [nn.Conv2d(channels, channels, 1, bias=False), nn.BatchNorm2d(channels, affine=affine)]


def split_phases(x: Tensor) -> Tensor:
    """(n, c, 2h, 2w) to (4n, c, h, w), channels last."""
    count, channels, height, width = x.shape
    cut = x.permute(0, 2, 3, 1).reshape(count, height // 2, 2, width // 2, 2, channels).permute(2, 4, 0, 1, 3, 5)
    return cut.reshape(4 * count, height // 2, width // 2, channels).permute(0, 3, 1, 2)


def join_phases(x: Tensor, count: int) -> Tensor:
    """The inverse of `split_phases`, for a batch of `count`."""
    _, channels, height, width = x.shape
    cut = x.permute(0, 2, 3, 1).reshape(2, 2, count, height, width, channels).permute(2, 3, 0, 4, 1, 5)
    return cut.reshape(count, 2 * height, 2 * width, channels).permute(0, 3, 1, 2)
