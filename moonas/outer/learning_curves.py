"""How far a training may still get: an upper bound on its last accuracy, learned from trainings that ran to their end.

With a(e) the accuracy after epoch e and a(E) that after the last, r(e) = max(0, (a(E) - a(e)) / (1 - a(e))) is the share of the
error left after epoch e that the rest of a training removes. Curves are looked at many times, so the bound on r holds at all looks
together: it is a split-conformal band, modulated as in Diquigiovanni, Fontana & Vantini 2022 (arXiv:2106.01792). The first curves
give the mean m(e) and the standard deviation s(e) of r(e), each other curve its score, the largest (r(e) - m(e)) / s(e) over the
looks. If k is the ceil((n + 1) q)-th smallest of n scores, r(e) <= m(e) + k s(e) at every look with probability q or more, for a
training that is exchangeable with them. The one side and the share of the error are our own choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import ceil

import numpy as np

from moonas.seeds import stream
from moonas.study.pruning import SHAPING, Pruning

LEAST_SPREAD = 0.01  # of r: ten curves may agree by chance; any fixed number keeps the bound valid


def removed(curves: np.ndarray) -> np.ndarray:
    """r(e) of each curve; 0 where no error is left. curves: (n, E), accuracies as fractions of 1. Returns (n, E - 1), in [0, 1]."""
    left, end = 1 - curves[:, :-1], 1 - curves[:, -1:]
    share = 1 - np.divide(end, left, out=np.ones_like(left), where=left > 0)
    return np.maximum(share, 0.0)


def highest_shares(curves: np.ndarray, quantile: float, every: int = 1) -> dict[int, float]:
    """{epoch of a look: the bound on r there}, all of them together at this quantile; empty where there are too few curves.

    curves: (n, E), of which the first `SHAPING` give mean and spread. The last look is two epochs before the end: one later
    would save nothing, because a training learns of the answer an epoch after it has reported.
    """
    looks = np.arange(every, curves.shape[1] - 1, every)
    others = len(curves) - SHAPING
    rank = ceil((others + 1) * Fraction(str(quantile)))
    if rank > others or not len(looks):
        return {}
    shares = removed(curves)[:, looks - 1]
    mean = shares[:SHAPING].mean(axis=0)
    spread = np.maximum(shares[:SHAPING].std(axis=0, ddof=1), LEAST_SPREAD)
    scores = np.sort(((shares[SHAPING:] - mean) / spread).max(axis=1))
    return dict(zip(looks.tolist(), np.minimum(mean + scores[rank - 1] * spread, 1.0).tolist(), strict=True))


class Curves:
    """The curves that bounds are made of, those of equal length together.

    A training that is given up has no end to learn from, and those that are not are the better ones: a bound made of them alone
    would be that of the good. So it is made of trainings that nobody chose: all until there are enough of them, and from then on
    those that are spared, by a draw that depends on the study's seed and the training alone.
    """

    def __init__(self, settings: Pruning, seed: int) -> None:
        self.settings, self.seed = settings, seed
        self._curves: dict[int, list[Sequence[float]]] = {}
        self._shares: dict[int, dict[int, float]] = {}

    def spares(self, key: str) -> bool:
        """Whether the training with this key runs to its end whatever comes."""
        return stream(self.seed, "spared", key) < self.settings.spared * 2**63

    def learn(self, key: str, curve: Sequence[float]) -> None:
        """Take in a training that has finished, in the order in which they do. curve: accuracy after each epoch."""
        known = self._curves.setdefault(len(curve), [])
        if len(known) < self.settings.least or self.spares(key):
            known.append(curve)
            self._shares.pop(len(curve), None)

    def highest_end(self, epoch: int, epochs: int, accuracy: float) -> float | None:
        """What a training of so many epochs reaches at most that has this accuracy after `epoch`; None where that is not known."""
        known = self._curves.get(epochs, [])
        if len(known) < self.settings.least:
            return None
        if epochs not in self._shares:
            self._shares[epochs] = highest_shares(np.array(known), self.settings.quantile, self.settings.every)
        share = self._shares[epochs].get(epoch)
        return None if share is None else accuracy + share * (1 - accuracy)
