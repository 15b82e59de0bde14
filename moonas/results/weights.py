"""The trained weights of a network, where they are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from moonas.errors import UsageError, WeightsError
from moonas.outer.identity import measurement_of
from moonas.outer.plan import Design
from moonas.results.networks import Network
from moonas.store.weights import weights_of

if TYPE_CHECKING:
    from moonas.results.study import Study
    from moonas.store.records import EvaluationRecord


@dataclass(frozen=True)
class TrainedWeights:
    """Weights of one training. accuracy: on `valid`. content: a safetensors file, which `moonas.build` loads."""

    network: Network
    replicate: int
    accuracy: float
    content: bytes = field(repr=False)

    def save(self, path: str | Path) -> Path:
        """Write the file, whole or not at all; returns its path. Raises UsageError where it cannot be written."""
        path = Path(path)
        unfinished = path.with_name(path.name + ".part")
        try:
            unfinished.write_bytes(self.content)
            unfinished.replace(path)
        except OSError as error:
            raise UsageError(f"cannot write {path}: {error.strerror}") from error
        return path

    def __str__(self) -> str:
        return f"weights of {self.network.key}, replicate {self.replicate}, accuracy {self.accuracy:.4f} on the validation part"


def trained_weights(study: Study, networks: Sequence[Network], trial: int | None) -> TrainedWeights:
    """Of networks of one architecture that of the trial, or the only one, with the weights of its best training that has any."""
    from moonas.worker.artifacts import read_artifact

    network = _chosen(networks, trial)
    evaluations = _trainings(study, network)
    weights = weights_of(study.store.database, [one.task_id for one in evaluations if one.task_id is not None])
    kept = [(one, weights[one.task_id]) for one in evaluations if one.task_id in weights]
    if not kept:
        raise WeightsError(f"no weights of {network.key} are kept: {_reason(study, network)}")
    best, artifact = min(kept, key=lambda pair: (-pair[0].metrics["accuracy"], pair[0].replicate))
    return TrainedWeights(network, best.replicate, best.metrics["accuracy"], read_artifact(artifact.url, artifact.sha256))


def _chosen(networks: Sequence[Network], trial: int | None) -> Network:
    """The network that the trial found; without one the only network, or the only one on the front."""
    if trial is None:
        found = networks if len(networks) == 1 else [network for network in networks if network.on_front]
    else:
        found = [network for network in networks if network.trial == trial]
    if len(found) == 1:
        return found[0]
    listed = [f"--trial {n.trial}: {n.skeleton.channels} channels, {n.skeleton.cells} cells{_settings(n)}" for n in networks]
    raise UsageError(f"the study has {len(networks)} networks of {networks[0].key}; choose one:\n  " + "\n  ".join(listed))


def _settings(network: Network) -> str:
    return "".join(f", {name} {value}" for name, value in network.settings.items()) + (", on the front" * network.on_front)


def _trainings(study: Study, network: Network) -> list[EvaluationRecord]:
    """The evaluations that the network's accuracy is the mean of."""
    trials = {trial.id: trial for trial in study.store.trials(study.record.id, architectures=[network.key])}
    keys = set()
    for candidate in study.store.candidates(study.record.id, architectures=[network.key]):
        trial = trials[candidate.trial_id]
        design = Design.from_params(trial.params)
        if (candidate.skeleton, study.plan.recipe(design)) == (network.skeleton.key, network.recipe):
            keys.add(measurement_of(study.plan, candidate, trial, design))
    measured = study.store.evaluations(study.record.id, architectures=[network.key])
    return [evaluation for evaluation in measured if evaluation.key in keys]


def _reason(study: Study, network: Network) -> str:
    """Why a network has no weights."""
    if not study.plan.trains:
        return f"the protocol {study.config.protocol.name} trains no network"
    policy = study.config.keep.weights
    if policy == "none":
        return "the study says `keep: {weights: none}`"
    if policy == "front" and not network.on_front:
        return "it is not on the front, and the study keeps those of front members; `keep: {weights: all}` keeps every training's"
    return "it was trained before weights were kept, for a study that is deleted or kept none, or while it was not on the front"
