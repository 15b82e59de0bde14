"""Expected cost of the architecture that probabilities stand for: exact tables in, a differentiable number out.

What it is of probabilities stands in `moonas.spaces.relaxed`.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from moonas.spaces.costs import CostTable
from moonas.spaces.relaxed import kept_share
from moonas.spaces.space import Space


class ExpectedCost:
    """Called with {group: (edges, operations)} probabilities; returns (metrics,) float64, in the order of the table's metrics.

    The second argument says how often each edge is kept, {group: (edges,)}, where that is learned too.
    """

    def __init__(self, space: Space, table: CostTable, device: str | torch.device = "cpu") -> None:
        self.fixed = torch.as_tensor(table.fixed, dtype=torch.float64, device=device)
        self.selectable = {name: group.selectable for name, group in space.groups.items()}
        self.edges = {}
        for name, group in space.groups.items():
            self.edges[name] = torch.as_tensor(table.edges[name][:, group.selectable], dtype=torch.float64, device=device)
        self.kept = {name: torch.as_tensor(kept_share(group), device=device) for name, group in space.groups.items()}

    def __call__(self, probabilities: Mapping[str, Tensor], shares: Mapping[str, Tensor] | None = None) -> Tensor:
        total = self.fixed
        for group, costs in self.edges.items():
            live = probabilities[group].double()[:, self.selectable[group]]
            share = (self.kept if shares is None else shares)[group]
            total = total + torch.einsum("e,eo,eom->m", share, live / live.sum(dim=1, keepdim=True), costs)
        return total
