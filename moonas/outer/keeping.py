"""Which trained weights stay: as the study's section `keep` says, of each network of the front those of one training."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from moonas.outer.archive import Archive
from moonas.outer.plan import Plan
from moonas.store.ledger import Ledger
from moonas.store.records import EvaluationKey, Place, TaskRecord
from moonas.store.store import Store
from moonas.store.weights import evaluations_with_weights


class Keeping:
    """The trained weights of one study.

    held: the tasks whose weights are kept, by what they measured. dropped: URLs that no row names once the present transaction is
    over; whoever removes those files empties the list.
    """

    def __init__(self, plan: Plan, ledger: Ledger, archive: Archive) -> None:
        self.plan, self.ledger, self.archive = plan, ledger, archive
        self.held: dict[EvaluationKey, int] = {}
        self.dropped: list[str] = []

    def restore(self, store: Store) -> None:
        """Take up what the database holds."""
        self.held = evaluations_with_weights(store.database, self.ledger.study_id)

    def wants(self, task: TaskRecord) -> bool:
        """Whether a task is to leave its weights behind: a search that others read, a training by the protocol itself."""
        if task.kind == "search":
            return self.plan.keeps_weights
        if task.kind != "evaluate" or self.plan.config.keep.weights == "none":
            return False
        return self.plan.trains and task.spec["protocol"]["epochs"] not in self.plan.rungs

    def settle(self, members: Sequence[tuple[Place, Mapping[str, float]]], over: bool = False) -> None:
        """Forget the weights that are not to stay. members: of the present front. over: no trial is open any more.

        Of a network on the front, the training of the best accuracy on `valid` keeps its weights, the first of equals. Until all
        that its trial asks for is known, an evaluation is in no archive, and its weights stay.
        """
        policy = self.plan.config.keep.weights
        if policy == "all" or not self.held:
            return
        on_front = {place for place, _ in members} if policy == "front" else set()
        measured: dict[Place, list[EvaluationKey]] = defaultdict(list)
        for key in self.held:
            measured[Place(key.architecture, key.skeleton, self.plan.recipe_of(key.protocol))].append(key)
        out: list[EvaluationKey] = []
        for place, keys in measured.items():
            point = self.archive.points.get(place)
            known = point.evaluations if point else {}
            judged = sorted((key for key in keys if key in known), key=lambda key: (-known[key]["accuracy"], key.replicate))
            out += judged[1:] if place in on_front else judged
            out += [key for key in keys if key not in known and (over or policy == "none")]
        for key, urls in self.ledger.drop_weights({key: self.held[key] for key in out}).items():
            self.dropped += urls
            del self.held[key]
