"""The candidates of connection cells as modules; what they are stands in `moonas.spaces.connections`."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from moonas.networks.operations import FactorizedReduce, relu_conv_norm
from moonas.spaces.connections import common_groups, halves
from moonas.spaces.layout import CellPlan


def make_connection(name: str, plan: CellPlan, place: int, affine: bool) -> nn.Module:
    """The candidate `name` for input `place` of the cell at `plan`."""
    channels_in, channels_out, halved = plan.input_channels[place], plan.channels, halves(plan, place)
    norm = nn.BatchNorm2d(channels_out, affine=affine)
    if name == "identity":
        return nn.Sequential(nn.ReLU(), norm)
    if name == "conv_1x1":
        return (FactorizedReduce if halved else relu_conv_norm)(channels_in, channels_out, affine)
    if name == "grouped_conv_1x1":
        kind = GroupedReduce if halved else GroupedPointwise
        return nn.Sequential(nn.ReLU(), kind(channels_in, channels_out), norm)
    depthwise = nn.Conv2d(channels_in, channels_in, 3, 2 if halved else 1, padding=1, groups=channels_in, bias=False)
    return nn.Sequential(nn.ReLU(), depthwise, _grouped(channels_in, channels_out), norm)


class GroupedPointwise(nn.Module):
    """A grouped 1x1 convolution whose output channels are shuffled, so that the next groups see all of them."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.convolution = _grouped(channels_in, channels_out)

    def forward(self, x: Tensor) -> Tensor:
        return functional.channel_shuffle(self.convolution(x), self.convolution.groups)


class GroupedReduce(nn.Module):
    """The factorized reduction with groups: half of the channels from the even pixels, half from their diagonal neighbours."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        half = channels_out // 2
        self.straight = GroupedPointwise(channels_in, half)
        self.shifted = GroupedPointwise(channels_in, channels_out - half)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        bordered = functional.pad(x, (0, width % 2, 0, height % 2))
        return torch.cat([self.straight(x[:, :, ::2, ::2]), self.shifted(bordered[:, :, 1::2, 1::2])], dim=1)


def _grouped(channels_in: int, channels_out: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, 1, groups=common_groups(channels_in, channels_out), bias=False)
