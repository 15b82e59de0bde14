"""The best combination of one option per slot, scores and costs adding up, within bounds on the costs.

Slots are merged one by one, group by group, keeping the partial sums that may still become the best. A partial sum may be discarded
for a better-scoring one at no higher cost only where a cost is bounded from above, at no lower cost only where it is bounded from
below; where it is bounded on both sides only an equal cost will do. Then one side is let go first, which mostly gives the answer;
if not, partial sums are discarded that cannot beat the best combination known (branch and bound), and where too many are left the
same choice is solved as an integer program and checked in integers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from moonas.errors import InfeasibleError
from moonas.spaces.choices import Choices, SlotArrays
from moonas.spaces.integer_program import solve
from moonas.specs import Bounds

MERGE_LIMIT = 4_000_000  # partial sums of one merge
BEAM = 1000  # partial sums kept while a first good combination is looked for
NO_LOWER, NO_UPPER = np.iinfo(np.int64).min // 4, np.iinfo(np.int64).max // 4


@dataclass(frozen=True)
class Partial:
    """Partial sums over some slots: score (n,), cost (n, bounded metrics), chosen (n, slots) option numbers."""

    score: np.ndarray
    cost: np.ndarray
    chosen: np.ndarray

    def __len__(self) -> int:
        return len(self.score)

    def take(self, index: np.ndarray) -> Partial:
        """Some of them."""
        return Partial(self.score[index], self.cost[index], self.chosen[index])

    def combine(self, other: Partial) -> tuple[np.ndarray, np.ndarray]:
        """Score (n * m,) and cost (n * m, metrics) of every pair with one of `other`, the latter varying fastest."""
        score = (self.score[:, None] + other.score[None, :]).ravel()
        return score, (self.cost[:, None, :] + other.cost[None, :, :]).reshape(len(score), self.cost.shape[1])

    def pairs(self, other: Partial, index: np.ndarray, score: np.ndarray, cost: np.ndarray) -> Partial:
        """The pairs of `combine` that `index` names."""
        one, second = np.divmod(index, len(other))
        return Partial(score[index], cost[index], np.hstack([self.chosen[one], other.chosen[second]]))


class Limits:
    """Bounds on some metrics of a space's choices, and the search for the best combination within them.

    bounds: as in specs. minimised: metrics that are traded against the score, whether bounded or not.
    """

    def __init__(self, choices: Choices, bounds: Bounds, minimised: Sequence[str] = ()) -> None:
        self.choices, self.bounds = choices, bounds
        metrics = [metric for metric in choices.table.metrics if bounds.get(metric) or metric in minimised]
        asked = [bounds.get(metric, {}) for metric in metrics]
        self.columns = [choices.table.metrics.index(metric) for metric in metrics]
        fixed = choices.table.fixed[self.columns]
        self.lower = np.array([bound.get("lower", NO_LOWER) for bound in asked], dtype=np.int64) - fixed
        self.upper = np.array([bound.get("upper", NO_UPPER) for bound in asked], dtype=np.int64) - fixed
        is_upper = [("upper" in bound or metric in minimised) for metric, bound in zip(metrics, asked, strict=True)]
        self.both = np.array([("lower" in bound and upper) for bound, upper in zip(asked, is_upper, strict=True)], dtype=bool)
        self.two_sided = bool(self.both.any())
        self.signs = np.where(is_upper, 1, -1)
        self.slots = choices.slots
        self.least = np.array([slot.costs[:, self.columns].min(axis=0) for slot in self.slots])
        self.most = np.array([slot.costs[:, self.columns].max(axis=0) for slot in self.slots])

    def best(self, option_scores: Sequence[np.ndarray]) -> np.ndarray | None:
        """The option numbers of the highest score within the limits, or None where there are none; -inf is never chosen."""
        if not self.columns:
            if -np.inf in map(np.max, option_scores):
                return None
            return np.array([int(np.argmax(score)) for score in option_scores])
        for relaxed in self._one_sided():
            chosen = relaxed.best(option_scores)
            if chosen is None or self._meets(chosen):
                return chosen
        parts = self._group_parts(option_scores)
        if not all(len(part) for part, _ in parts):
            return None
        if self.two_sided and len(parts) > 2:
            return self._branch_and_bound(parts, option_scores)
        merged = self._merge_groups(parts)
        if merged is None:
            return self._integer_program(option_scores)
        return self._best_pair(*merged)

    def front(self, option_scores: Sequence[np.ndarray]) -> Partial:
        """All sums over every slot that no other beats. Raises InfeasibleError where bounds on both sides leave too many."""
        merged = self._merge_groups(self._group_parts(option_scores))
        if merged is None:
            raise InfeasibleError("the decoded front has too many members for bounds on both sides; bound each cost on one side")
        return self._merge(*merged, range(len(self.slots)))

    def _one_sided(self) -> Iterator[Limits]:
        """Where costs are bounded on both sides: the limits with one side of each let go, which leave far fewer partial sums.

        The best under such limits is the best of all where it happens to meet the side let go. Of more than two groups, upper and
        lower sides are not mixed: costs rise together, so that such limits leave far more, and branch and bound is sooner done.
        """
        both = [metric for metric, bound in self.bounds.items() if len(bound) == 2]
        for ends in product(("upper", "lower"), repeat=len(both)) if both else ():
            if len(self.choices.groups) > 2 and len(set(ends)) > 1:
                continue
            kept = dict(zip(both, ends, strict=True))
            yield Limits(self.choices, {m: {e: v for e, v in b.items() if kept.get(m, e) == e} for m, b in self.bounds.items()})

    def _meets(self, chosen: np.ndarray) -> bool:
        total = sum(slot.costs[index, self.columns] for slot, index in zip(self.slots, chosen, strict=True))
        return bool(((total >= self.lower) & (total <= self.upper)).all())

    # Merging

    def _group_parts(self, option_scores: Sequence[np.ndarray]) -> list[tuple[Partial, list[int]]]:
        """The partial sums worth keeping of every group, with the numbers of its slots."""
        parts, start = [], 0
        for group in self.choices.groups:
            covered = list(range(start, start + len(group)))
            part = self._options(group[0], option_scores[start], start)
            for index, slot in zip(covered[1:], group[1:], strict=True):
                part = self._merge(part, self._options(slot, option_scores[index], index), range(start, index + 1))
            parts.append((part, covered))
            start += len(group)
        return parts

    def _merge_groups(self, parts: list[tuple[Partial, list[int]]]) -> tuple[Partial, Partial] | None:
        """Two sets of partial sums that together cover every slot; None where a merge would grow past its limit."""
        if len(parts) == 1:
            parts = [*parts, (self._nothing(), [])]
        (merged, covered), *others = parts
        for part, more in others[:-1]:
            if len(merged) * len(part) > MERGE_LIMIT:
                return None
            covered = covered + more
            merged = self._merge(merged, part, covered)
        last = others[-1][0]
        return None if len(merged) * len(last) > MERGE_LIMIT else (merged, last)

    def _nothing(self) -> Partial:
        return Partial(np.zeros(1), np.zeros((1, len(self.columns)), dtype=np.int64), np.zeros((1, 0), dtype=np.int64))

    def _options(self, slot: SlotArrays, score: np.ndarray, index: int) -> Partial:
        options = Partial(score, slot.costs[:, self.columns], np.arange(len(score))[:, None])
        options = options.take(np.flatnonzero(self._can_meet(options.cost, [index]) & (score > -np.inf)))
        return options.take(self._kept(options.score, options.cost))

    def _merge(self, first: Partial, second: Partial, covered: Sequence[int]) -> Partial:
        score, cost = first.combine(second)
        feasible = np.flatnonzero(self._can_meet(cost, covered))
        return first.pairs(second, feasible[self._kept(score[feasible], cost[feasible])], score, cost)

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
        if self.both.all():
            return order
        if len(columns) == 1:
            return order[_rises(score[order])]
        import moocore  # takes a third of a second to load, and only two costs or more need it

        compared = np.vstack([columns, -columns[self.both]])  # a cost that is minimised and maximised must be equal
        return order[moocore.is_nondominated(np.column_stack([compared[:, order].T.astype(float), -score[order]]))]

    def _best_pair(self, first: Partial, second: Partial) -> np.ndarray | None:
        """The best combination of one partial sum of each within the limits; of equal ones the first."""
        score, cost = first.combine(second)
        feasible = np.flatnonzero(((cost >= self.lower) & (cost <= self.upper)).all(axis=1))
        if not len(feasible):
            return None
        return first.pairs(second, feasible[[int(np.argmax(score[feasible]))]], score, cost).chosen[0]

    # Bounds on both sides, more than two groups

    def _branch_and_bound(self, parts: list[tuple[Partial, list[int]]], option_scores: Sequence[np.ndarray]) -> np.ndarray | None:
        """Merge the groups twice: first only the most promising partial sums, then all that may beat what those led to."""
        rests = [_Rest([part for part, _ in parts[index:]], self) for index in range(1, len(parts) + 1)]
        known, chosen = -np.inf, None
        for beam in (BEAM, None):
            merged, covered = parts[0]
            for (part, more), before, after in zip(parts[1:], rests[:-1], rests[1:], strict=True):
                merged = merged.take(np.flatnonzero(merged.score + before.best(merged.cost) > known))
                if len(merged) * len(part) > MERGE_LIMIT:
                    return self._integer_program(option_scores)
                covered = covered + more
                score, cost = merged.combine(part)
                promise = score + after.best(cost)
                open_ = np.flatnonzero(self._can_meet(cost, covered) & (promise > known))
                if beam is not None and len(open_) > beam:
                    open_ = open_[np.argpartition(-promise[open_], beam)[:beam]]
                open_ = open_[self._kept(score[open_], cost[open_])]
                merged = merged.pairs(part, open_, score, cost)
            if len(merged):
                winner = int(np.argmax(merged.score))
                known, chosen = merged.score[winner], merged.chosen[winner]
        return chosen

    def _integer_program(self, option_scores: Sequence[np.ndarray]) -> np.ndarray | None:
        options = [self._options(slot, option_scores[index], index) for index, slot in enumerate(self.slots)]
        if not all(map(len, options)):
            return None
        picked = solve([option.score for option in options], [option.cost for option in options], self.lower, self.upper)
        if picked is None:
            return None
        return np.array([option.chosen[index, 0] for option, index in zip(options, picked, strict=True)])


class _Rest:
    """What the groups still to be merged can add at most, given what a partial sum costs already: each bound by itself."""

    def __init__(self, parts: Sequence[Partial], limits: Limits) -> None:
        self.limits = limits
        self.fronts = []
        for column in range(len(limits.columns)):
            for sign, end in ((1, limits.upper), (-1, -limits.lower)):
                front = (np.zeros(1, dtype=np.int64), np.zeros(1))
                for part in parts:
                    front = _line_front(
                        (front[0][:, None] + sign * part.cost[None, :, column]).ravel(),
                        (front[1][:, None] + part.score[None, :]).ravel(),
                    )
                self.fronts.append((column, sign, int(end[column]), front))

    def best(self, cost: np.ndarray) -> np.ndarray:
        """An upper bound of the score that completions add to partial sums of these costs; -inf where there are none."""
        bound = np.full(len(cost), np.inf)
        for column, sign, end, (costs, scores) in self.fronts:
            place = np.searchsorted(costs, end - sign * cost[:, column], side="right") - 1
            bound = np.minimum(bound, np.where(place >= 0, scores[place], -np.inf))
        return bound


def _line_front(cost: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(costs, scores), both rising: for each cost the best score at no higher cost."""
    order = np.lexsort((-score, cost))
    kept = order[_rises(score[order])]
    return cost[kept], score[kept]


def _rises(values: np.ndarray) -> np.ndarray:
    """Where a value is above all before it."""
    rises = np.ones(len(values), dtype=bool)
    rises[1:] = values[1:] > np.maximum.accumulate(values)[:-1]
    return rises
