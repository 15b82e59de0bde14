"""Scores as JSON data: nested lists of log-probabilities, with null for -inf, an operation that its search has dropped."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

JsonScores = dict[str, list[list[float | None]]]


def scores_to_json(scores: Mapping[str, Any]) -> JsonScores:
    """{group: (edges, operations)}, of anything that has `tolist`."""
    return {
        group: [[None if value == -math.inf else value for value in row] for row in matrix.tolist()]
        for group, matrix in scores.items()
    }


def scores_from_json(data: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """What `scores_to_json` wrote, as arrays of float64."""
    return {
        group: np.array([[-math.inf if value is None else value for value in row] for row in matrix])
        for group, matrix in data.items()
    }
