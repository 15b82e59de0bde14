"""What the nodes of a cell are sums of, collected source by source."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from moonas.inner.supernets.fan import Fan, Statistics
from moonas.inner.supernets.folding import WeightedSum


class Sums:
    """One pass through a cell. weights: (edges, operations).

    maps: {node: maps to be added}. weighted: {node: (weights (b,), b maps) to be added}.
    """

    def __init__(self, nodes: Iterable[int], weights: Tensor, statistics: Statistics) -> None:
        self.weights, self.statistics = weights, statistics
        self.maps: dict[int, list[Tensor]] = {node: [] for node in nodes}
        self.weighted: dict[int, list[tuple[Tensor, list[Tensor]]]] = {node: [] for node in self.maps}

    def spread(self, fan: Fan, x: Tensor) -> None:
        """Collect the mixtures of all edges that leave `x`."""
        fan.spread(x, self.weights, self.maps, self.weighted, self.statistics)

    def total(self, node: int) -> Tensor | None:
        """The value of `node`, whose terms are then forgotten; None where nothing leads to it."""
        total, parts = None, self.weighted.pop(node)
        if parts:
            total = WeightedSum.apply(torch.cat([weight for weight, _ in parts]), *(x for _, maps in parts for x in maps))
        for term in self.maps.pop(node):
            total = term if total is None else total + term
        return total
