"""Penalty: what the expected cost exceeds the budget by, relative to the budget, joins the architecture loss. Our own choice."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from moonas.architecture import Architecture
from moonas.inner.expected_cost import ExpectedCost
from moonas.spaces.costs import CostTable, total_in
from moonas.spaces.space import Space
from moonas.specs import Bounds
from moonas.study.handlers import PenaltyConfig


class Penalty:
    """strength * sum over costs of max(0, expected cost at the final skeleton / upper bound - 1). Lower bounds add nothing."""

    def __init__(
        self, config: PenaltyConfig, space: Space, costs: CostTable | None, budget: Bounds | None, device: str | torch.device
    ) -> None:
        self.strength = config.strength
        upper = {metric: bound["upper"] for metric, bound in (budget or {}).items() if "upper" in bound}
        self.expected = None
        self.space, self.bounds = space, upper
        if costs is not None and upper:
            self.table = costs
            self.expected = ExpectedCost(space, costs.columns(list(upper)), device)
            self.upper = torch.tensor(list(upper.values()), dtype=torch.float64, device=device)

    def loss(self, probabilities: Mapping[str, Tensor]) -> Tensor | float:
        if self.expected is None:
            return 0.0
        return self.strength * (self.expected(probabilities) / self.upper - 1).relu().sum()

    def excess(self, architecture: Architecture) -> float:
        """sum over costs of max(0, exact cost at the final skeleton / upper bound - 1)."""
        if self.expected is None:
            return 0.0
        costs = total_in(self.table, self.space, architecture)
        return sum(max(0.0, costs[metric] / upper - 1) for metric, upper in self.bounds.items())

    def after_step(self, logits: Mapping[str, Tensor], optimizer: torch.optim.Optimizer, epoch: int, epochs: int) -> None:
        pass
