"""Empirical attainment: what the fronts of several runs reach, as surfaces between their best and their worst case.

Source: Grunert da Fonseca, Fonseca and Hall 2001, doi:10.1007/3-540-44719-9_15; computed exactly by moocore, after Fonseca et al.
2011, doi:10.1007/978-3-642-19893-9_8.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import moocore
import numpy as np


def attained(fronts: Sequence[np.ndarray], share: float) -> np.ndarray:
    """The surface that at least `share` of the runs attain, by its non-dominated corners.

    fronts: one (points, m) array per run, every objective minimised; a run attains whatever one of its points weakly dominates, and
    an empty one attains nothing. share: above 0, at most 1; of n runs it asks for the smallest whole number k with k >= share * n,
    so that 0.5 is the median front (the better one of two), and 1 what every run attains.
    Returns (corners, m), in ascending order; (0, m) where too few runs hold anything.
    Raises ValueError unless there are runs of one, two or three objectives.
    """
    fronts = [np.asarray(front, dtype=np.float64) for front in fronts]
    widths = {front.shape[1] if front.ndim == 2 else 0 for front in fronts}
    if len(widths) != 1 or not widths <= {1, 2, 3}:
        raise ValueError("attainment needs runs of shape (points, objectives), with the same one, two or three objectives")
    if not 0 < share <= 1:
        raise ValueError(f"a share of the runs lies above 0 and reaches at most 1, not {share}")
    (width,) = widths
    needed = ceil(share * len(fronts) - 1e-9)  # 0.2 * 5 must ask for one run, whatever its last digit
    held = [front for front in fronts if len(front)]
    if needed > len(held):
        return np.empty((0, width))
    points = np.concatenate(held)
    if width == 1:  # moocore wants two objectives; a constant second one changes no surface
        points = np.column_stack([points, np.zeros(len(points))])
    corners = moocore.eaf(points, np.repeat(np.arange(len(held)), [len(front) for front in held]))
    levels = np.rint(corners[:, -1] * len(held) / 100).astype(int)
    return np.unique(corners[levels == needed, :width], axis=0)
