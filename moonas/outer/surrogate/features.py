"""What the model sees of a candidate: named numbers in named groups, each of which gets a length scale of its own.

An architecture is described by the ways that lead through its cells: dead edges, skips that merely rename a node, and the numbering
of nodes change nothing but one group. Ordinary parameters become numbers in [0, 1] or one number per category.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache
from math import log, log1p
from typing import Any

import numpy as np

from moonas.architecture import Architecture, Edge
from moonas.spaces.space import live_edges
from moonas.study.operations import OPERATIONS
from moonas.study.ranges import Range

Features = Mapping[str, Mapping[str, float]]  # {group: {name: value}}; a name that is missing has the value 0

IDENTITY = "skip_connect"
LONGEST = 3  # operations of a way; longer ones share one group
Way = tuple[str, ...]


def cell_features(architecture: Architecture) -> dict[str, dict[str, float]]:
    """Of every cell group, which sequences of operations occur on a way from input to output, and what the ways are like together.

    Groups: `CELL.ways L`, the sequences of L operations other than skips, `CELL.ways 4+` all longer ones; one group for every
    number of the summary, see `_summary`; `CELL.operations`, how many of each the cell holds, dead ones too, which cost time all
    the same; `CELL.links`, the connection chosen for each input, where there is a choice.
    """
    found: dict[str, dict[str, float]] = {}
    for group, edges in architecture.groups.items():
        found |= _group_features(group, edges, architecture.concat[group])
    for group, links in architecture.links.items():
        found[f"{group}.links"] = {f"{place} {name}": 1.0 for place, _, name in links}
    return found


@lru_cache(maxsize=4096)
def _group_features(group: str, edges: tuple[Edge, ...], output: tuple[int, ...]) -> dict[str, dict[str, float]]:
    """Kept, for candidates often share a cell with one that was looked at before."""
    found: dict[str, dict[str, float]] = {}
    first = min(node for node, _, _ in edges)
    live = live_edges(edges, first, output)
    ways = _ways(live, first, output)
    for way in ways:
        length = f"{len(way)}" if len(way) <= LONGEST else f"{LONGEST + 1}+"
        found.setdefault(f"{group}.ways {length}", {})[" ".join(way)] = 1.0
    found |= {f"{group}.{name}": {"": value} for name, value in _summary(live, ways).items()}
    found[f"{group}.operations"] = {name: log1p(number) for name, number in Counter(name for _, _, name in edges).items()}
    return found


def parameter_features(params: Mapping[str, Any], ranges: Mapping[str, Range]) -> dict[str, dict[str, float]]:
    """One group per parameter.

    A number within an interval becomes its place in [0, 1], on the scale of the range; so do choices that are all numbers, by
    rank; any other choice is one name among several. A parameter that does not exist under these circumstances has no entry, so
    that its group is zero, whereas one that exists carries a constant beside its value.
    """
    return {name: _parameter(params[name], values) for name, values in ranges.items() if name in params}


class Columns:
    """Assigns a column to every name as it is first seen, so that features of any space become rows of one matrix.

    groups: the names of the groups. Rows made earlier are shorter; `padded` widens them with zeros, which is what they mean.
    """

    def __init__(self) -> None:
        self.groups: list[str] = []
        self._names: dict[str, _Names] = {}
        self._group_of: list[int] = []

    def rows(self, features: Sequence[Features]) -> np.ndarray:
        """(n, columns so far) float64."""
        places: list[int] = []
        values: list[float] = []
        lengths = np.zeros(len(features), dtype=np.int64)
        for row, described in enumerate(features):
            before = len(places)
            for group, names in described.items():
                places += map((self._names.get(group) or self._added(group)).__getitem__, names)
                values += names.values()
            lengths[row] = len(places) - before
        matrix = np.zeros((len(features), len(self._group_of)))
        matrix[np.repeat(np.arange(len(features)), lengths), np.array(places, dtype=np.int64)] = values
        return matrix

    def padded(self, rows: np.ndarray) -> np.ndarray:
        """(n, columns so far): earlier rows with zeros for what has been seen since."""
        return np.pad(rows, ((0, 0), (0, len(self._group_of) - rows.shape[1])))

    @property
    def group_of(self) -> np.ndarray:
        """(columns so far,) int: the group of each column."""
        return np.array(self._group_of, dtype=np.int64)

    def _added(self, group: str) -> _Names:
        self._names[group] = _Names(len(self.groups), self._group_of)
        self.groups.append(group)
        return self._names[group]


class _Names(dict[str, int]):
    """The columns of one group's names; asked for another name, it adds the next column of all. group_of: of every column."""

    def __init__(self, group: int, group_of: list[int]) -> None:
        super().__init__()
        self._group, self._group_of = group, group_of

    def __missing__(self, name: str) -> int:
        self._group_of.append(self._group)
        self[name] = len(self._group_of) - 1
        return self[name]


