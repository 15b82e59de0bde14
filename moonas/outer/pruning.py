"""Trainings that cannot reach the front any more, as far as their curves tell, and what becomes of their networks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from moonas.architecture import Architecture
from moonas.outer.archive import Archive
from moonas.outer.identity import place_of
from moonas.outer.learning_curves import Curves
from moonas.outer.plan import Design, Plan
from moonas.outer.work import OpenTask
from moonas.skeleton import Skeleton
from moonas.specs import EvaluateSpec
from moonas.store.records import Place
from moonas.store.states import TaskState
from moonas.store.store import Store
from moonas.study.bounds import Bound, total_violation
from moonas.study.objectives import Objective, minimised, values_text

ACCURACY = "accuracy"


@dataclass(frozen=True)
class Verdict:
    """Why a network is given up.

    accuracy: on `valid` after `epoch` of `epochs`. bound: the most it may reach in the end. violation: of the constraints, there.
    reason: all of that in words.
    """

    epoch: int
    epochs: int
    accuracy: float
    bound: float
    violation: float
    reason: str


class Pruner:
    """Judges trainings while they run, for a study that asks for it.

    A network is given up as a whole: no other replicate of it is trained, whichever trial wants one, and what others measure of it
    does not count, because a mean over the replicates that happened to go well would flatter it. For the same reason a network that
    has been measured once is not given up any more.
    """

    def __init__(self, plan: Plan, archive: Archive) -> None:
        self.plan, self.archive = plan, archive
        settings = plan.config.pruning
        self.curves = Curves(settings, plan.config.seed) if settings else None
        self.given_up: dict[Place, Verdict] = {}

    def restore(self, store: Store, study_id: int) -> None:
        """Take up what the database holds."""
        if self.curves:
            self.given_up = networks_given_up(store, study_id, self.plan)
            self.learn(store.curves(study_id))

    def learn(self, finished: Iterable[tuple[str, Sequence[float]]]) -> None:
        """finished: (key, curve) of trainings, in the order in which they finished."""
        if self.curves:
            for key, curve in finished:
                self.curves.learn(key, curve)

    def look(
        self,
        task: OpenTask,
        designs: Iterable[Design],
        progress: Mapping[str, Any],
        costs_of: Callable[[Architecture, Skeleton], Mapping[str, float]],
        front: Sequence[tuple[Place, Mapping[str, float]]],
        tasks: Iterable[OpenTask],
    ) -> list[OpenTask]:
        """The trainings to give up after one has reported, now PRUNED: it and the others of its network, or none.

        designs: of the trials that it serves. costs_of: what is known of a network beside its accuracy. front: the study's, at
        present. tasks: all of the study.
        """
        spec = EvaluateSpec.from_json(task.record.spec)
        place = place_of(self.plan, spec)
        if place in self.archive.points or not self._compares(spec, designs):
            return []
        verdict = self._verdict(spec, progress, costs_of(spec.architecture, spec.skeleton), front)
        if verdict is None:
            return []
        self.given_up[place] = verdict
        trainings = [
            (one, EvaluateSpec.from_json(one.record.spec)) for one in tasks if one.is_open and one.record.kind == "evaluate"
        ]
        same = [one for one, asked in trainings if place_of(self.plan, asked) == place]
        for one in same:
            one.state, one.result, one.checkpoints = TaskState.PRUNED, asdict(verdict), []
        return same

    def _compares(self, spec: EvaluateSpec, designs: Iterable[Design]) -> bool:
        """Whether a training is by the protocol of a trial that it serves, so that its accuracy compares with the front's."""
        return any(self.plan.protocol(design) == spec.protocol for design in designs)

    def _verdict(
        self,
        spec: EvaluateSpec,
        progress: Mapping[str, Any],
        costs: Mapping[str, float],
        front: Sequence[tuple[Place, Mapping[str, float]]],
    ) -> Verdict | None:
        epoch, epochs, accuracy = progress["step"], progress["of"], progress["metrics"]["valid_accuracy"]
        if self.curves is None or self.curves.spares(spec.key):
            return None
        bound = self.curves.highest_end(epoch, epochs, accuracy)
        if bound is None:
            return None
        config, best = self.plan.config, {**costs, ACCURACY: bound}
        why = hopeless(config.objectives, config.constraints, best, front)
        if not why:
            return None
        quantile = f"{100 * self.curves.settings.quantile:g} %"
        told = f"at epoch {epoch} of {epochs} accuracy {accuracy:.4f}, in the end at most {bound:.4f} with {quantile}; {why}"
        return Verdict(epoch, epochs, accuracy, bound, total_violation(config.constraints, best), told)


def hopeless(
    objectives: Sequence[Objective],
    constraints: Sequence[Bound],
    best: Mapping[str, float],
    front: Sequence[tuple[Place, Mapping[str, float]]],
) -> str:
    """Why a network cannot be on the front even if it turns out as `best`, in words; empty where it can.

    best: its metrics, the accuracy as high as it may be. An objective that is not among them may have any value: nothing is
    dominated without it.
    """
    for bound in constraints:
        if bound.metric == ACCURACY and bound.lower is not None and best[ACCURACY] < bound.lower:
            return f"misses {bound}"
    if any(objective.metric not in best for objective in objectives):
        return ""
    point = minimised(objectives, best)
    for place, metrics in front:
        member = minimised(objectives, metrics)
        if member != point and all(one <= other for one, other in zip(member, point, strict=True)):
            return f"dominated by {place.architecture[:8]} ({values_text(objectives, metrics)})"
    return ""


def networks_given_up(store: Store, study_id: int, plan: Plan) -> dict[Place, Verdict]:
    """The networks that a study does not count any more."""
    if plan.config.pruning is None:
        return {}
    tasks = store.tasks(study_id, state=TaskState.PRUNED)
    return {place_of(plan, EvaluateSpec.from_json(task.spec)): Verdict(**(task.result or {})) for task in tasks}
