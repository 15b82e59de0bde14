"""A study out of an Optuna storage: trials, architectures, measurements and the history of the front, as `to_optuna` wrote them.

`foreign_optuna` brings Optuna studies of other origin into the same form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from moonas.architecture import Architecture
from moonas.errors import StudyConflictError, UsageError, nearest
from moonas.exchange.known_metrics import declare_known_metrics
from moonas.exchange.optuna_storage import MARK, open_storage, study_names
from moonas.outer.archive import Archive
from moonas.outer.candidates import stored_costs
from moonas.outer.identity import measured_key, measurement_of
from moonas.outer.plan import Design, Plan
from moonas.outer.stagnation import cause_of
from moonas.outer.steps import measured_values
from moonas.skeleton import Skeleton
from moonas.specs import Device, device_text
from moonas.store.ledger import Ledger
from moonas.store.records import CandidateRecord, NewCandidate, Place, TrialRecord
from moonas.store.states import StudyState, TrialState
from moonas.store.store import Store
from moonas.study.changes import scientific_hash
from moonas.study.checks import without_password
from moonas.study.loading import study_from
from moonas.study.schema import SCHEMA

UNFINISHED = "was not finished when it was exported"


@dataclass(frozen=True)
class Exported:
    """What an Optuna storage holds of a study. about: its file, and the device it measured on. trials: with their candidates."""

    address: str
    about: Mapping[str, Any]
    trials: Sequence[Mapping[str, Any]]


def add_study(store: Store, exported: Exported, name: str, version: str) -> None:
    """Add an exported study, as a complete one of this name.

    Trials that were not finished come in as failed; times become those of the import. Raises StudyConflictError where the database
    has a study of that name, StudyFileError where one of its metrics goes in another direction.
    """
    declare_known_metrics(store)
    plan = Plan(study_from({**exported.about["study"], "name": name}, exported.address), exported.address)
    config, device, trials = plan.config, exported.about["device"], exported.trials
    if config.name in [known.name for known in store.studies()]:
        raise StudyConflictError(f"the database already holds a study {config.name!r}; give the imported one another --name")
    made = store.create_study(
        config.name, config.to_json(), schema=SCHEMA, config_hash=scientific_hash(config), seed=config.seed, version=version
    )
    with store.ledger(made.id) as ledger, ledger.together():
        if device:
            ledger.bind_device(device, device_text(device))
        writer = _Writer(plan, ledger, device)
        for trial in sorted(trials, key=lambda trial: trial["number"]):
            writer.add(trial)
        for trial in sorted(trials, key=lambda trial: (trial["finished"] or float("inf"), trial["number"])):
            writer.finish(trial)
        ledger.set_state(StudyState.COMPLETE, f"imported from the Optuna storage {without_password(exported.address)}")


def read_study(address: str, name: str, metrics: Sequence[str] | None = None, function: str | None = None) -> Exported:
    """The study `name` of an Optuna storage, which is only read. metrics, function: names for one that moonas did not write.

    Raises UsageError where there is none, or moonas wrote a part of it only; StorageError.
    """
    import optuna

    from moonas.exchange.foreign_optuna import foreign_study

    storage = open_storage(address)
    known = study_names(storage)
    if name not in known:
        raise UsageError(f"there is no Optuna study {name!r}{nearest(name, known)}. Known: {', '.join(known) or 'none'}.")
    study = optuna.load_study(study_name=name, storage=storage)
    mark = study.user_attrs.get(MARK)
    if mark is None:
        return foreign_study(study, address, metrics, function)
    if metrics is not None or function is not None:
        raise UsageError(f"moonas wrote the Optuna study {name!r}, which names its metrics itself")
    trials = study.get_trials(deepcopy=False)
    for trial in trials:
        if MARK not in trial.user_attrs:
            raise UsageError(f"moonas did not write trial {trial.number} of the Optuna study {name!r}, which names no architecture")
    return Exported(address, mark, [trial.user_attrs[MARK] for trial in trials])


class _Writer:
    """Writes trials as the loop that ran them did."""

    def __init__(self, plan: Plan, ledger: Ledger, device: Device | None) -> None:
        self.plan, self.ledger, self.device = plan, ledger, device
        self.archive = Archive(plan.config.objectives, plan.config.constraints, plan.spans)
        self.ids: dict[int, int] = {}
        self.members: list[tuple[Place, dict[str, float]]] = []

    def add(self, trial: Mapping[str, Any]) -> None:
        self.ids[trial["number"]] = self.ledger.add_trial(
            trial["number"], trial["params"], trial["replicate"], trial["sampler_attrs"]
        )

    def finish(self, trial: Mapping[str, Any]) -> None:
        """Its candidates with what was measured of them, the front that follows, and how it ended."""
        trial_id = self.ids[trial["number"]]
        self.ledger.add_candidates(trial_id, [_new_candidate(candidate) for candidate in trial["candidates"]])
        for candidate in trial["candidates"]:
            self._take_in(candidate, trial)
        members = self.archive.front()
        if members != self.members:
            self.members = members
            cause = cause_of(trial["number"])
            self.ledger.replace_front(self.archive.update(self.plan.protocol_identity, members, cause))
        if trial["state"] == TrialState.COMPLETE:
            self.ledger.complete_trial(trial_id, trial["values"], trial["violation"])
        elif trial["state"] == TrialState.PRUNED:
            self.ledger.prune_trial(trial_id, trial["values"], trial["violation"], trial["reason"])
        else:
            self.ledger.fail_trial(trial_id, trial["reason"] or UNFINISHED)

    def _take_in(self, candidate: Mapping[str, Any], trial: Mapping[str, Any]) -> None:
        measured = candidate["measured"]
        as_stored = _stored(candidate, trial)
        record = TrialRecord(**{n: v for n, v in trial.items() if n != "candidates"})
        key = measurement_of(self.plan, as_stored, record, Design.from_params(record.params))
        keys = {"evaluate": key}
        if self.device:
            keys["measure"] = measured_key(self.plan, as_stored.architecture, as_stored.skeleton, self.device)
        for kind, found in measured.items():
            self.ledger.add_evaluation(keys[kind], **found)
        if all(kind in measured for kind in keys):
            costs: dict[str, float] = dict(stored_costs(self.plan, as_stored))
            if self.device:
                costs |= measured_values(self.plan, self._metrics(keys["measure"]))
            recipe = self.plan.recipe(Design.from_params(trial["params"]))
            self.archive.add(Place(as_stored.architecture, as_stored.skeleton, recipe), costs, key, self._metrics(key))

    def _metrics(self, key: Any) -> Mapping[str, float]:
        """What counts in this database, which may have measured the same before."""
        found = self.ledger.known_evaluation(key)
        assert found is not None, "it has just been stored"
        return found.metrics


def _new_candidate(candidate: Mapping[str, Any]) -> NewCandidate:
    return NewCandidate(
        architecture=Architecture.from_json(candidate["genotype"]),
        skeleton=Skeleton.from_json(candidate["skeleton_json"]),
        **{name: candidate[name] for name in ("function_key", "params", "macs", "origin", "score", "budget")},
    )


def _stored(candidate: Mapping[str, Any], trial: Mapping[str, Any]) -> CandidateRecord:
    """The record that the database gives of it."""
    known = {name: value for name, value in candidate.items() if name != "measured"}
    return CandidateRecord(
        id=0,
        trial_id=trial["id"],
        trial=trial["number"],
        architecture=Architecture.from_json(candidate["genotype"]).key,
        skeleton=Skeleton.from_json(candidate["skeleton_json"]).key,
        **known,
    )
