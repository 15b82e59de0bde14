"""What stands around the cells of NAS-Bench-201: a thin stem, a residual block before each stage but the first, a last batch norm.

Source: Dong & Yang, ICLR 2020, arXiv:2001.00326, and its published code. It is affine and without biases in search networks too.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from moonas.networks.frame import Surroundings
from moonas.networks.operations import full
from moonas.skeleton import Skeleton
from moonas.spaces.layout import CellPlan


def surroundings(skeleton: Skeleton, plans: Sequence[CellPlan]) -> Surroundings:
    """A residual block where the channels change from one cell to the next."""
    return Surroundings(
        Stem(skeleton.input_shape[0], skeleton.channels),
        {plan.index: ResidualBlock(before.channels) for before, plan in pairwise(plans) if plan.channels != before.channels},
        nn.Sequential(nn.BatchNorm2d(plans[-1].channels), nn.ReLU()),
    )


class Stem(nn.Sequential):
    """3x3 convolution and batch norm."""

    def __init__(self, images: int, channels: int) -> None:
        super().__init__(nn.Conv2d(images, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> tuple[Tensor]:
        return (super().forward(x),)


class ResidualBlock(nn.Module):
    """From C channels to 2C at half the size: two of ReLU, 3x3 convolution, batch norm; beside them a pooled 1x1 convolution.

    At an odd height or width the last window of the pool holds what is left, our own choice, so that both ways have the size
    ceil(size / 2).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.widen = nn.Sequential(
            nn.ReLU(), nn.Conv2d(channels, 2 * channels, 3, 2, padding=1, bias=False), nn.BatchNorm2d(2 * channels)
        )
        self.refine = full(2 * channels, 1, affine=True, kernel=3)
        self.shortcut = nn.Sequential(nn.AvgPool2d(2, 2, ceil_mode=True), nn.Conv2d(channels, 2 * channels, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.refine(self.widen(x))
