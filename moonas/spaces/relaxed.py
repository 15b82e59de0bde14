"""Relaxed costs: those of an architecture that is only known by probabilities, which are linear in them. NumPy only.

Where n edges lead to a node that keeps k of them, each counts with the share k/n (2/n in DARTS's cells); where every edge stays,
with 1. An operation that is never selected (`none`, where edges are dropped) has no cost; probabilities are those of the others.
Our own construction, after the relaxed costs of Jin et al. 2019 (RC-DARTS, arXiv:1912.12814).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from moonas.errors import InfeasibleError
from moonas.spaces.choices import describe
from moonas.spaces.costs import CostTable
from moonas.spaces.space import CellGroup, Space
from moonas.specs import Bounds


def kept_share(group: CellGroup) -> np.ndarray:
    """(edges,): the share of each edge that an architecture keeps, all edges of a node alike."""
    nodes = [node for _, node in group.edges]
    return np.array([1.0 if group.kept is None else group.kept / nodes.count(node) for node in nodes])


@dataclass(frozen=True)
class RelaxedCosts:
    """fixed + the sum over all choices of share * probability * cost; a choice is an operation on an edge, edge after edge.

    metrics: names of the costs. fixed: (metrics,). costs: (metrics, choices). shares: (choices,), above 0.
    starts: (edges,), the place of each edge's first choice.
    """

    metrics: tuple[str, ...]
    fixed: np.ndarray
    costs: np.ndarray
    shares: np.ndarray
    starts: np.ndarray

    @classmethod
    def of(cls, space: Space, table: CostTable) -> RelaxedCosts:
        """The selectable operations of every edge of `space`, group after group; those of `flatten`."""
        costs = [table.edges[name][:, group.selectable] for name, group in space.groups.items()]
        counts = [cost.shape[1] for cost in costs for _ in cost]
        shares = np.concatenate([kept_share(group) for group in space.groups.values()])
        return cls(
            table.metrics,
            table.fixed.astype(float),
            np.concatenate([cost.reshape(-1, len(table.metrics)) for cost in costs]).T.astype(float),
            np.repeat(shares, counts),
            np.cumsum([0, *counts[:-1]]),
        )

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """The softmax over each edge. (choices,) in and out."""
        shifted = np.exp(logits - self.by_edge(np.maximum.reduceat(logits, self.starts)))
        return shifted / self.by_edge(np.add.reduceat(shifted, self.starts))

    def expected(self, probabilities: np.ndarray) -> np.ndarray:
        """(metrics,) of probabilities (choices,)."""
        return self.fixed + self.costs @ (self.shares * probabilities)

    def by_edge(self, values: np.ndarray) -> np.ndarray:
        """A value per edge, (..., edges), repeated for every choice of the edge."""
        return np.repeat(values, np.diff(self.starts, append=len(self.shares)), axis=-1)

    def reachable(self) -> dict[str, tuple[float, float]]:
        """The smallest and the largest value of each metric."""
        weighted = self.shares * self.costs
        low = self.fixed + np.minimum.reduceat(weighted, self.starts, axis=1).sum(axis=1)
        high = self.fixed + np.maximum.reduceat(weighted, self.starts, axis=1).sum(axis=1)
        return {metric: (float(low[i]), float(high[i])) for i, metric in enumerate(self.metrics)}

    def largest_within(self, metric: str, bounds: Bounds) -> float | None:
        """The largest value of `metric` under bounds, by linear programming; None where nothing meets them."""
        from scipy.optimize import linprog

        rows, ends = [], []
        for name, bound in bounds.items():
            place = self.metrics.index(name)
            for end, sign in (("upper", 1), ("lower", -1)):
                if end in bound:
                    scale = sign / max(bound[end], 1)
                    rows.append(scale * self.shares * self.costs[place])
                    ends.append(scale * (bound[end] - self.fixed[place]))
        one_each = (self.by_edge(np.arange(len(self.starts))) == np.arange(len(self.starts))[:, None]).astype(float)
        place = self.metrics.index(metric)
        aim = self.shares * self.costs[place]
        solved = linprog(
            -aim / max(aim.max(), 1),
            A_ub=np.array(rows) if rows else None,
            b_ub=ends or None,
            A_eq=one_each,
            b_eq=np.ones(len(self.starts)),
        )
        return None if solved.x is None else float(self.expected(solved.x)[place])

    def check(self, bounds: Bounds) -> None:
        """Raise InfeasibleError, with what is reachable, where no probabilities meet `bounds`."""
        reachable = self.reachable()
        for metric, bound in bounds.items():
            low, high = reachable[metric]
            if bound.get("upper", high) < low or bound.get("lower", low) > high:
                raise InfeasibleError(
                    f"no probabilities meet {describe(metric, bound)}: expected {metric} reach from {low:,.0f} to {high:,.0f}"
                )
        if bounds and self.largest_within(next(iter(bounds)), bounds) is None:
            raise InfeasibleError(f"no probabilities meet {' and '.join(describe(*item) for item in bounds.items())} together")


def flatten(space: Space, matrices: Mapping[str, np.ndarray]) -> np.ndarray:
    """(choices,): the selectable columns of {group: (edges, operations)}, in the order of `RelaxedCosts.of`."""
    return np.concatenate([np.asarray(matrices[name])[:, group.selectable].ravel() for name, group in space.groups.items()])


def unflatten(space: Space, choices: np.ndarray, matrices: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """`matrices` with the selectable columns replaced by `choices`, of which `flatten` makes the latter again."""
    replaced, start = {}, 0
    for name, group in space.groups.items():
        rows, columns = len(group.edges), group.selectable
        replaced[name] = np.array(matrices[name])
        replaced[name][:, columns] = choices[start : start + rows * len(columns)].reshape(rows, len(columns))
        start += rows * len(columns)
    return replaced
