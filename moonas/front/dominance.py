"""Pareto dominance."""

from __future__ import annotations

import moocore
import numpy as np


def non_dominated(values: np.ndarray) -> np.ndarray:
    """Mark the points that no other point dominates.

    values: (n, m), every objective minimised; a row holding NaN is never marked and dominates nothing.
    Returns (n,) bool; equal rows are all kept. Raises ValueError unless `values` is 2-D.
    Source: Deb et al. 2002, doi:10.1109/4235.996017; the algorithm is moocore's.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2:
        raise ValueError(f"values must have shape (points, objectives), not {values.shape}")
    marked = ~np.isnan(values).any(axis=1)
    if marked.any():
        marked[marked] = moocore.is_nondominated(values[marked], keep_weakly=True)
    return marked
