"""What a study has found out about its networks: evaluations, measurements, and the front among them."""

from __future__ import annotations

from collections.abc import Mapping

from moonas.architecture import Architecture
from moonas.outer.archive import Archive
from moonas.outer.identity import evaluation_key, measured_key
from moonas.outer.keeping import Keeping
from moonas.outer.plan import Plan
from moonas.outer.stagnation import cause_of
from moonas.outer.steps import measured_values
from moonas.outer.work import OpenTrial
from moonas.skeleton import Skeleton
from moonas.specs import Device, EvaluateSpec, MeasureSpec, device_text
from moonas.store.ledger import Ledger
from moonas.store.records import EvaluationKey, NewCandidate, Place, TaskRecord


class Findings:
    """The evaluations that a study may use, whichever study made them, and its front; what changes is stored at once.

    device: fingerprint of the one to measure on, None for a study that measures nothing; bound: of the one it has measured on.
    members, hypervolume: of the front as it is stored.
    """

    def __init__(self, plan: Plan, ledger: Ledger, device: Device | None) -> None:
        self.plan, self.ledger, self.device = plan, ledger, device
        self.bound: Device | None = None
        self.known: dict[EvaluationKey, Mapping[str, float]] = {}
        self.archive = Archive(plan.config.objectives, plan.config.constraints, plan.spans)
        self.keeping = Keeping(plan, ledger, self.archive)
        self.members: list[tuple[Place, dict[str, float]]] = []
        self.hypervolume = 0.0

    def find(self, key: EvaluationKey) -> Mapping[str, float] | None:
        """The metrics of an evaluation, None where there is none yet."""
        if key not in self.known and (found := self.ledger.known_evaluation(key)) is not None:
            self.known[key] = found.metrics
        return self.known.get(key)

    def learn(self, key: EvaluationKey) -> int | None:
        """Take in what has just been stored; another study may have stored its own result a moment earlier, which counts then.

        Returns the id of the task whose result counts.
        """
        found = self.ledger.known_evaluation(key)
        assert found is not None, "it has just been stored"
        self.known[key] = found.metrics
        return found.task_id

    def key_of(self, record: TaskRecord) -> EvaluationKey:
        """Under which the result of an evaluation or a measurement is stored."""
        if record.kind == "evaluate":
            return evaluation_key(self.plan, EvaluateSpec.from_json(record.spec))
        spec = MeasureSpec.from_json(record.spec)
        return measured_key(self.plan, spec.architecture.key, spec.skeleton.key, spec.device or {})

    def place(self, candidate: NewCandidate, trial: OpenTrial) -> Place:
        """The point of the archive that a candidate of a trial belongs to."""
        return Place(candidate.architecture.key, candidate.skeleton.key, self.plan.recipe(trial.design))

    def costs(self, architecture: Architecture, skeleton: Skeleton) -> dict[str, float]:
        """What is known of a network beside its accuracy: exact costs and, once it was on the device, what was measured there."""
        key = measured_key(self.plan, architecture.key, skeleton.key, self.device) if self.device else None
        measured = measured_values(self.plan, self.known[key]) if key in self.known else {}
        return self.plan.costs(architecture, skeleton) | measured

    def metrics(self, candidate: NewCandidate, key: EvaluationKey) -> dict[str, float]:
        """All values of a candidate that has been evaluated; key: of that."""
        return {**self.known[key], **self.costs(candidate.architecture, candidate.skeleton)}

    def bind_device(self) -> None:
        """With its first values, a study that measures belongs to its device."""
        if self.device and self.bound is None:
            self.bound = self.device
            self.ledger.bind_device(self.device, device_text(self.device))

    def take_in(self, candidate: NewCandidate, trial: OpenTrial, key: EvaluationKey) -> dict[str, float]:
        """Add an evaluation of a candidate to the archive; store the front where that changes it. Returns all its values."""
        costs = self.costs(candidate.architecture, candidate.skeleton)
        if self.archive.add(self.place(candidate, trial), costs, key, self.known[key]):
            self._store_front(cause_of(trial.number))
        return {**self.known[key], **costs}

    def _store_front(self, cause: str) -> None:
        members = self.archive.front()
        if members != self.members:
            update = self.archive.update(self.plan.protocol_identity, members, cause)
            self.members, self.hypervolume = members, update.hypervolume
            self.ledger.replace_front(update)
            self.keeping.settle(members)
