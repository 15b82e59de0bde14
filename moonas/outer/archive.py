"""The archive: every architecture a study has measured, and the front among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from moonas.front.dominance import non_dominated
from moonas.front.hypervolume import hypervolume
from moonas.store.records import EvaluationKey, FrontUpdate, Place
from moonas.study.bounds import Bound, total_violation
from moonas.study.objectives import Objective, best_value, minimised, worst_value


@dataclass(slots=True)
class Point:
    """One architecture at one skeleton, trained by one recipe.

    costs: exact ones, and those measured once. evaluations: the metrics of each.
    """

    costs: Mapping[str, float]
    evaluations: dict[EvaluationKey, Mapping[str, float]] = field(default_factory=dict)

    def metrics(self) -> dict[str, float]:
        """Mean of every measured metric, and the costs."""
        values = [self.evaluations[key] for key in sorted(self.evaluations)]
        if len(values) == 1:
            return {**values[0], **self.costs}
        return {**{name: float(np.mean([metrics[name] for metrics in values])) for name in values[0]}, **self.costs}


def standard_error(values: Sequence[float]) -> float | None:
    """Of the mean of several measurements; None for a single one."""
    return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None


class Archive:
    """Points of one protocol, and their front under the study's constraints.

    spans: the reachable interval of each exact cost, which the hypervolume's box is made of: error 1 and 1.01 times the largest
    reachable cost are its worst corner, error 0 and the smallest reachable cost its best.
    """

    def __init__(self, objectives: Sequence[Objective], constraints: Sequence[Bound], spans: Mapping[str, tuple[int, int]]) -> None:
        self.objectives, self.constraints = objectives, constraints
        self.points: dict[Place, Point] = {}
        self.evaluations = 0  # how many the archive holds
        self.reference = [worst_value(objective, spans) or 0.0 for objective in objectives]
        self.ideal = [best_value(objective, spans) for objective in objectives]
        self._feasible: dict[Place, list[float]] = {}  # the minimised values of those that may be on the front
        self._members: set[Place] = set()  # of the front as it was when last asked for
        self._changed: set[Place] = set()  # since then

    def add(self, place: Place, costs: Mapping[str, float], key: EvaluationKey, metrics: Mapping[str, float]) -> bool:
        """Take in one evaluation; False where it was there already."""
        point = self.points.setdefault(place, Point(costs))
        if key in point.evaluations:
            return False
        point.evaluations[key] = metrics
        self.evaluations += 1
        self._changed.add(place)
        return True

    def violation(self, metrics: Mapping[str, float]) -> float:
        """See `total_violation`."""
        return total_violation(self.constraints, metrics)

    def front(self) -> list[tuple[Place, dict[str, float]]]:
        """The feasible points that no other dominates, with their metrics, in the order of their keys."""
        if self._changed:
            self._update()
        return [(place, self.points[place].metrics()) for place in sorted(self._members)]

    def _update(self) -> None:
        """Only what changed can enter the front; but where a member's mean has changed, all that it dominated may be back."""
        for place in self._changed:
            self._feasible.pop(place, None)
            found = self.points[place].metrics()
            if not self.violation(found):
                self._feasible[place] = minimised(self.objectives, found)
        again = self._changed & self._members
        places = [place for place in (self._feasible if again else self._members | self._changed) if place in self._feasible]
        if places:
            marked = non_dominated(np.array([self._feasible[place] for place in places]))
            places = [place for place, keep in zip(places, marked, strict=True) if keep]
        self._members, self._changed = set(places), set()

    def hypervolume(self, members: Sequence[tuple[Place, Mapping[str, float]]]) -> float:
        """Share of the box between ideal and reference that the members dominate."""
        values = np.array([minimised(self.objectives, metrics) for _, metrics in members]).reshape(-1, len(self.objectives))
        return hypervolume(values, np.array(self.reference), np.array(self.ideal))

    def update(self, protocol: str, members: Sequence[tuple[Place, Mapping[str, float]]], cause: str) -> FrontUpdate:
        """The members as the store takes a front. protocol: identity of the study's. cause: such as "trial 3"."""
        return FrontUpdate(
            protocol=protocol,
            members=[(place, {o.metric: values[o.metric] for o in self.objectives}) for place, values in members],
            hypervolume=self.hypervolume(members),
            cause=cause,
            evaluations=self.evaluations,
        )
