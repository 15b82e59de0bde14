"""Projection: from time to time the logits move to the nearest ones whose expected cost lies within the budget.

After the iterative projection of Jin et al. 2019 (RC-DARTS, arXiv:1912.12814), whose text was not at hand: when to project, how the
bounds tighten and what "nearest" means are our own choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from moonas.inner.projection import Box, project_euclidean, project_kl
from moonas.spaces.costs import CostTable
from moonas.spaces.relaxed import RelaxedCosts, flatten, unflatten
from moonas.spaces.space import Space
from moonas.specs import Bounds
from moonas.study.handlers import ProjectionConfig

MOVED = 1e-3  # a logit that is moved further loses its momentum
FLOOR_LIMIT = 0.8  # of the most parameters that the bounds allow
PROJECTIONS = {"kl": project_kl, "euclidean": project_euclidean}


class Projection:
    """Keeps expected costs at the final skeleton within the budget, its lower bounds too, and expected parameters above a floor.

    It has no state between epochs. Raises InfeasibleError where no probabilities meet the bounds.
    """

    def __init__(
        self, config: ProjectionConfig, space: Space, costs: CostTable | None, budget: Bounds | None, device: str | torch.device
    ) -> None:
        self.config, self.space = config, space
        self.epoch, self.steps = -1, 0
        self.box = None
        if costs is None:
            return
        bounds = with_floor(RelaxedCosts.of(space, costs), budget or {}, config.floor)
        metrics = [metric for metric in costs.metrics if bounds.get(metric)]
        if metrics:
            self.costs = RelaxedCosts.of(space, costs.columns(metrics))
            self.box = Box.of(metrics, bounds)
            even = np.zeros(len(self.costs.shares))
            self.even = self.costs.expected(self.costs.probabilities(even))
            project_kl(even, self.costs, self.box)  # what cannot be met fails here, before anything is trained

    def loss(self, probabilities: Mapping[str, Tensor]) -> float:
        return 0.0

    @torch.no_grad()
    def after_step(self, logits: Mapping[str, Tensor], optimizer: torch.optim.Optimizer, epoch: int, epochs: int) -> None:
        if self.box is None or not self._is_due(epoch, epochs):
            return
        before = {group: matrix.double().cpu().numpy() for group, matrix in logits.items()}
        flat = flatten(self.space, before)
        projected = PROJECTIONS[self.config.distance](flat, self.costs, self._box(epoch, epochs))
        if projected is flat:
            return
        for group, matrix in unflatten(self.space, projected, before).items():
            moved = torch.as_tensor(np.abs(matrix - before[group]) > MOVED, device=logits[group].device)
            logits[group].copy_(torch.as_tensor(matrix))
            optimizer.state[logits[group]]["exp_avg"].masked_fill_(moved, 0.0)

    def _is_due(self, epoch: int, epochs: int) -> bool:
        if epoch != self.epoch:
            self.epoch, self.steps = epoch, 0
        before, self.steps = self.steps, self.steps + 1
        if self._is_last_phase(epoch, epochs):
            return True
        return before == 0 or (epoch >= self.config.epochwise * epochs and before % self.config.every == 0)

    def _is_last_phase(self, epoch: int, epochs: int) -> bool:
        return epoch >= epochs - max(1, round(self.config.stepwise * epochs))

    def _box(self, epoch: int, epochs: int) -> Box:
        """The bounds of an epoch: upper ones come down from the expected cost of the even mixture, where searches start."""
        assert self.box is not None
        tightening = self.config.tighten * epochs
        if epoch >= tightening or self._is_last_phase(epoch, epochs):
            return self.box
        slack = np.maximum(self.even - self.box.upper, 0.0) * (1 - epoch / tightening)
        return replace(self.box, upper=self.box.upper + slack)


def with_floor(costs: RelaxedCosts, bounds: Bounds, share: float) -> Mapping[str, Mapping[str, float]]:
    """`bounds` with a lower one on parameters where they have none: the guard against cells of nothing but skips.

    It lies `share` of the reachable span above its lower end, and never above 0.8 of the most parameters that the bounds allow.
    costs: of all metrics. Raises InfeasibleError where no probabilities meet `bounds`.
    """
    costs.check(bounds)
    if not share or "lower" in bounds.get("params", {}):
        return bounds
    low, high = costs.reachable()["params"]
    most = costs.largest_within("params", bounds)
    assert most is not None, "the bounds were checked"
    floor = min(low + share * (high - low), FLOOR_LIMIT * most)
    return {**bounds, "params": {**bounds.get("params", {}), "lower": floor}}
