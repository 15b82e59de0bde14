"""What every budget handler offers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from moonas.architecture import Architecture


class CellHandler(Protocol):
    """What a budget does in a search that draws whole cells. strength: how much the excess of one weighs."""

    strength: float

    def excess(self, architecture: Architecture) -> float:
        """How far one cell lies above the budget, relative to it; 0 within."""


class Handler(Protocol):
    """What a budget does during a search.

    It is made by `Class(config, space, costs, budget, device)`. costs: the CostTable at the final skeleton, exact and predicted
    columns; costs and budget are None where the search does not know them. Whatever it remembers must follow from the steps since
    an epoch began: a search is resumed between two epochs.
    """

    def loss(self, probabilities: Mapping[str, Tensor]) -> Tensor | float:
        """What the budget adds to the architecture loss. probabilities: {group: (edges, operations)}, with gradients."""

    def after_step(self, logits: Mapping[str, Tensor], optimizer: torch.optim.Optimizer, epoch: int, epochs: int) -> None:
        """Called after every step of the logits; it may change them in place.

        logits: {group: (edges, operations)}, which the optimizer (Adam) moves. epoch: from 0 on, of `epochs` in all.
        """
