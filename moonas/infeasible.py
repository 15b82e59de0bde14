"""Where nothing meets a study's constraints: what comes closest, which constraint is in the way, and what relaxing would admit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from moonas.outer.plan import Design
from moonas.results.study import Study
from moonas.skeleton import Skeleton
from moonas.store.states import TrialState
from moonas.study.bounds import Bound, total_violation
from moonas.study.relaxation import Obstacle, admissions, admitting, missed, obstacles

CLOSEST = 5  # networks that are shown


@dataclass(frozen=True)
class Misfit:
    """A network that misses a constraint.

    metrics: what is known of it. trained: False where its exact costs already miss a constraint, so that they are all there is.
    violation: the sum over the constraints of how far each is missed, relative to its limit.
    relaxed: the constraints it misses, moved just far enough to admit it.
    """

    key: str
    skeleton: Skeleton
    trial: int
    method: str
    metrics: Mapping[str, float]
    violation: float
    relaxed: tuple[Bound, ...]
    trained: bool = True

    def to_json(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "trial": self.trial,
            "method": self.method,
            "skeleton": self.skeleton.to_json(),
            "metrics": dict(self.metrics),
            "violation": self.violation,
            "relaxed": [str(bound) for bound in self.relaxed],
            "trained": self.trained,
        }


@dataclass(frozen=True)
class Infeasibility:
    """Why a front is empty.

    networks: how many are known, none of which meets all constraints. closest: the least violating ones, the closest first.
    obstacles: one per constraint of the file. admissions: in words, what would admit one.
    """

    networks: int
    closest: tuple[Misfit, ...]
    obstacles: tuple[Obstacle, ...]
    admissions: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "networks": self.networks,
            "closest": [misfit.to_json() for misfit in self.closest],
            "constraints": [
                {"constraint": str(obstacle.bound), "excluded": obstacle.excluded, "alone": obstacle.alone}
                for obstacle in self.obstacles
            ],
            "admissions": list(self.admissions),
        }


def infeasibility(study: Study) -> Infeasibility | None:
    """What keeps the front of a study empty; None where some network meets all constraints, or none is known yet."""
    bounds = study.config.constraints
    archive = study.archive()
    if any(not missed(bounds, network.values) for network in archive):
        return None
    known = [_misfit(bounds, n.key, n.skeleton, n.trial, n.method, n.values) for n in archive] + _turned_down(study)
    if not known:
        return None
    known.sort(key=lambda misfit: (misfit.violation, misfit.trial))
    metrics = [misfit.metrics for misfit in known]
    names = [misfit.key[:8] + ("" if misfit.trained else " (not trained)") for misfit in known]
    return Infeasibility(
        networks=len(known),
        closest=tuple(known[:CLOSEST]),
        obstacles=tuple(obstacles(bounds, metrics)),
        admissions=tuple(admissions(bounds, metrics, names)),
    )


def _turned_down(study: Study) -> list[Misfit]:
    """The named networks that were never trained because their exact costs miss a constraint, each once."""
    found: dict[tuple[str, str], Misfit] = {}
    trained = {candidate.trial_id for candidate in study.store.candidates(study.record.id)}
    for trial in study.trials():
        if trial.state is TrialState.PRUNED and trial.violation and trial.id not in trained:
            design = Design.from_params(trial.params)
            skeleton = study.plan.final_skeleton((design.channels, design.cells))
            key = study.plan.architecture(design).key
            misfit = _misfit(
                study.config.constraints, key, skeleton, trial.number, design.method, trial.values or {}, trained=False
            )
            found.setdefault((key, skeleton.key), misfit)
    return list(found.values())


def _misfit(
    bounds: Sequence[Bound],
    key: str,
    skeleton: Skeleton,
    trial: int,
    method: str,
    metrics: Mapping[str, float],
    trained: bool = True,
) -> Misfit:
    relaxed = tuple(admitting(bound, metrics[bound.metric]) for bound in missed(bounds, metrics))
    return Misfit(key, skeleton, trial, method, metrics, total_violation(bounds, metrics), relaxed, trained)
