"""What a measured metric is a function of: a network that is ready to run, and how often to run it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from moonas.architecture import Architecture
from moonas.networks.network import build
from moonas.skeleton import Skeleton

BATCH = {"cpu": 1, "cuda": 64}  # images of a forward pass unless the study says otherwise; our own choice


class Reading(NamedTuple):
    """A value with its spread, the interquartile range of what it is the median of."""

    value: float
    spread: float


@dataclass(frozen=True)
class Subject:
    """A network in evaluation mode on a device, with one batch of images there.

    network: has fresh weights, called as `network(images)`. images: (n, c, h, w) float32.
    warmups, repeats: how many forward passes to leave out, and to take the median of.
    """

    architecture: Architecture
    skeleton: Skeleton
    network: nn.Module
    images: Tensor
    device: torch.device
    warmups: int
    repeats: int

    @classmethod
    def make(
        cls, architecture: Architecture, skeleton: Skeleton, device: str, batch: int | None, warmups: int, repeats: int
    ) -> Subject:
        """Build the network. Raises ArchitectureError or SkeletonError."""
        place = torch.device(device)
        network = build(architecture, skeleton).to(place).eval()
        generator = torch.Generator().manual_seed(0)
        images = torch.randn(batch or BATCH[place.type], *skeleton.input_shape, generator=generator).to(place)
        return cls(architecture, skeleton, network, images, place, warmups, repeats)

    def forward(self) -> None:
        """One forward pass without gradients; returns when the device is done with it."""
        with torch.inference_mode():
            self.network(self.images)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def time_calls(call: Callable[[], None], warmups: int, repeats: int, clock: Callable[[], float] = time.perf_counter) -> np.ndarray:
    """Seconds (repeats,) of each call after the warm-ups."""
    for _ in range(warmups):
        call()
    seconds = np.empty(repeats)
    for index in range(repeats):
        began = clock()
        call()
        seconds[index] = clock() - began
    return seconds


def median(values: np.ndarray) -> Reading:
    """The median, with the interquartile range."""
    lower, middle, upper = np.quantile(values, (0.25, 0.5, 0.75))
    return Reading(float(middle), float(upper - lower))
