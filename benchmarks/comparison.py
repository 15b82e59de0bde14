"""Methods of a stored study against random architectures of its pool."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.estimates import Estimate, best_of, jackknife, mean, mean_of, rank_correlation
from benchmarks.outcomes import Outcome, believed, outcomes, score_of
from moonas.results.study import Study

RANDOM = "random"
Value = Callable[[Outcome], float]


@dataclass(frozen=True)
class Comparison:
    """The outcomes of a study, and by budget those of its pool.

    Accuracies are of the part "valid" or "test".
    """

    study: Study
    found: list[Outcome]
    pool: dict[str, list[Outcome]]

    @classmethod
    def read(cls, study: Study, pool: Study) -> Comparison:
        """pool: a study of `random` alone, with the same data, skeletons, budgets and protocol."""
        found, drawn = outcomes(study), outcomes(pool)
        budgets = dict.fromkeys(outcome.budget for outcome in found)
        return cls(study, found, {budget: [one for one in drawn if one.budget == budget] for budget in budgets})

    @property
    def searchers(self) -> list[str]:
        return [method.label for method in self.study.config.methods if method.name != RANDOM]

    def of(self, method: str, **wanted: object) -> list[Outcome]:
        """The method's outcomes with these values of `budget` or `replicate`."""
        own = [outcome for outcome in self.found if outcome.method == method]
        return [outcome for outcome in own if all(getattr(outcome, name) == value for name, value in wanted.items())]

    def over_budgets(self, method: str, value: Value) -> Estimate:
        """The mean of a value. Budgets of a replicate often share a search, so that a replicate counts as one observation."""
        replicates = sorted({outcome.replicate for outcome in self.of(method)})
        return mean([float(np.mean([value(one) for one in self.of(method, replicate=r)])) for r in replicates])

    def paired(self, method: str, part: str) -> Estimate:
        """The mean difference from random's own trial of the same budget and replicate; NaN where one of those failed."""

        def above(outcome: Outcome) -> float:
            pair = self.of(RANDOM, budget=outcome.budget, replicate=outcome.replicate)
            return getattr(outcome, part) - getattr(pair[0], part) if pair else np.nan

        return self.over_budgets(method, above)

    def random(self, part: str, draws: Mapping[str, float]) -> list[Estimate]:
        """Per budget the accuracy of the best of so many draws from the pool, the best by `valid`."""
        found = []
        for budget, pool in self.pool.items():
            columns = (np.array([getattr(one, name) for one in pool]) for name in ("valid", part))
            found.append(jackknife(lambda *left, n=draws[budget]: best_of(min(n, len(left[0])), *left), *columns))
        return found

    def above_random(self, method: str, part: str, draws: Mapping[str, float] | None = None) -> Estimate:
        """The mean difference over budgets from the best of so many draws, one where absent."""
        draws = draws or dict.fromkeys(self.pool, 1.0)
        return self.over_budgets(method, lambda outcome: getattr(outcome, part)) - mean_of(self.random(part, draws))

    def draws_in_equal_time(self, method: str) -> dict[str, float]:
        """How many random architectures can be evaluated in the device-time of a trial, by budget; at most the pool."""
        found = {}
        for budget, pool in self.pool.items():
            spent = np.mean([one.search_seconds + one.evaluation_seconds for one in self.of(method, budget=budget)])
            found[budget] = float(np.clip(spent / np.mean([one.evaluation_seconds for one in pool]), 1, len(pool)))
        return found

    def beliefs(self, method: str) -> tuple[list[float], list[float]]:
        """Rank correlations of every trial's search: its scores of random architectures against their accuracies on `test`.

        First among the draws of the trial's own budget, then among all draws.
        """
        own = self.of(method)
        everything = [one for pool in self.pool.values() for one in pool]
        return [self._belief(one, self.pool[one.budget]) for one in own], [self._belief(one, everything) for one in own]

    def _belief(self, outcome: Outcome, pool: Sequence[Outcome]) -> float:
        (decoder,) = self.study.plan.decoders.values()  # of the one final skeleton
        scores = believed(decoder.choices, outcome.search)
        return rank_correlation([score_of(decoder.choices, scores, one.architecture) for one in pool], [one.test for one in pool])
