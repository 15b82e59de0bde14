"""What every budget handler offers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor

from moonas.architecture import Architecture


class CellHandler(Protocol):
    """What a budget does in a search that draws whole cells. strength: how much the excess of one weighs."""

    strength: float

    def excess(self, architecture: Architecture) -> float:
        """How far one cell lies above the budget, relative to it; 0 within."""


class Handler(Protocol):
    """What a budget does during a search.

    It is made by `Class(config, space, final, budget, device)`; final and budget are None where the search does not know them.
    """

    def loss(self, probabilities: Mapping[str, Tensor]) -> Tensor | float:
        """What the budget adds to the architecture loss. probabilities: {group: (edges, operations)}, with gradients."""
