"""One point of a front: the compromise that weights ask for, and the knee."""

from __future__ import annotations

import warnings

import numpy as np

from moonas.front.dominance import non_dominated


def compromise(values: np.ndarray, weights: np.ndarray | None = None) -> int:
    """The row whose largest weighted loss is smallest.

    A loss is the distance to the best value on the front, as a share of the front's span in that objective; in an objective that is
    constant on the front nobody loses anything. Ties go to the smaller sum of weighted losses, then of losses, then to the better
    first objective.
    values: (n, m), every objective minimised; dominated rows and rows holding NaN are left out. weights: (m,), none negative, not
    all zero; 1 each where absent. An objective of weight 2 may lose half as much as one of weight 1, one of weight 0
    whatever it takes.
    Raises ValueError where no row is left or the weights do not fit.
    Source: the achievement scalarizing function of Wierzbicki 1980, doi:10.1007/978-3-642-48782-8_32, with the weights as factors.
    """
    rows, losses = _front(values)
    return int(rows[_least(losses, weights)])


def knee(values: np.ndarray) -> int:
    """The row that is hardest to leave: moving to its neighbours gains little for what it gives up.

    values: as for `compromise`, and with the same losses. pymoo names the rows whose trade-off stands out; which of several, and
    what to answer where none stands out, as on fronts of one or two points, is our own choice: their `compromise` of equal weights.
    Raises ValueError where no row is left.
    Source: Rachmawati and Srinivasan 2009, doi:10.1109/TEVC.2009.2017515, as in pymoo's `HighTradeoffPoints`.
    """
    rows, losses = _front(values)
    _, first = np.unique(losses, axis=0, return_index=True)
    varying = losses.any(axis=0)
    if len(first) > 2 and varying.sum() > 1:
        marked = _high_tradeoff(losses[np.ix_(first, varying)])
        first = first[marked] if len(marked) else first
    return int(rows[first[_least(losses[first])]])


def _front(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The indices of the non-dominated rows, and their losses: 0 the best value of each objective on the front, 1 the worst."""
    rows = np.flatnonzero(non_dominated(values))
    if not len(rows):
        raise ValueError("there is no point to choose from")
    front = np.asarray(values, dtype=np.float64)[rows]
    span = np.ptp(front, axis=0)
    return rows, (front - front.min(axis=0)) / np.where(span > 0, span, 1.0)


def _least(losses: np.ndarray, weights: np.ndarray | None = None) -> int:
    factors = np.ones(losses.shape[1]) if weights is None else np.asarray(weights, dtype=np.float64)
    if factors.shape != losses.shape[1:] or not (factors >= 0).all() or not factors.any():
        raise ValueError(f"weights must be {losses.shape[1]} numbers, none negative and not all zero, not {factors.tolist()}")
    weighted = losses * factors
    return int(np.lexsort((losses[:, 0], losses.sum(axis=1), weighted.sum(axis=1), weighted.max(axis=1)))[0])


def _high_tradeoff(losses: np.ndarray) -> np.ndarray:
    """The rows whose trade-off stands out, by pymoo, which imports a deprecated name and silences all warnings for good."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        from pymoo.mcdm.high_tradeoff import HighTradeoffPoints

        found = HighTradeoffPoints().do(losses)
    return np.array([], dtype=int) if found is None else np.atleast_1d(found)
