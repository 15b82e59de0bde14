"""Uniform sampling over the architectures that meet their bounds, by counting them with the cost table.

Costs add up over slots, so the number of partial architectures of each cost follows slot by slot; drawing a total cost and then
walking back gives every feasible architecture the same probability, without rejection. Only where several bounded costs take too
many values together (more than two cell groups) one of them is counted, and draws are rejected until one meets the others as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moonas.architecture import Architecture
from moonas.errors import InfeasibleError
from moonas.spaces.choices import Choices, describe
from moonas.spaces.costs import CostTable
from moonas.spaces.space import Space
from moonas.specs import Bounds

COUNT_LIMIT = 4_000_000  # partial architectures by cost, of one slot more
DRAWS = 10_000  # of which one has to meet the bounds that are not counted


class _TooMany(Exception):
    """More costs than can be counted."""


@dataclass(frozen=True)
class _Counts:
    """How many partial architectures have each cost: costs (n, metrics) distinct rows, numbers (n,) of them."""

    costs: np.ndarray
    numbers: np.ndarray


class FeasibleSet:
    """All architectures of a space that meet their bounds, counted; build it once to draw many.

    count: how many there are; None where not all bounded costs could be counted. Raises InfeasibleError where there are none.
    """

    def __init__(self, space: Space, table: CostTable, bounds: Bounds | None = None) -> None:
        bounds = {metric: bound for metric, bound in (bounds or {}).items() if bound}
        self.choices = Choices(space, table)
        self.choices.check_bounds(bounds)
        metrics = [metric for metric in table.metrics if metric in bounds]
        self.count: int | None
        try:
            self.rejecting: Bounds = {}
            self.count = self._count(metrics, bounds)
        except _TooMany:
            self.rejecting = {metric: bounds[metric] for metric in metrics[1:]}
            self._count(metrics[:1], bounds)
            self.count = None

    def _count(self, metrics: list[str], bounds: Bounds) -> int:
        table = self.choices.table
        reachable = self.choices.reachable()
        columns, fixed = [table.metrics.index(metric) for metric in metrics], table.fixed
        lower = np.array([bounds[m].get("lower", reachable[m][0]) for m in metrics], dtype=np.int64) - fixed[columns]
        upper = np.array([bounds[m].get("upper", reachable[m][1]) for m in metrics], dtype=np.int64) - fixed[columns]
        slots = [slot.costs[:, columns] for slot in self.choices.slots]
        size = 1
        for costs in slots:
            size *= len(costs)
        number = np.int64 if size < 2**62 else object
        self.options = [_count(costs, np.ones(len(costs), dtype=number)) for costs in slots]
        self.members = [_members(costs, counts.costs) for costs, counts in zip(slots, self.options, strict=True)]
        self.prefixes = [_Counts(np.zeros((1, len(columns)), dtype=np.int64), np.ones(1, dtype=number))]
        for place, options in enumerate(self.options):
            rest = slots[place + 1 :]
            cheapest = sum((costs.min(axis=0) for costs in rest), np.zeros(len(columns), dtype=np.int64))
            dearest = sum((costs.max(axis=0) for costs in rest), np.zeros(len(columns), dtype=np.int64))
            self.prefixes.append(_extend(self.prefixes[-1], options, lower - dearest, upper - cheapest))
        count = int(self.prefixes[-1].numbers.sum())
        if not count:
            asked = " and ".join(describe(metric, bounds[metric]) for metric in metrics)
            raise InfeasibleError(f"no architecture meets {asked} together")
        return count

    def sample(self, rng: np.random.Generator) -> Architecture:
        """One of them, each equally likely. Raises InfeasibleError where they are too rare to be drawn."""
        for _ in range(DRAWS if self.rejecting else 1):
            chosen = self._draw(rng)
            cost = self.choices.cost(chosen)
            if all(b.get("lower", cost[m]) <= cost[m] <= b.get("upper", cost[m]) for m, b in self.rejecting.items()):
                return self.choices.architecture(chosen)
        rare = " and ".join(describe(metric, bound) for metric, bound in self.rejecting.items())
        raise InfeasibleError(f"architectures that also meet {rare} are too rare to be drawn: none of {DRAWS:,}")

    def _draw(self, rng: np.random.Generator) -> list[int]:
        """The options of one architecture that meets the counted bounds."""
        total = self.prefixes[-1].costs[_pick(self.prefixes[-1].numbers, rng)]
        chosen = []
        for place in reversed(range(len(self.options))):
            options, before = self.options[place], self.prefixes[place]
            left = total - options.costs
            option = _pick(options.numbers * _numbers_of(left, before), rng)
            members = self.members[place][option]
            chosen.append(int(members[rng.integers(len(members))]))
            total = left[option]
        return chosen[::-1]


def sample_uniform(space: Space, table: CostTable, bounds: Bounds | None, rng: np.random.Generator) -> Architecture:
    """One architecture, each that meets `bounds` being equally likely. Raises InfeasibleError where none does."""
    return FeasibleSet(space, table, bounds).sample(rng)


def _count(costs: np.ndarray, numbers: np.ndarray) -> _Counts:
    """Add up the numbers of equal costs."""
    if not len(costs) or not costs.shape[1]:
        return _Counts(costs[:1], numbers.sum(keepdims=True)[: len(costs)])
    order = np.lexsort(costs.T[::-1])
    rows = costs[order]
    starts = np.flatnonzero(np.concatenate([[True], (rows[1:] != rows[:-1]).any(axis=1)]))
    return _Counts(rows[starts], np.add.reduceat(numbers[order], starts))


def _numbers_of(costs: np.ndarray, counts: _Counts) -> np.ndarray:
    """How many partial architectures have each of these costs."""
    if costs.shape[1] != 1:
        matches = (costs[:, None, :] == counts.costs[None, :, :]).all(axis=2)
        return (matches * counts.numbers).sum(axis=1)
    known = counts.costs[:, 0]  # rising
    place = np.minimum(np.searchsorted(known, costs[:, 0]), len(known) - 1)
    return np.where(known[place] == costs[:, 0], counts.numbers[place], 0)


def _members(costs: np.ndarray, distinct: np.ndarray) -> list[np.ndarray]:
    """For each distinct cost the options that have it."""
    return [np.flatnonzero((costs == row).all(axis=1)) for row in distinct]


def _extend(before: _Counts, options: _Counts, lower: np.ndarray, upper: np.ndarray) -> _Counts:
    pairs = len(before.costs) * len(options.costs)
    if pairs > COUNT_LIMIT and before.costs.shape[1] > 1:
        raise _TooMany
    costs = (before.costs[:, None, :] + options.costs[None, :, :]).reshape(pairs, before.costs.shape[1])
    numbers = (before.numbers[:, None] * options.numbers[None, :]).ravel()
    feasible = ((costs >= lower) & (costs <= upper)).all(axis=1)
    return _count(costs[feasible], numbers[feasible])


def _pick(numbers: np.ndarray, rng: np.random.Generator) -> int:
    """An index with probability proportional to its number, exact for integers of any size up to one part in 2**64."""
    reached = np.cumsum(numbers)
    total = int(reached[-1])
    drawn = int.from_bytes(rng.bytes((total.bit_length() + 7) // 8 + 8), "little") % total
    return int(np.searchsorted(reached, drawn, side="right"))
