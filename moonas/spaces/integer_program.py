"""The choice of one option per slot as an integer program, checked in integers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def solve(scores: Sequence[np.ndarray], costs: Sequence[np.ndarray], lower: np.ndarray, upper: np.ndarray) -> list[int] | None:
    """The option of every slot that together score highest with summed costs within [lower, upper]; None where there are none.

    scores: (options,) per slot. costs: (options, metrics) per slot, integers. One binary variable per option, solved to a gap of 0.
    """
    from scipy.optimize import LinearConstraint, milp

    sizes = [len(score) for score in scores]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    one_each = np.zeros((len(sizes), starts[-1]))
    for slot, (start, size) in enumerate(zip(starts, sizes, strict=False)):
        one_each[slot, start : start + size] = 1
    cost = np.concatenate(costs)
    scale = np.maximum(np.abs(cost).max(axis=0), 1)
    constraints = [LinearConstraint(one_each, 1, 1), LinearConstraint((cost / scale).T, lower / scale, upper / scale)]
    while True:
        solution = milp(
            -np.concatenate(scores),
            integrality=np.ones(starts[-1]),
            bounds=(0, 1),
            constraints=constraints,
            options={"mip_rel_gap": 0},
        )
        if solution.x is None:
            return None
        picked = np.flatnonzero(solution.x > 0.5)
        total = cost[picked].sum(axis=0)
        if ((total >= lower) & (total <= upper)).all():
            return [int(pick - start) for pick, start in zip(picked, starts, strict=False)]
        cut = np.zeros(starts[-1])  # within the solver's tolerance but not within the bounds: forbid it and go on
        cut[picked] = 1
        constraints.append(LinearConstraint(cut, -np.inf, len(sizes) - 1))
