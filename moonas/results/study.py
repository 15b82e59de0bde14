"""A study, read from its database: the front, the archive, trials, and the best under a bound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

from moonas.architecture import Architecture
from moonas.errors import UsageError
from moonas.outer.archive import Archive
from moonas.outer.candidates import fell_back
from moonas.outer.plan import Plan
from moonas.outer.steps import NOUN
from moonas.results.attainment import Attainment, attainment
from moonas.results.choosing import choose
from moonas.results.networks import Network, read_archive
from moonas.results.weights import TrainedWeights, trained_weights
from moonas.store.lease import has_died
from moonas.store.records import FrontRecord, Records, TrialRecord
from moonas.store.states import TrialState
from moonas.store.store import Store
from moonas.study.bounds import Bound
from moonas.study.loading import study_from
from moonas.study.schema import StudyConfig


class Study:
    """A study in a database, to be read. `config`: its file, resolved."""

    def __init__(self, store: Store, name: str) -> None:
        self.store = store
        self.record = store.study(name)
        self.name, self.state = self.record.name, self.record.state
        self.config: StudyConfig = study_from(self.record.config, f"study {name}")

    @property
    def is_driven(self) -> bool:
        """Whether a living process drives the study, as far as can be told from here."""
        holder = self.record.lease_holder
        return holder is not None and not has_died(holder)

    @property
    def finds_networks(self) -> bool:
        """Whether its points are networks; those of functions are settings alone."""
        return self.config.space.name != "none"

    @cached_property
    def plan(self) -> Plan:
        """What follows from the study's file."""
        return Plan(self.config, f"study {self.name}")

    def front(self, number: int | None = None) -> Records[Network]:
        """The present Pareto front, or front `number` of its history, the cheapest member first. Raises UsageError."""
        if number is not None:
            self.front_step(number)
        members = {member.place for member in self.store.front(self.record.id, number)}
        keys = {member.architecture for member in members}
        return Records(network for network in read_archive(self, keys) if network.place in members)

    def archive(self) -> Records[Network]:
        """Every network measured by the study's protocol, the cheapest first."""
        return read_archive(self)

    def networks_of(self, prefix: str) -> Records[Network]:
        """The measured networks of the one architecture whose key begins with `prefix`, one per width and depth.

        Raises UsageError where no architecture or several match, or where it was never measured.
        """
        key = self.store.architecture_by_prefix(self.record.id, prefix).key
        found = read_archive(self, [key])
        if not found:
            raise UsageError(f"architecture {key} of study {self.name!r} has not been measured")
        return found

    def trials(self, state: TrialState | None = None, offset: int = 0, limit: int | None = None) -> Records[TrialRecord]:
        """Every trial, or those in one state, in the order of their numbers; a page of them with `offset` and `limit`."""
        return Records(self.store.trials(self.record.id, state, offset, limit))

    def weights(self, prefix: str, trial: int | None = None) -> TrainedWeights:
        """The trained weights of the one network whose key begins with `prefix`, of its best training that still has them.

        trial: the number of the trial that found it, where the study has several networks of that architecture.
        Raises UsageError where it is not one network, WeightsError where none are kept, StorageError where the file is damaged.
        """
        return trained_weights(self, self.networks_of(prefix), trial)

    def collapses(self) -> dict[int, str]:
        """Of each trial whose search collapsed, by its number: in which epoch, and what gave it away."""
        tasks = self.store.tasks(self.record.id, kind="search", telling="collapse")
        numbers = {trial.id: trial.number for trial in self.trials()} if tasks else {}
        found: dict[int, str] = {}
        for task in tasks:
            collapse = (task.result or {})["collapse"]
            text = f"collapsed in epoch {collapse['epoch']}: {collapse['reason']}"
            found |= {numbers[trial_id]: text for trial_id in task.trial_ids}
        return dict(sorted(found.items()))

    def fallbacks(self) -> dict[int, str]:
        """Of each trial that was decoded by an earlier stage of its search, by its number: why."""
        results = {
            trial_id: task.result
            for task in self.store.tasks(self.record.id, kind="search", telling="earlier")
            for trial_id in task.trial_ids
        }
        found: dict[int, str] = {}
        for candidate in self.store.candidates(self.record.id) if results else ():
            if candidate.origin != "primary" or candidate.trial_id not in results:
                continue
            if fell_back(self.plan.space, results[candidate.trial_id] or {}, Architecture.from_json(candidate.genotype)):
                found[candidate.trial] = "decoded by an earlier stage: the operations left at the end cannot meet the budget"
        return dict(sorted(found.items()))

    def halved(self) -> dict[int, str]:
        """Of each trial with a task whose memory ran out and that went on with half the batch, by its number: how many images."""
        batches = self.store.halved(self.record.id)
        numbers = {trial.id: trial.number for trial in self.trials()} if batches else {}
        found: dict[int, list[str]] = {}
        for task in self.store.tasks(self.record.id) if batches else ():
            for trial_id in task.trial_ids if task.id in batches else ():
                found.setdefault(numbers[trial_id], []).append(f"{NOUN.get(task.kind, task.kind)} {batches[task.id]}")
        return {
            number: f"half the batch after memory ran out: {', '.join(tasks)} images" for number, tasks in sorted(found.items())
        }

    def front_history(self) -> Records[FrontRecord]:
        """Every change of the front, the oldest first, with its hypervolume."""
        return Records(self.store.front_history(self.record.id))

    def front_step(self, number: int | None = None) -> FrontRecord | None:
        """Front `number` of the history, or the latest; None where there is none yet. Raises UsageError for one that never was."""
        history = self.front_history()
        if number is None:
            return history[-1] if history else None
        for step in history:
            if step.number == number:
                return step
        known = f"it has fronts {history[0].number} to {history[-1].number}" if history else "it has none yet"
        raise UsageError(f"study {self.name!r} has no front {number}; {known}")

    def best(
        self,
        under: Mapping[str, float] | Sequence[Bound] | None = None,
        *,
        knee: bool = False,
        weights: Mapping[str, float] | None = None,
    ) -> Network:
        """One network among those that meet the study's constraints and `under`: the one of the best first objective, or a choice.

        under: limits such as `{"params": 2e6}`, in each metric's worse direction, or bounds. knee: the one that is hardest to
        leave, see `moonas.front.choices.knee`. weights: of objectives, 1 where not named; the compromise that they ask for, see
        `moonas.front.choices.compromise`. Both choose on the front of those networks.
        Raises UsageError where nothing qualifies, naming what would.
        """
        return choose(self, under, knee, weights)

    def attainment(self, shares: Sequence[float] = (0.25, 0.5, 0.75), objectives: Sequence[str] | None = None) -> Attainment:
        """The front that at least each share of the replicates attains, each replicate by what it alone measured.

        shares: above 0, at most 1; the default is a median front with a band around it. Networks that miss a constraint in a
        replicate do not count there. objectives: one to three metrics; the study's own where absent.
        Raises UsageError where there are more than three, where one is not measured, or where nothing is measured yet.
        """
        return attainment(self, shares, objectives)

    @property
    def reference(self) -> dict[str, float]:
        """The worst corner of the hypervolume's box, in each metric's own sign."""
        archive = Archive(self.config.objectives, (), self.plan.spans)
        corner = zip(self.config.objectives, archive.reference, strict=True)
        return {o.metric: o.sign * value + 0.0 for o, value in corner}  # no accuracy of -0
