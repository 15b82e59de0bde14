"""The best of some points: by non-dominated rank, then by what they add to the hypervolume."""

from __future__ import annotations

import moocore
import numpy as np

from moonas.front.hypervolume import Point, contributions


def best(values: np.ndarray, count: int, reference: Point, ideal: Point) -> list[int]:
    """Which `count` of the points are the best, the best first; all in their order where there are no more.

    values: (n, m), every objective minimised, none of them NaN. reference, ideal: as of `hypervolume`.
    Whole ranks (Deb et al. 2002, doi:10.1109/4235.996017) come in their order. Within a rank the point that contributes least to
    its hypervolume is taken away, again and again (Beume et al. 2007, doi:10.1016/j.ejor.2006.08.008), and the one that is left
    comes first: of two that are nearly alike, one stays. Of equal contributions the last point goes first.
    """
    ranks = moocore.pareto_rank(np.asarray(values, dtype=np.float64)) if len(values) else np.empty(0, dtype=int)
    found: list[int] = []
    for rank in range(ranks.max(initial=-1) + 1):
        if len(found) >= count:
            break
        found += _by_contribution(values, np.flatnonzero(ranks == rank).tolist(), reference, ideal)
    return found[:count]


def _by_contribution(values: np.ndarray, left: list[int], reference: Point, ideal: Point) -> list[int]:
    taken: list[int] = []
    while left:
        added = contributions(values[left], reference, ideal)
        taken.append(left.pop(len(left) - 1 - int(added[::-1].argmin())))
    return taken[::-1]
