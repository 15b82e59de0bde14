"""Fitting a device table: what each choice adds to a measured metric, by nonnegative least squares over measured architectures.

A network's value is modelled as a fixed part plus one number per edge and operation. Edges of a group at which every operation has
the same exact costs do the same work, so their numbers are drawn together, as strongly as cross-validation on the measured networks
asks for: not at all where measurements are exact, up to one shared number where they are few or noisy. Our own construction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from moonas.architecture import Architecture
from moonas.errors import UsageError
from moonas.spaces.costs import CostTable
from moonas.spaces.space import Space, chosen_edges

STRENGTHS = (0.0, 0.1, 1.0, 10.0, 100.0, 1e6)  # how strongly like edges are drawn together; the last makes them one
FOLDS = 5
LEAST = 10  # networks to fit to


@dataclass(frozen=True)
class Fit:
    """The numbers of a table, in the unit of what was measured, none of them negative.

    fixed: what every network has. edges: {group: (edges, operations)}. strength: how far like edges were drawn together.
    """

    fixed: float
    edges: dict[str, np.ndarray]
    strength: float

    def whole(self, grid: int) -> tuple[int, dict[str, np.ndarray]]:
        """fixed and edges in whole numbers of 1/grid of the unit, rounded up: a budget that holds for them holds for these."""

        def up(value: np.ndarray | float) -> np.ndarray:
            return np.ceil(np.asarray(value) * grid - 1e-6).astype(np.int64)

        return int(up(self.fixed)), {group: up(table) for group, table in self.edges.items()}


def fit_table(space: Space, costs: CostTable, architectures: Sequence[Architecture], values: Sequence[float]) -> Fit:
    """The table that predicts `values`, one per architecture, all at the skeleton of `costs`, which says which edges are alike.

    Raises UsageError for fewer than 10 architectures.
    """
    if len(architectures) < LEAST:
        raise UsageError(f"a device table needs at least {LEAST} measured networks to be fitted to, got {len(architectures)}")
    matrix, measured = _matrix(space, architectures), np.array(values, dtype=float)
    kinds = _kinds(costs)
    strength = min(STRENGTHS, key=lambda strength: _validation_error(matrix, measured, kinds, strength))
    solution = _solve(matrix, measured, kinds, strength)
    edges = {name: solution[start : start + math.prod(shape)].reshape(shape) for name, (start, shape) in _columns(space).items()}
    return Fit(float(solution[0]), edges, strength)


def rank_correlation(one: Sequence[float], other: Sequence[float]) -> float:
    """Spearman's, in [-1, 1]; 0 where one of them is constant."""
    from scipy.stats import rankdata

    ranks = [rankdata(values) for values in (one, other)]
    if any(np.ptp(rank) == 0 for rank in ranks):
        return 0.0
    return float(np.corrcoef(*ranks)[0, 1])


def _columns(space: Space) -> dict[str, tuple[int, tuple[int, int]]]:
    """{group: (first column, shape)} of each group's choices in a row of numbers that begins with the fixed part."""
    starts = accumulate((math.prod(group.shape) for group in space.groups.values()), initial=1)
    return {name: (start, group.shape) for (name, group), start in zip(space.groups.items(), starts, strict=False)}


def _matrix(space: Space, architectures: Sequence[Architecture]) -> np.ndarray:
    """(architectures, 1 + choices): a one for the fixed part and for every choice that an architecture makes."""
    columns = _columns(space)
    matrix = np.zeros((len(architectures), 1 + sum(math.prod(shape) for _, shape in columns.values())))
    matrix[:, 0] = 1
    for row, architecture in enumerate(architectures):
        for name, kept in chosen_edges(architecture).items():
            start, shape = columns[name]
            for edge in kept:
                matrix[row, start + np.ravel_multi_index(space.groups[name].place(edge), shape)] = 1
    return matrix


def _kinds(costs: CostTable) -> np.ndarray:
    """(1 + choices,) numbers: equal for the same operation on like edges of a group."""
    known: dict[tuple[object, ...], int] = {(): 0}
    kinds = [0]
    for group, edges in costs.edges.items():
        for edge in edges:
            kinds += [known.setdefault((group, edge.tobytes(), column), len(known)) for column in range(len(edge))]
    return np.array(kinds)


def _solve(matrix: np.ndarray, values: np.ndarray, kinds: np.ndarray, strength: float) -> np.ndarray:
    """The nonnegative numbers of least squared error, drawn towards those that are shared by kind."""
    from scipy.optimize import nnls

    member = kinds[:, None] == np.arange(kinds.max() + 1)
    shared = nnls(matrix @ member, values)[0][kinds]
    if strength == STRENGTHS[-1]:
        return shared
    pull = np.sqrt(strength) * np.eye(len(kinds))[1:]
    return nnls(np.vstack([matrix, pull]), np.concatenate([values, pull @ shared]))[0]


def _validation_error(matrix: np.ndarray, values: np.ndarray, kinds: np.ndarray, strength: float) -> float:
    """Mean squared error over networks left out in turn."""
    fold = np.arange(len(values)) % FOLDS
    errors = [
        matrix[fold == left_out] @ _solve(matrix[fold != left_out], values[fold != left_out], kinds, strength)
        - values[fold == left_out]
        for left_out in range(FOLDS)
    ]
    return float(np.mean(np.concatenate(errors) ** 2))