def _ways(live: Sequence[Edge], inputs: int, output: Iterable[int]) -> dict[Way, int]:
    """How many ways lead from an input to an output node with each sequence of operations, skips left out."""
    reaching: dict[int, dict[Way, int]] = {node: {(): 1} for node in range(inputs)}
    for node, predecessor, operation in live:
        target = reaching.setdefault(node, {})
        for way, number in reaching[predecessor].items():
            longer = way if operation == IDENTITY else (*way, operation)
            target[longer] = target.get(longer, 0) + number
    total: dict[Way, int] = {}
    for node in output:
        for way, number in reaching.get(node, {}).items():
            total[way] = total.get(way, 0) + number
    return total


def _summary(live: Sequence[Edge], ways: Mapping[Way, int]) -> dict[str, float]:
    """Numbers of the live graph, counts as log(1 + count); "weighted" are operations with weights to train, convolutions.

    live NAME: how many of a weighted operation; mean NAME: how many of any operation other than skips a way has on average;
    ways: how many; shortest, mean, longest: weighted operations on a way; skip: whether some way is the identity; weightless: how
    many ways are without weights but not the identity; pooled, pooled last: shares of the ways with an operation without weights,
    and of those that end in one; broken: whether there is no way at all.
    """
    count = sum(ways.values())
    if not count:
        return {"broken": 1.0}
    found = {f"live {name}": log1p(n) for name, n in Counter(name for _, _, name in live if _weighted(name)).items()}
    passed: dict[str, int] = {}
    for way, n in ways.items():
        for name in way:
            passed[name] = passed.get(name, 0) + n
    found |= {f"mean {name}": passed[name] / count for name in sorted(passed)}
    lengths = {way: sum(map(_weighted, way)) for way in ways}
    bare = {way: n for way, n in ways.items() if lengths[way] < len(way)}
    return found | {
        "ways": log1p(count),
        "shortest": log1p(min(lengths.values())),
        "mean": log1p(sum(n * lengths[way] for way, n in ways.items()) / count),
        "longest": log1p(max(lengths.values())),
        "skip": float(() in ways),
        "weightless": log1p(sum(n for way, n in bare.items() if not lengths[way])),
        "pooled": sum(bare.values()) / count,
        "pooled last": sum(n for way, n in bare.items() if not _weighted(way[-1])) / count,
    }


@cache
def _weighted(operation: str) -> bool:
    return not OPERATIONS[operation].weightless


def _parameter(value: Any, values: Range) -> dict[str, float]:
    if values.kind == "choice":
        if all(isinstance(choice, int | float) and not isinstance(choice, bool) for choice in values.values):
            rank = sorted(values.values).index(value)
            return {"here": 1.0, "value": rank / max(1, len(values.values) - 1)}
        return {str(value): 1.0}
    low, high = values.values
    if values.kind == "log":
        value, low, high = log(value), log(low), log(high)
    return {"here": 1.0, "value": (value - low) / (high - low)}
