"""Reward: what a sampled network costs, against the budget, multiplies its accuracy; see `moonas.inner.rewards`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from moonas.architecture import Architecture
from moonas.errors import UsageError
from moonas.inner.rewards import reward
from moonas.spaces.costs import CostTable, total_in
from moonas.spaces.space import Space
from moonas.specs import Bounds
from moonas.study.handlers import RewardConfig

Provider = Callable[[Architecture], float]


class Reward:
    """References are the budget's upper bounds, with those of the settings besides or instead.

    providers: further costs by name, each a function from an architecture to a positive number; it is never differentiated.
    Raises UsageError for a reference whose cost nothing provides.
    """

    def __init__(
        self,
        config: RewardConfig,
        space: Space,
        costs: CostTable | None,
        budget: Bounds | None,
        device: str | torch.device,
        providers: Mapping[str, Provider] | None = None,
    ) -> None:
        upper = {metric: float(bound["upper"]) for metric, bound in (budget or {}).items() if "upper" in bound}
        self.references: dict[str, float] = {**upper, **(config.references or {})}
        self.exponents = {metric: (config.exponents or {}).get(metric, 1.0) for metric in self.references}
        self.one_sided, self.providers = config.one_sided, dict(providers or {})
        if costs is not None:
            self.providers |= {metric: _column(space, costs.columns([metric])) for metric in costs.metrics}
        for metric in self.references:
            if metric not in self.providers:
                known = ", ".join(sorted(self.providers)) or "none"
                raise UsageError(f"reward: nothing tells {metric} of a sampled network; known: {known}")

    def of(self, accuracy: float, architecture: Architecture, exponent: float, tightness: float) -> float:
        """The reward of a network.

        accuracy: a fraction of 1. exponent, tightness: what the method's present stage multiplies exponents and references by.
        Raises UsageError for a cost that is not positive.
        """
        costs = {metric: self.providers[metric](architecture) for metric in self.references}
        for metric, value in costs.items():
            if not value > 0:
                raise UsageError(f"reward: {metric} must be positive, and is {value} for architecture {architecture.key}")
        references = {metric: value * tightness for metric, value in self.references.items()}
        exponents = {metric: value * exponent for metric, value in self.exponents.items()}
        return reward(accuracy, costs, references, exponents, self.one_sided)


def _column(space: Space, table: CostTable) -> Provider:
    """What the one column of a table says; at the final skeleton, since at that of the search networks are ranked otherwise."""
    return lambda architecture: float(next(iter(total_in(table, space, architecture).values())))
