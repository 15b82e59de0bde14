"""Dropout with a generator of its own, so that a resumed run draws the same, and a probability that may change between epochs."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Dropout(nn.Module):
    """While training, zeroes values with a probability and scales the others up to keep the mean.

    probability: settable, 0 at first. generator: on the input's device; torch's global one where None.
    """

    def __init__(self) -> None:
        super().__init__()
        self.probability = 0.0
        self.generator: torch.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.probability == 0:
            return x
        keep = 1 - self.probability
        return x * (x.new_empty(self.mask_shape(x)).bernoulli_(keep, generator=self.generator) / keep)

    def mask_shape(self, x: Tensor) -> tuple[int, ...]:
        """One draw for each value."""
        return tuple(x.shape)


class DropPath(Dropout):
    """Dropout of each sample's whole map. Source: Larsson et al., ICLR 2017, arXiv:1605.07648."""

    def mask_shape(self, x: Tensor) -> tuple[int, ...]:
        return len(x), 1, 1, 1
