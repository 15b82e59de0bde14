"""Budgeted decoding: the best-scoring architecture within all bounds, exactly, and the whole front of score against cost.

Scores and costs add up over slots. Slots are merged one by one, group by group, keeping the partial sums that may still become the
best. A partial sum may be discarded for a better-scoring one at no higher cost only where a cost is bounded from above, at no lower
cost only where it is bounded from below; where it is bounded on both sides only an equal cost will do. If that leaves too many, the
same choice is solved as an integer program and checked in integers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from moonas.architecture import Architecture
from moonas.errors import InfeasibleError
from moonas.spaces.choices import Choices, SlotArrays, describe
from moonas.spaces.costs import CostTable
from moonas.spaces.space import Space
from moonas.specs import Bounds

MERGE_LIMIT = 4_000_000  # partial sums of one merge; beyond it the integer program is faster


@dataclass(frozen=True)
class Decoded:
    """One architecture with its score and its exact costs by metric."""

    architecture: Architecture
    score: float
    costs: dict[str, int]


@dataclass(frozen=True)
class _Partial:
    """Partial sums over some slots: score (n,), cost (n, bounded metrics), chosen (n, slots) option numbers."""

    score: np.ndarray
    cost: np.ndarray
    chosen: np.ndarray

    def take(self, index: np.ndarray) -> _Partial:
        return _Partial(self.score[index], self.cost[index], self.chosen[index])


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
        column, limits = self.metrics.index(metric), _Limits(self.choices, bounds)
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
        if _Limits(self.choices, bounds).best(indifferent) is None:
            raise InfeasibleError(self._infeasible(bounds))

    def decode(self, scores: Mapping[str, np.ndarray], bounds: Bounds | None = None) -> Decoded:
        """The architecture of the highest score within all bounds.

        scores: {group: (edges, operations)}, log-probabilities with edge weights included; entries of `none` are not read.
        bounds: {metric: {"lower": int, "upper": int}}, either end optional. Without bounds this is the published discretisation
        of DARTS; ties take the lower predecessors, then the lower operations.
        Raises InfeasibleError, with what is reachable, where nothing meets the bounds.
        """
        limits = _Limits(self.choices, bounds or {})
        self.choices.check_bounds(bounds or {})
        option_scores = self.choices.scores(scores)
        chosen = limits.best(option_scores)
        if chosen is None:
            raise InfeasibleError(self._infeasible(bounds or {}))
        score = float(sum(values[index] for values, index in zip(option_scores, chosen, strict=True)))
        return Decoded(self.choices.architecture(chosen), score, self.choices.cost(chosen))

    def decode_front(self, scores: Mapping[str, np.ndarray], costs: Sequence[str], bounds: Bounds | None = None) -> list[Decoded]:
        """Every architecture that no other beats in score without costing more: one search, a network for every budget.

        costs: the metrics to trade against the score. Returns them by rising cost, all within `bounds`.
        Raises InfeasibleError where nothing meets the bounds.
        """
        bounds = bounds or {}
        self.choices.check_bounds(bounds)
        limits = _Limits(self.choices, {**{metric: {} for metric in costs}, **bounds}, minimised=tuple(costs))
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


class _Limits:
    """Bounds on some metrics, as arrays: which partial sums can still meet them, and which of those need keeping."""

    def __init__(self, choices: Choices, bounds: Bounds, minimised: Sequence[str] = ()) -> None:
        metrics = [metric for metric in choices.table.metrics if bounds.get(metric) or metric in minimised]
        self.columns = [choices.table.metrics.index(metric) for metric in metrics]
        fixed = choices.table.fixed[self.columns]
        self.lower = (
            np.array([bounds.get(m, {}).get("lower", np.iinfo(np.int64).min // 2) for m in metrics], dtype=np.int64) - fixed
        )
        self.upper = (
            np.array([bounds.get(m, {}).get("upper", np.iinfo(np.int64).max // 2) for m in metrics], dtype=np.int64) - fixed
        )
        has_lower = np.array(["lower" in bounds.get(m, {}) for m in metrics], dtype=bool)
        has_upper = np.array(["upper" in bounds.get(m, {}) or m in minimised for m in metrics], dtype=bool)
        self.distinct = bool((has_lower & has_upper).any())
        self.signs = np.where(has_upper, 1, -1)
        self.slots = choices.slots
        self.groups = choices.groups
        low = np.array([slot.costs[:, self.columns].min(axis=0) for slot in self.slots])
        high = np.array([slot.costs[:, self.columns].max(axis=0) for slot in self.slots])
        self.least, self.most = low, high

    def best(self, option_scores: Sequence[np.ndarray]) -> np.ndarray | None:
        """The option numbers of the highest score within the limits, or None where there are none."""
        if not self.columns:
            return np.array([int(np.argmax(score)) for score in option_scores])
        merged = self._merge_groups(option_scores)
        if merged is None:
            return self._integer_program(option_scores)
        first, second = merged
        return _best_pair(first, second, self.lower, self.upper)

    def front(self, option_scores: Sequence[np.ndarray]) -> _Partial:
        """All partial sums over every slot that no other beats."""
        merged = self._merge_groups(option_scores)
        if merged is None:
            raise InfeasibleError("the decoded front has too many members for bounds on both sides; bound each cost on one side")
        first, second = merged
        return self._merge(first, second, range(len(self.slots)))

    def _merge_groups(self, option_scores: Sequence[np.ndarray]) -> tuple[_Partial, _Partial] | None:
        """Two sets of partial sums that together cover every slot; None where a merge would grow past its limit."""
        parts, start = [], 0
        for group in self.groups:
            part, covered = None, list(range(start, start + len(group)))
            for index, slot in zip(covered, group, strict=True):
                options = self._options(slot, option_scores[index], index)
                part = options if part is None else self._merge(part, options, range(start, index + 1))
            assert part is not None
            parts.append((part, covered))
            start += len(group)
        parts.sort(key=lambda item: item[1])
        while len(parts) > 2:
            (first, covered), (second, more) = parts[0], parts[1]
            if len(first.score) * len(second.score) > MERGE_LIMIT:
                return None
            parts[:2] = [(self._merge(first, second, covered + more), covered + more)]
        if len(parts) == 1:
            return parts[0][0], _Partial(
                np.zeros(1), np.zeros((1, len(self.columns)), dtype=np.int64), np.zeros((1, 0), dtype=np.int64)
            )
        (first, _), (second, _) = parts
        return None if len(first.score) * len(second.score) > MERGE_LIMIT else (first, second)

    def _options(self, slot: SlotArrays, score: np.ndarray, index: int) -> _Partial:
        partial = _Partial(score, slot.costs[:, self.columns], np.arange(len(score))[:, None])
        return self._keep(partial, [index])

    def _merge(self, first: _Partial, second: _Partial, covered: Sequence[int]) -> _Partial:
        score = (first.score[:, None] + second.score[None, :]).ravel()
        cost = (first.cost[:, None, :] + second.cost[None, :, :]).reshape(len(score), len(self.columns))
        one, other = np.divmod(np.arange(len(score)), len(second.score))
        feasible = self._can_meet(cost, covered)
        one, other = one[feasible], other[feasible]
        kept = self._kept(score[feasible], cost[feasible])
        one, other = one[kept], other[kept]
        chosen = np.hstack([first.chosen[one], second.chosen[other]])
        return _Partial(score[feasible][kept], cost[feasible][kept], chosen)

    def _keep(self, partial: _Partial, covered: Sequence[int]) -> _Partial:
        partial = partial.take(np.flatnonzero(self._can_meet(partial.cost, covered)))
        return partial.take(self._kept(partial.score, partial.cost))

    def _can_meet(self, cost: np.ndarray, covered: Sequence[int]) -> np.ndarray:
        """Which partial sums over the covered slots some completion brings within the limits, each metric by itself."""
        rest = np.ones(len(self.slots), dtype=bool)
        rest[list(covered)] = False
        cheapest, dearest = self.least[rest].sum(axis=0), self.most[rest].sum(axis=0)
        return ((cost + cheapest <= self.upper) & (cost + dearest >= self.lower)).all(axis=1)

    def _kept(self, score: np.ndarray, cost: np.ndarray) -> np.ndarray:
        """Indices of the partial sums that may still become the best; of equal ones the first."""
        if not len(score):
            return np.arange(0)
        columns = (cost * self.signs).T
        order = np.lexsort((-score, *columns[::-1]))
        rows = columns[:, order]
        first = np.ones(len(order), dtype=bool)
        first[1:] = (rows[:, 1:] != rows[:, :-1]).any(axis=0)
        order = order[first]
        if self.distinct:
            return order
        if len(columns) == 1:
            reached = np.maximum.accumulate(score[order])
            improves = np.ones(len(order), dtype=bool)
            improves[1:] = score[order][1:] > reached[:-1]
            return order[improves]
        import moocore  # takes a third of a second to load, and only two costs or more need it

        return order[moocore.is_nondominated(np.column_stack([columns[:, order].T.astype(float), -score[order]]))]

    def _integer_program(self, option_scores: Sequence[np.ndarray]) -> np.ndarray | None:
        """One binary variable per slot and distinct cost, solved to a gap of 0 and checked in integers."""
        from scipy.optimize import LinearConstraint, milp

        options = [
            self._options(slot, score, index) for index, (slot, score) in enumerate(zip(self.slots, option_scores, strict=True))
        ]
        if any(not len(option.score) for option in options):
            return None
        sizes = [len(option.score) for option in options]
        starts = np.concatenate([[0], np.cumsum(sizes)])
        one_each = np.zeros((len(options), starts[-1]))
        for index, (start, size) in enumerate(zip(starts, sizes, strict=False)):
            one_each[index, start : start + size] = 1
        cost = np.concatenate([option.cost for option in options])
        scale = np.maximum(np.abs(cost).max(axis=0), 1)
        ends = [
            np.where(np.abs(end) < np.iinfo(np.int64).max // 4, end / scale, np.sign(end) * np.inf)
            for end in (self.lower, self.upper)
        ]
        constraints = [LinearConstraint(one_each, 1, 1), LinearConstraint((cost / scale).T, *ends)]
        while True:
            solution = milp(
                -np.concatenate([option.score for option in options]),
                integrality=np.ones(starts[-1]),
                bounds=(0, 1),
                constraints=constraints,
                options={"mip_rel_gap": 0},
            )
            if solution.x is None:
                return None
            picked = np.flatnonzero(solution.x > 0.5)
            total = cost[picked].sum(axis=0)
            if ((total >= self.lower) & (total <= self.upper)).all():
                return np.array(
                    [option.chosen[pick - start, 0] for option, pick, start in zip(options, picked, starts, strict=False)]
                )
            cut = np.zeros(starts[-1])  # within the solver's tolerance but not within the bounds: forbid it and go on
            cut[picked] = 1
            constraints.append(LinearConstraint(cut, -np.inf, len(options) - 1))


def _best_pair(first: _Partial, second: _Partial, lower: np.ndarray, upper: np.ndarray) -> np.ndarray | None:
    """The best combination of one partial sum of each within the limits; of equal ones the first."""
    if not len(first.score) or not len(second.score):
        return None
    score = first.score[:, None] + second.score[None, :]
    feasible = np.ones(score.shape, dtype=bool)
    for column in range(len(lower)):
        total = first.cost[:, column][:, None] + second.cost[:, column][None, :]
        feasible &= (total >= lower[column]) & (total <= upper[column])
    score = np.where(feasible, score, -np.inf)
    one, other = np.unravel_index(int(np.argmax(score)), score.shape)
    return np.concatenate([first.chosen[one], second.chosen[other]]) if feasible[one, other] else None
