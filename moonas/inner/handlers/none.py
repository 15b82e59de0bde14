"""The search does not know the budget."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from moonas.architecture import Architecture
from moonas.spaces.costs import CostTable
from moonas.spaces.space import Space
from moonas.specs import Bounds
from moonas.study.handlers import NoneConfig


class NoHandler:
    strength = 0.0

    def __init__(
        self, config: NoneConfig, space: Space, costs: CostTable | None, budget: Bounds | None, device: str | torch.device
    ) -> None:
        pass

    def loss(self, probabilities: Mapping[str, Tensor]) -> float:
        return 0.0

    def excess(self, architecture: Architecture) -> float:
        return 0.0

    def after_step(self, logits: Mapping[str, Tensor], optimizer: torch.optim.Optimizer, epoch: int, epochs: int) -> None:
        pass

    def of(self, accuracy: float, architecture: Architecture, exponent: float, tightness: float) -> float:
        return accuracy
