"""Penalty: what the expected cost exceeds the budget by, relative to the budget, joins the architecture loss. Our own choice."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from moonas.architecture import Architecture
from moonas.inner.expected_cost import ExpectedCost
from moonas.skeleton import Skeleton
from moonas.spaces.costs import cost_in, cost_table
from moonas.spaces.space import Space
from moonas.specs import Bounds
from moonas.study.methods import PenaltyConfig


class Penalty:
    """strength * sum over costs of max(0, expected cost at the final skeleton / upper bound - 1). Lower bounds add nothing."""

    def __init__(
        self, config: PenaltyConfig, space: Space, final: Skeleton | None, budget: Bounds | None, device: str | torch.device
    ) -> None:
        self.strength = config.strength
        upper = {metric: bound["upper"] for metric, bound in (budget or {}).items() if "upper" in bound}
        self.expected = None
        self.space, self.bounds = space, upper
        if final is not None and upper:
            self.table = cost_table(space, final)
            self.expected = ExpectedCost(space, self.table.columns(list(upper)), device)
            self.upper = torch.tensor(list(upper.values()), dtype=torch.float64, device=device)

    def loss(self, probabilities: Mapping[str, Tensor]) -> Tensor | float:
        if self.expected is None:
            return 0.0
        return self.strength * (self.expected(probabilities) / self.upper - 1).relu().sum()

    def excess(self, architecture: Architecture) -> float:
        """sum over costs of max(0, exact cost at the final skeleton / upper bound - 1)."""
        if self.expected is None:
            return 0.0
        costs = cost_in(self.table, self.space, architecture)._asdict()
        return sum(max(0.0, costs[metric] / upper - 1) for metric, upper in self.bounds.items())
