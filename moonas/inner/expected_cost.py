"""Expected cost of the architecture that probabilities stand for: exact tables in, a differentiable number out.

Of node j with n incoming edges two are kept, so each counts r = 2/n. `none` is never selected: probabilities are renormalised over
the other operations. Our own construction, after the relaxed costs of Jin et al. 2019 (RC-DARTS, arXiv:1912.12814).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from moonas.spaces.costs import CostTable
from moonas.spaces.space import Space


class ExpectedCost:
    """Called with {group: (edges, operations)} probabilities; returns (metrics,) float64, in the order of the table's metrics."""

    def __init__(self, space: Space, table: CostTable, device: str | torch.device = "cpu") -> None:
        nodes = [node for _, node in space.edges]
        kept = torch.tensor([2 / nodes.count(node) for node in nodes], dtype=torch.float64, device=device)
        self.live = [number for number, name in enumerate(space.operations) if name != "none"]
        self.fixed = torch.as_tensor(table.fixed, dtype=torch.float64, device=device)
        self.edges = {
            group: kept[:, None, None] * torch.as_tensor(costs[:, self.live], dtype=torch.float64, device=device)
            for group, costs in table.edges.items()
        }

    def __call__(self, probabilities: Mapping[str, Tensor]) -> Tensor:
        total = self.fixed
        for group, costs in self.edges.items():
            live = probabilities[group].double()[:, self.live]
            total = total + torch.einsum("eo,eom->m", live / live.sum(dim=1, keepdim=True), costs)
        return total
