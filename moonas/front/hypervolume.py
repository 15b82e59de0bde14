"""Hypervolume, as a share of the box between an ideal and a reference point.

Source: Zitzler and Thiele 1998, doi:10.1007/BFb0056872; computed by moocore.
"""

from __future__ import annotations

from collections.abc import Sequence

import moocore
import numpy as np

Point = Sequence[float] | np.ndarray


def hypervolume(values: np.ndarray, reference: Point, ideal: Point) -> float:
    """The share of the box that the points dominate: 0 for none, 1 where a point reaches the ideal.

    values: (n, m), every objective minimised; rows holding NaN count for nothing, and what lies beyond the box is cut off.
    reference, ideal: (m,), the worst and the best corner of the box.
    Raises ValueError unless the shapes agree and the ideal is below the reference in every objective.
    """
    points = _in_unit_box(values, reference, ideal)
    return float(moocore.hypervolume(points, ref=np.ones(points.shape[1]))) if len(points) else 0.0


def contributions(values: np.ndarray, reference: Point, ideal: Point) -> np.ndarray:
    """What `hypervolume` would lose without each point.

    Arguments and errors as for `hypervolume`. Returns (n,); dominated and repeated points, and rows holding NaN, contribute 0.
    """
    points = _in_unit_box(values, reference, ideal)
    if not len(points):
        return np.zeros(0)
    if points.shape[1] == 1:  # moocore wants two objectives; a constant second one changes no volume
        points = np.column_stack([points, np.zeros(len(points))])
    return moocore.hv_contributions(points, ref=np.ones(points.shape[1]))


def _in_unit_box(values: np.ndarray, reference: Point, ideal: Point) -> np.ndarray:
    """The points scaled so that the ideal is 0 and the reference 1, cut off at both; NaN rows lie on the reference."""
    values, worst, best = (np.asarray(array, dtype=np.float64) for array in (values, reference, ideal))
    if values.ndim != 2 or worst.shape != best.shape or worst.shape != values.shape[1:]:
        raise ValueError(f"values {values.shape}, reference {worst.shape} and ideal {best.shape} do not fit together")
    if not (best < worst).all():
        raise ValueError(f"the ideal {best.tolist()} must be below the reference {worst.tolist()} in every objective")
    points = np.clip((values - best) / (worst - best), 0.0, 1.0)
    points[np.isnan(points).any(axis=1)] = 1.0
    return points
