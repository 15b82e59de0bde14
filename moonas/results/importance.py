"""How much each parameter of a study's trials has to do with what came of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

MOST = 3_000  # trials that are looked at, spread evenly over all
FEWEST = 12  # trials below which nothing is told
TREES, SHUFFLES = 20, 5


@dataclass(frozen=True)
class Importance:
    """shares: of each parameter, the largest first; together 1, or all 0 where nothing can be told from the parameters.

    explained: the share of the target's variance that the forest explains on trials it has not seen; below about 0.3 the shares
    mean little. trials: how many were looked at.
    """

    shares: dict[str, float]
    explained: float
    trials: int


def importance(parameters: Mapping[str, np.ndarray], target: np.ndarray) -> Importance | None:
    """Permutation importance in a random forest.

    A forest learns the target on two thirds of the trials; how much worse it tells the last third when one parameter's values are
    shuffled there is that parameter's importance (Breiman 2001, doi:10.1023/A:1010933404324). Parameters that say the same share
    theirs.
    parameters: (n,) each, numbers or text; text is told apart by value. target: (n,); rows that are not finite are left out.
    None where fewer than a dozen trials are left, or nothing varies.
    """
    from sklearn.ensemble import RandomForestRegressor

    rows = np.flatnonzero(np.isfinite(target))
    if len(rows) > MOST:
        rows = rows[np.linspace(0, len(rows) - 1, MOST).round().astype(int)]
    names = [name for name, column in parameters.items() if len(set(column[rows].tolist())) > 1]
    values = target[rows]
    if len(rows) < FEWEST or not names or np.ptp(values) == 0:
        return None
    table = np.column_stack([_as_numbers(parameters[name][rows]) for name in names])
    order = np.random.default_rng(0).permutation(len(rows))
    seen, unseen = order[len(rows) // 3 :], order[: len(rows) // 3]
    forest = RandomForestRegressor(TREES, min_samples_leaf=3, random_state=0).fit(table[seen], values[seen])
    error = _error(forest, table[unseen], values[unseen])
    worse = [_error(forest, _shuffled(table[unseen], column), np.tile(values[unseen], SHUFFLES)) for column in range(len(names))]
    shares = np.clip(np.array(worse) - error, 0.0, None)
    shares = shares / shares.sum() if shares.sum() > 0 else shares
    ranked = sorted(zip(names, shares.tolist(), strict=True), key=lambda pair: (-pair[1], pair[0]))
    variance = float(np.var(values[unseen]))
    return Importance(dict(ranked), 1 - error / variance if variance else 0.0, len(rows))


def _error(forest: Any, table: np.ndarray, values: np.ndarray) -> float:
    return float(np.mean((forest.predict(table) - values) ** 2))


def _shuffled(table: np.ndarray, column: int) -> np.ndarray:
    """The table over and over, with another order of one column each time: asked at once, a forest answers sooner."""
    draw = np.random.default_rng(column)
    found = np.tile(table, (SHUFFLES, 1))
    found[:, column] = np.concatenate([draw.permutation(table[:, column]) for _ in range(SHUFFLES)])
    return found


def _as_numbers(column: np.ndarray) -> np.ndarray:
    """Numbers as they are, absent ones below all others; text by its place among all texts."""
    if column.dtype == object:
        return np.unique(column.astype(str), return_inverse=True)[1].astype(np.float64)
    return np.where(np.isfinite(column), column, np.nanmin(column) - 1.0)
