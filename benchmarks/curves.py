"""How the front grows in a search, as a share of the true one's hypervolume, and what several seeds have in common."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import numpy as np

from moonas.front.dominance import non_dominated
from moonas.front.hypervolume import hypervolume

Box = tuple[np.ndarray, np.ndarray]  # reference and ideal, (m,) each


def front_of(values: np.ndarray) -> np.ndarray:
    """The distinct rows of (n, m) minimised values that no other dominates."""
    distinct = np.unique(values, axis=0)
    return distinct[non_dominated(distinct)]


def box_of(front: np.ndarray) -> Box:
    """From a front's ideal to a tenth of its span beyond its nadir."""
    ideal, nadir = front.min(axis=0), front.max(axis=0)
    return ideal + 1.1 * (nadir - ideal), ideal


def shares(values: np.ndarray, front: np.ndarray, box: Box) -> np.ndarray:
    """(n,): after each of the rows of (n, m) minimised values, the share of the hypervolume of `front` that they cover together."""
    best, found = np.empty((0, values.shape[1])), []
    for row in values:
        best = np.concatenate([best, [row]])
        best = best[non_dominated(best)]
        found.append(hypervolume(best, *box))
    return np.array(found) / hypervolume(front, *box)


def spread(values: Sequence[float], limit: int | None = None, signed: bool = False) -> str:
    """Median and the quartiles between which half of the seeds lie, of shares in %; of counts where there is a limit to them."""

    def text(value: float) -> str:
        if limit is None:
            return f"{100 * value:{'+' if signed else ''}.1f}"
        return f"{value:g}" if np.isfinite(value) else f">{limit}"

    low, middle, high = (float(np.quantile(values, q, method="higher" if limit else "linear")) for q in (0.25, 0.5, 0.75))
    middle = statistics.median(values) if np.isfinite(middle) else middle
    return f"{text(middle)} [{text(low)}, {text(high)}]"
