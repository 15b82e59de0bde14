"""The plain supernet, the reference for the fused one: one module per edge and operation, summed as the formula says.

Written from the published description alone, with plain torch modules in their usual memory layout; of moonas it uses the layout of
cells. Weights have the names that the fused supernet's have.
Source: Liu et al., ICLR 2019, arXiv:1806.09055, and its published code.
"""

from __future__ import annotations

from contextlib import contextmanager

import torch
from torch import Tensor, nn

from moonas.inner.supernets.supernet import Choice, Mixture
from moonas.skeleton import Skeleton
from moonas.spaces.layout import CellPlan
from moonas.spaces.space import Space


class PlainSupernet(nn.Module):
    def __init__(self, space: Space, skeleton: Skeleton, stem: nn.Module | None = None) -> None:
        super().__init__()
        plans = space.cells(skeleton)
        self.space = space
        self.stem = stem or (CifarStem(skeleton) if skeleton.stem == "cifar" else ImagenetStem(skeleton))
        self.cells = nn.ModuleList(PlainCell(plan, space) for plan in plans)
        nodes = space.groups[plans[-1].group].output
        self.classifier = nn.Linear(len(nodes) * plans[-1].channels, skeleton.classes)

    def forward(self, x: Tensor, choice: Choice) -> Tensor:
        inputs = list(self.stem(x))
        for cell in self.cells:
            inputs = [*inputs[1:], cell(inputs, self._weights(choice, cell.group))]
        return self.classifier(inputs[-1].mean((2, 3)))

    def weights(self):
        return self.parameters()

    @contextmanager
    def frozen_statistics(self):
        norms = [module for module in self.modules() if isinstance(module, nn.BatchNorm2d)]
        for norm in norms:
            norm.track_running_stats = False
        yield
        for norm in norms:
            norm.track_running_stats = True

    def _weights(self, choice: Choice, group: str) -> dict[tuple[int, int], Tensor | float]:
        """{(edge, operation): weight} of those that remain, without those of `none`."""
        cell = self.space.groups[group]
        names = cell.operations
        if isinstance(choice, Mixture):
            matrix = choice.weights[group]
            left = torch.ones_like(matrix) if choice.remaining is None else choice.remaining[group]
            return {
                (e, o): matrix[e, o] for e in range(len(matrix)) for o, name in enumerate(names) if name != "none" and left[e, o]
            }
        edges = choice.architecture.groups[group]
        return {(cell.edges.index((i, j)), names.index(name)): 1.0 for j, i, name in edges if name != "none"}


class PlainCell(nn.Module):
    def __init__(self, plan: CellPlan, space: Space) -> None:
        super().__init__()
        cell = space.groups[plan.group]
        self.group, self.edges, self.output = plan.group, cell.edges, cell.output
        self.nodes = sorted({node for _, node in cell.edges})
        self.shape = (plan.channels, *plan.output_size)
        channels = plan.channels
        if plan.preprocessed:
            brought = [relu_conv_norm(width, channels) for width in plan.input_channels]
            if plan.after_reduction:
                brought[0] = FactorizedReduce(plan.input_channels[0], channels)
        else:
            brought = [nn.Identity() for _ in plan.input_channels]
        self.preprocess = nn.ModuleList(brought)
        strides = [2 if plan.reduction and predecessor < cell.inputs else 1 for predecessor, _ in cell.edges]
        self.operations = nn.ModuleList(
            nn.ModuleList(make_operation(name, channels, stride) for name in cell.operations) for stride in strides
        )

    def forward(self, inputs: list[Tensor], weights: dict[tuple[int, int], Tensor | float]) -> Tensor:
        states = {place: module(x) for place, (module, x) in enumerate(zip(self.preprocess, inputs, strict=True))}
        for node in self.nodes:
            states[node] = inputs[0].new_zeros(len(inputs[0]), *self.shape)
            for (edge, operation), weight in weights.items():
                if self.edges[edge][1] == node:
                    states[node] = states[node] + weight * self.operations[edge][operation](states[self.edges[edge][0]])
        return torch.cat([states[node] for node in self.output], dim=1)


def make_operation(name: str, channels: int, stride: int) -> nn.Module:
    kind, kernel = name.rsplit("_", 1)[0], int(name[-1]) if name[-1].isdigit() else 0
    match kind:
        case "max_pool":
            return nn.Sequential(nn.MaxPool2d(kernel, stride, kernel // 2), norm(channels))
        case "avg_pool":
            return nn.Sequential(nn.AvgPool2d(3, stride, 1, count_include_pad=False), norm(channels))
        case "skip":
            return nn.Identity() if stride == 1 else FactorizedReduce(channels, channels)
        case "sep_conv":
            return nn.Sequential(*convolution(channels, kernel, stride), *convolution(channels, kernel, 1))
        case "conv":
            return nn.Sequential(nn.ReLU(), nn.Conv2d(channels, channels, kernel, stride, kernel // 2, bias=False), norm(channels))
        case "conv_3x1":  # conv_3x1_1x3: 1x3 first
            wide = nn.Conv2d(channels, channels, (1, 3), (1, stride), (0, 1), bias=False)
            high = nn.Conv2d(channels, channels, (3, 1), (stride, 1), (1, 0), bias=False)
            return nn.Sequential(nn.ReLU(), wide, high, norm(channels))
        case "dil_conv":
            return nn.Sequential(*convolution(channels, kernel, stride, dilation=2))
    return nn.Identity()  # none: never called


def convolution(channels: int, kernel: int, stride: int, dilation: int = 1) -> list[nn.Module]:
    padding = dilation * (kernel // 2)
    return [
        nn.ReLU(),
        nn.Conv2d(channels, channels, kernel, stride, padding, dilation, groups=channels, bias=False),
        nn.Conv2d(channels, channels, 1, bias=False),
        norm(channels),
    ]


def relu_conv_norm(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(nn.ReLU(), nn.Conv2d(channels_in, channels_out, 1, bias=False), norm(channels_out))


def norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, affine=False)


class FactorizedReduce(nn.Module):
    """Odd sizes are padded by one line of zeros at the bottom or right for the shifted half."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.straight = nn.Conv2d(channels_in, channels_out // 2, 1, stride=2, bias=False)
        self.shifted = nn.Conv2d(channels_in, channels_out // 2, 1, stride=2, bias=False)
        self.norm = norm(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        x = x.relu()
        shifted = nn.functional.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2))[:, :, 1:, 1:]
        return self.norm(torch.cat([self.straight(x), self.shifted(shifted)], dim=1))


class CifarStem(nn.Module):
    def __init__(self, skeleton: Skeleton) -> None:
        super().__init__()
        channels = 3 * skeleton.channels
        self.layers = nn.Sequential(
            nn.Conv2d(skeleton.input_shape[0], channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.layers(x)
        return x, x


class ImagenetStem(nn.Module):
    def __init__(self, skeleton: Skeleton) -> None:
        super().__init__()
        channels = skeleton.channels * (3 if skeleton.stem == "imagenet-search" else 1)
        self.quarter = nn.Sequential(*halving(skeleton.input_shape[0], channels // 2), nn.ReLU(), *halving(channels // 2, channels))
        self.eighth = nn.Sequential(nn.ReLU(), *halving(channels, channels))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.quarter(x)
        return x, self.eighth(x)


def halving(channels_in: int, channels_out: int) -> list[nn.Module]:
    return [nn.Conv2d(channels_in, channels_out, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(channels_out)]
