"""What surrounds the cells, in derived and in search networks alike: stem, preprocessing, pooling, classifier.

Stem and preprocessing as DARTS has them stand here; a space's entry names the function that makes its own.

Source: Liu et al., ICLR 2019, arXiv:1806.09055, and its published code. Initial weights are torch's defaults, as published.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from moonas.errors import MoonasWarning
from moonas.networks.operations import FactorizedReduce, relu_conv_norm
from moonas.networks.precision import arithmetic, can_compute
from moonas.networks.recompute import leading_cells, recompute
from moonas.registry import load_object
from moonas.skeleton import Skeleton
from moonas.spaces.layout import CellPlan, plan_stem
from moonas.study.sections import Performance
from moonas.study.spaces import SPACES


class Surroundings(NamedTuple):
    """What a space puts around its cells.

    stem: from images to the inputs of the first cell, a tuple. before: by a cell's index, a module from the output of the cell
    before to the one input of that cell. head: what follows the last cell.
    """

    stem: nn.Module
    before: Mapping[int, nn.Module]
    head: nn.Module


class Frame(nn.Module):
    """Stem, cells, global average pooling, linear classifier, and what the skeleton's space puts between them.

    cells: modules called as `cell(inputs, *choice)` with the outputs of as many cells before as the stem has.
    features: channels of the last cell's output.
    performance: how passes compute; `set_performance` changes it.
    """

    def __init__(self, skeleton: Skeleton, plans: Sequence[CellPlan], cells: Iterable[nn.Module], features: int) -> None:
        super().__init__()
        around: Surroundings = load_object(SPACES[skeleton.space].frame)(skeleton, plans)
        self.stem, self.head = around.stem, around.head
        self.before = nn.ModuleDict({str(index): module for index, module in around.before.items()})
        self.cells = nn.ModuleList(cells)
        self.classifier = nn.Linear(features, skeleton.classes)
        self.performance = Performance()
        self._leading = leading_cells(plans)

    def set_performance(self, performance: Performance) -> None:
        """What the device of the weights cannot do is replaced by the default, with a warning."""
        device = self.classifier.weight.device
        if not can_compute(performance.precision, device):
            warnings.warn(f"{device} has no {performance.precision} arithmetic: using fp32", MoonasWarning, stacklevel=2)
            performance = replace(performance, precision="fp32")
        self.performance = performance

    def forward(self, x: Tensor, *choice: Any) -> Tensor:
        """Logits (n, classes) of images (n, c, h, w)."""
        recomputed = self._leading if self.performance.memory == "low" else 0
        with arithmetic(self.performance.precision, x.device):
            inputs = [self._laid_out(part) for part in self.stem(x)]
            for index, cell in enumerate(self.cells):
                if str(index) in self.before:
                    inputs = [self.before[str(index)](inputs[-1])]
                call = partial(recompute, cell) if index < recomputed else cell
                inputs = [*inputs[1:], call(inputs, *choice)]
            x = self.head(inputs[-1])
        return self.classifier(x.mean((2, 3), dtype=self.classifier.weight.dtype))

    def _laid_out(self, x: Tensor) -> Tensor:
        """By itself channels last on a CPU, where depthwise convolutions and their gradients are then 1.3 to 4 times faster."""
        setting = self.performance.channels_last
        last = not x.is_cuda if setting == "auto" else setting
        return x.contiguous(memory_format=torch.channels_last) if last else x


def darts_surroundings(skeleton: Skeleton, plans: Sequence[CellPlan]) -> Surroundings:
    """The stem that the skeleton names, and nothing else."""
    return Surroundings(CifarStem(skeleton) if skeleton.stem == "cifar" else ImagenetStem(skeleton), {}, nn.Identity())


class CifarStem(nn.Module):
    """One 3x3 convolution and batch norm; both first inputs are its output."""

    def __init__(self, skeleton: Skeleton) -> None:
        super().__init__()
        channels = plan_stem(skeleton).channels[0]
        self.layers = nn.Sequential(
            nn.Conv2d(skeleton.input_shape[0], channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.layers(x)
        return x, x


class ImagenetStem(nn.Module):
    """Two 3x3 convolutions of stride 2, and one more beside them: outputs of a quarter and an eighth of the size."""

    def __init__(self, skeleton: Skeleton) -> None:
        super().__init__()
        channels = plan_stem(skeleton).channels[0]
        self.quarter = nn.Sequential(
            *_halving(skeleton.input_shape[0], channels // 2),
            nn.ReLU(),
            *_halving(channels // 2, channels),
        )
        self.eighth = nn.Sequential(nn.ReLU(), *_halving(channels, channels))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.quarter(x)
        return x, self.eighth(x)


def preprocess(plan: CellPlan, affine: bool) -> nn.ModuleList:
    """What brings the inputs of a cell to its channels, and the first to its resolution; identities where they come so.

    Connection cells, where a space searches them, bring them there before.
    """
    if not plan.preprocessed:
        return nn.ModuleList(nn.Identity() for _ in plan.input_channels)
    first, *others = plan.input_channels
    return nn.ModuleList(
        [
            (FactorizedReduce if plan.after_reduction else relu_conv_norm)(first, plan.channels, affine),
            *(relu_conv_norm(channels, plan.channels, affine) for channels in others),
        ]
    )


def _halving(channels_in: int, channels_out: int) -> list[nn.Module]:
    return [nn.Conv2d(channels_in, channels_out, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(channels_out)]
