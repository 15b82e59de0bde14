"""Expected cost of the architecture that probabilities stand for: exact tables in, a differentiable number out.

Where n edges lead to a node that keeps k of them, each counts r = k/n (2/n in DARTS's cells); where every edge stays, r = 1. An
operation that is never selected (`none`, where edges are dropped) has no cost: probabilities are renormalised over the others.
Our own construction, after the relaxed costs of Jin et al. 2019 (RC-DARTS, arXiv:1912.12814).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from moonas.spaces.costs import CostTable
from moonas.spaces.space import CellGroup, Space


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


def kept_share(group: CellGroup) -> np.ndarray:
    """(edges,): the share of each edge that an architecture keeps, all edges of a node alike."""
    nodes = [node for _, node in group.edges]
    return np.array([1.0 if group.kept is None else group.kept / nodes.count(node) for node in nodes])
