"""Where the parts of a drawn cell stand: columns from left to right, with crossings reduced and no overlap.

A layered layout in the manner of Sugiyama, Tagawa and Toda (1981, doi:10.1109/TSMC.1981.4308636), in a form of our own: every
line is a chain of items, one in each column it passes, so that labels and passing lines hold places of their own. Within a column
a line runs level through its item, and it bends only in the gaps between columns: it can touch no box but those it joins.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

SWEEPS = 12
SPACING = 8.0  # between two boxes of a column; between two passing lines, which have no height, as well
GAP, STEEPNESS = (26.0, 64.0), 0.3  # the narrowest and widest gap between columns; a gap's width per height of its steepest line


@dataclass(eq=False)
class Item:
    """A box in a column: a node, a label, or the place of a passing line. x, y: its centre, once placed."""

    column: int
    width: float = 0.0
    height: float = 0.0
    x: float = 0.0
    y: float = 0.0
    before: list[Item] = field(default_factory=list)
    after: list[Item] = field(default_factory=list)

    @property
    def passing(self) -> bool:
        return not self.width


@dataclass(frozen=True)
class Column:
    """The items of a column from top to bottom, and the column's left and right edge."""

    items: list[Item]
    left: float = 0.0
    right: float = 0.0


def join(first: Item, second: Item) -> None:
    """Connect two items of neighbouring columns."""
    first.after.append(second)
    second.before.append(first)


def arrange(items: Sequence[Item]) -> list[Column]:
    """Order and place the items; returns the columns. The drawing starts at x = 0; y may be negative."""
    columns: list[list[Item]] = [[] for _ in range(max(item.column for item in items) + 1)]
    for item in items:
        columns[item.column].append(item)
    columns = _with_few_crossings(columns)
    for sweep in range(SWEEPS):
        for column in columns if sweep % 2 else reversed(columns):
            _level(column)
    return _spread(columns)


def crossings(columns: Sequence[Sequence[Item]]) -> int:
    """Pairs of lines that cross between neighbouring columns, whose items are listed from top to bottom."""
    total = 0
    for left, right in pairwise(columns):
        place = {item: index for index, item in enumerate(right)}
        ends: list[int] = []
        for item in left:
            targets = sorted(place[other] for other in item.after)
            total += sum(len(ends) - bisect_right(ends, target) for target in targets)
            for target in targets:
                insort(ends, target)
    return total


def _with_few_crossings(columns: list[list[Item]]) -> list[list[Item]]:
    """Sort every column by the mean place of its neighbours, to and fro, and keep the best order met."""
    best, fewest = columns, crossings(columns)
    for sweep in range(SWEEPS):
        forth = sweep % 2 == 0
        columns = [list(column) for column in columns]
        for index in range(1, len(columns)) if forth else range(len(columns) - 2, -1, -1):
            place = {item: rank for rank, item in enumerate(columns[index - 1 if forth else index + 1])}
            own = {item: rank for rank, item in enumerate(columns[index])}
            mean = {item: _mean([place[n] for n in (item.before if forth else item.after)], own[item]) for item in columns[index]}
            columns[index].sort(key=mean.__getitem__)
        if (count := crossings(columns)) < fewest:
            best, fewest = columns, count
    return best


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _level(column: list[Item]) -> None:
    """Move a column's items to the mean height of their neighbours, as far as their order and spacing allow.

    The least-squares answer: isotonic regression by pooling, on heights less the room that the items above need. A passing line
    that meets another keeps level with it rather than with nodes and labels.
    """
    room: list[float] = []
    wishes: list[float] = []
    for index, item in enumerate(column):
        room.append(room[-1] + (column[index - 1].height + item.height) / 2 + SPACING if index else 0.0)
        neighbours = [*item.before, *item.after]
        level = [n.y for n in neighbours if n.passing] if item.passing else []
        wishes.append(_mean(level or [n.y for n in neighbours], item.y) - room[-1])
    pools: list[tuple[float, int]] = []
    for wish in wishes:
        total, count = wish, 1
        while pools and pools[-1][0] / pools[-1][1] > total / count:
            total, count = total + pools[-1][0], count + pools[-1][1]
            pools.pop()
        pools.append((total, count))
    heights = [total / count for total, count in pools for _ in range(count)]
    for item, height, taken in zip(column, heights, room, strict=True):
        item.y = height + taken


def _spread(columns: list[list[Item]]) -> list[Column]:
    """Give the columns their places from left to right; steeper lines get wider gaps."""
    placed: list[Column] = []
    left = 0.0
    for items in columns:
        if placed:
            steepest = max((abs(item.y - other.y) for item in items for other in item.before), default=0.0)
            left = placed[-1].right + min(max(STEEPNESS * steepest, GAP[0]), GAP[1])
        width = max(item.width for item in items)
        for item in items:
            item.x = left + width / 2
        placed.append(Column(items, left, left + width))
    return placed
