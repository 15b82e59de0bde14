"""Uniform sampling over the architectures that meet their bounds, by counting them with the cost table.

Costs add up over slots, so the number of partial architectures of each cost follows slot by slot; drawing a total cost and then
walking back gives every feasible architecture the same probability, without rejection. Parameters and multiply-adds take few
distinct values. Where bounded costs take too many to be counted, they are counted on a coarser grid, rounded so that no feasible
architecture is lost, and what is drawn beyond the bounds is rejected: still every feasible architecture is equally likely.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from moonas.architecture import Architecture
from moonas.errors import InfeasibleError
from moonas.spaces.choices import Choices, describe
from moonas.spaces.costs import CostTable
from moonas.spaces.space import Space
from moonas.specs import Bounds

PAIRS = 300_000  # partial architectures of one step of counting
STEPS = 4096  # of a column's span, at most, once it is counted on a coarser grid
DRAWS = 400  # to estimate the share of those counted that meet the bounds
TRIES = 2000  # draws until one meets the bounds


@dataclass(frozen=True)
class _Counts:
    """How many partial architectures have each cost: costs (n, metrics) distinct rows, rising; numbers (n,) of them."""

    costs: np.ndarray
    numbers: np.ndarray

    def number_of(self, costs: np.ndarray) -> np.ndarray:
        """(k,): how many have each of the given costs (k, metrics)."""
        if not costs.shape[1]:
            return np.repeat(self.numbers, len(costs))
        place = np.minimum(np.searchsorted(_as_records(self.costs), _as_records(costs)), len(self.costs) - 1)
        return np.where((self.costs[place] == costs).all(axis=1), self.numbers[place], 0)


class FeasibleSet:
    """All architectures of a space that meet their bounds, counted; build it once to draw many.

    exact: whether nothing is to be rejected. Raises InfeasibleError where there are none.
    """

    def __init__(self, space: Space, table: CostTable, bounds: Bounds | None = None) -> None:
        self.bounds = {metric: bound for metric, bound in (bounds or {}).items() if bound}
        self.choices = Choices(space, table)
        self.choices.check_bounds(self.bounds)
        metrics = [metric for metric in table.metrics if metric in self.bounds]
        reachable = self.choices.reachable()
        columns = [table.metrics.index(metric) for metric in metrics]
        ends = [(self.bounds[m].get("lower", reachable[m][0]), self.bounds[m].get("upper", reachable[m][1])) for m in metrics]
        self.lower, self.upper = np.array(ends, dtype=np.int64).reshape(-1, 2).T - table.fixed[columns]
        self.slots = [slot.costs[:, columns] for slot in self.choices.slots]
        grid = np.ones(len(columns), dtype=np.int64)
        spans = sum((costs.max(axis=0) - costs.min(axis=0) for costs in self.slots), 0 * grid)
        while not self._count_on(grid, np.float64):  # whole numbers of any size take ten times as long
            finest = _finest(self.slots, grid)
            grid[finest] = max(2 * grid[finest], spans[finest] // STEPS)
        fits = math.prod(map(len, self.slots)) < 2**62
        self.prefixes, self.exact = self._count_on(grid, np.int64 if fits else object), bool((grid == 1).all())
        if not self.prefixes[-1].numbers.sum():
            raise InfeasibleError(f"no architecture meets {self._asked()} together")

    @cached_property
    def count(self) -> int:
        """How many there are; an estimate from a few draws unless `exact`."""
        counted = int(self.prefixes[-1].numbers.sum())
        if self.exact:
            return counted
        rng = np.random.default_rng(0)
        return round(counted * np.mean([self._meets(self._draw(rng)) for _ in range(DRAWS)]))

    def sample(self, rng: np.random.Generator) -> Architecture:
        """One of them, each equally likely. Raises InfeasibleError where so few meet the bounds that none is found."""
        return self.choices.architecture(self.draw(rng))

    def draw(self, rng: np.random.Generator) -> list[int]:
        """What `sample` draws, as the option of every slot."""
        for _ in range(TRIES):
            chosen = self._draw(rng)
            if self.exact or self._meets(chosen):
                return chosen
        raise InfeasibleError(f"no architecture that meets {self._asked()} was found among {TRIES:,} that nearly do")

    def _count_on(self, grid: np.ndarray, number: type) -> list[_Counts]:
        """Partial architectures over the first 0, 1, 2 ... slots by their cost in steps of `grid`; none where they are too many.

        Every option is rounded down, so a total is short by less than a step per slot.
        """
        slots = [costs // grid for costs in self.slots]
        lower, upper = -((len(slots) * (grid - 1) - self.lower) // grid), self.upper // grid
        self.options = [_count(costs, np.ones(len(costs), dtype=number)) for costs in slots]
        self.members = [_members(costs, counts.costs) for costs, counts in zip(slots, self.options, strict=True)]
        prefixes = [_Counts(np.zeros((1, len(grid)), dtype=np.int64), np.ones(1, dtype=number))]
        for place, options in enumerate(self.options):
            if len(prefixes[-1].costs) * len(options.costs) > PAIRS:
                return []
            rest = slots[place + 1 :]
            cheapest = sum((costs.min(axis=0) for costs in rest), np.zeros(len(grid), dtype=np.int64))
            dearest = sum((costs.max(axis=0) for costs in rest), np.zeros(len(grid), dtype=np.int64))
            prefixes.append(_extend(prefixes[-1], options, lower - dearest, upper - cheapest))
        return prefixes

    def _draw(self, rng: np.random.Generator) -> list[int]:
        """The option of every slot."""
        total = self.prefixes[-1].costs[_pick(self.prefixes[-1].numbers, rng)]
        chosen = []
        for place in reversed(range(len(self.options))):
            options, before = self.options[place], self.prefixes[place]
            left = total - options.costs
            option = _pick(options.numbers * before.number_of(left), rng)
            members = self.members[place][option]
            chosen.append(int(members[rng.integers(len(members))]))
            total = left[option]
        return chosen[::-1]

    def _meets(self, chosen: list[int]) -> bool:
        total = sum(costs[option] for costs, option in zip(self.slots, chosen, strict=True))
        return bool(((total >= self.lower) & (total <= self.upper)).all())

    def _asked(self) -> str:
        return " and ".join(describe(metric, bound) for metric, bound in self.bounds.items())


def _finest(slots: list[np.ndarray], grid: np.ndarray) -> int:
    """The column that takes the most distinct values."""
    return int(np.argmax([sum(len(np.unique(costs[:, column] // step)) for costs in slots) for column, step in enumerate(grid)]))


def _as_records(rows: np.ndarray) -> np.ndarray:
    """(n,) of one record per row, which compare by their first entry, then the second ..."""
    return np.ascontiguousarray(rows).view([("", rows.dtype)] * rows.shape[1]).ravel()


def _count(costs: np.ndarray, numbers: np.ndarray) -> _Counts:
    """Add up the numbers of equal costs."""
    if not len(costs) or not costs.shape[1]:
        return _Counts(costs[:1], numbers.sum(keepdims=True)[: len(costs)])
    order = np.lexsort(costs.T[::-1])
    rows = costs[order]
    starts = np.flatnonzero(np.concatenate([[True], (rows[1:] != rows[:-1]).any(axis=1)]))
    return _Counts(rows[starts], np.add.reduceat(numbers[order], starts))


def _members(costs: np.ndarray, distinct: np.ndarray) -> list[np.ndarray]:
    """For each distinct cost the options that have it."""
    return [np.flatnonzero((costs == row).all(axis=1)) for row in distinct]


def _extend(before: _Counts, options: _Counts, lower: np.ndarray, upper: np.ndarray) -> _Counts:
    pairs = len(before.costs) * len(options.costs)
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
