"""Budgeted decoding: the best-scoring architecture within all bounds, exactly, and the whole front of score against cost.

Scores and costs add up over the choices of a space; `moonas.spaces.merging` says how the best combination is found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from moonas.architecture import Architecture
from moonas.errors import InfeasibleError
from moonas.spaces.choices import Choices, Scores, describe
from moonas.spaces.costs import CostTable
from moonas.spaces.merging import Limits
from moonas.spaces.space import Space
from moonas.specs import Bounds


@dataclass(frozen=True)
class Decoded:
    """One architecture with its score and its exact costs by metric."""

    architecture: Architecture
    score: float
    costs: dict[str, int]


class Decoder:
    """Decodes scores of one space at one skeleton; build it once and use it for every budget."""

    def __init__(self, space: Space, table: CostTable) -> None:
        self.choices = Choices(space, table)
        self.metrics = table.metrics

    def reachable(self) -> dict[str, tuple[int, int]]:
        """The smallest and the largest value each metric can take."""
        return self.choices.reachable()

    def reachable_within(self, metric: str, bounds: Bounds) -> tuple[int, int] | None:
        """The smallest and the largest value of one metric under bounds; None where nothing meets them."""
        column, limits = self.metrics.index(metric), Limits(self.choices, bounds)
        ends = []
        for sign in (-1, 1):
            chosen = limits.best([sign * slot.costs[:, column].astype(float) for slot in self.choices.slots])
            if chosen is None:
                return None
            ends.append(self.choices.cost(chosen)[metric])
        return ends[0], ends[1]

    def check(self, bounds: Bounds) -> None:
        """Raise InfeasibleError, with what is reachable, where no architecture meets `bounds`."""
        self.choices.check_bounds(bounds)
        indifferent = [np.zeros(len(slot.costs)) for slot in self.choices.slots]
        if Limits(self.choices, bounds).best(indifferent) is None:
            raise InfeasibleError(self._infeasible(bounds))

    def decode(self, scores: Scores, bounds: Bounds | None = None) -> Decoded:
        """The architecture of the highest score within all bounds.

        scores: {group: (edges, operations)}, log-probabilities with edge weights included, where entries of `none` are read only if
        an edge may have it; or the scores of all options of each slot, where they do not add up over edges.
        bounds: {metric: {"lower": int, "upper": int}}, either end optional. Without bounds this is the published discretisation
        of DARTS; ties take the lower predecessors, then the lower operations.
        Raises InfeasibleError, with what is reachable, where nothing meets the bounds.
        """
        limits = Limits(self.choices, bounds or {})
        self.choices.check_bounds(bounds or {})
        option_scores = self.choices.scores(scores)
        chosen = limits.best(option_scores)
        if chosen is None:
            raise InfeasibleError(self._infeasible(bounds or {}))
        score = float(sum(values[index] for values, index in zip(option_scores, chosen, strict=True)))
        return Decoded(self.choices.architecture(chosen), score, self.choices.cost(chosen))

    def decode_front(self, scores: Scores, costs: Sequence[str], bounds: Bounds | None = None) -> list[Decoded]:
        """Every architecture that no other beats in score without costing more: one search, a network for every budget.

        costs: the metrics to trade against the score. Returns them by rising cost, all within `bounds`.
        Raises InfeasibleError where nothing meets the bounds.
        """
        bounds = bounds or {}
        self.choices.check_bounds(bounds)
        limits = Limits(self.choices, {**{metric: {} for metric in costs}, **bounds}, minimised=tuple(costs))
        option_scores = self.choices.scores(scores)
        front = limits.front(option_scores)
        if not len(front.score):
            raise InfeasibleError(self._infeasible(bounds))
        order = np.lexsort((-front.score, *front.cost.T[::-1]))
        return [
            Decoded(self.choices.architecture(chosen), float(score), self.choices.cost(chosen))
            for score, chosen in zip(front.score[order], front.chosen[order], strict=True)
        ]

    def _infeasible(self, bounds: Bounds) -> str:
        """What is asked for, and what each bounded metric can reach under the other bounds."""
        asked = " and ".join(describe(metric, bound) for metric, bound in bounds.items())
        reach = []
        for metric in bounds:
            others = {name: bound for name, bound in bounds.items() if name != metric}
            ends = self.reachable_within(metric, others)
            if ends is not None:
                under = f" under {' and '.join(describe(name, bound) for name, bound in others.items())}" if others else ""
                reach.append(f"{metric} reaches from {ends[0]:,} to {ends[1]:,}{under}")
        return f"no architecture meets {asked}" + (f": {'; '.join(reach)}" if reach else "")
