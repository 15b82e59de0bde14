"""Identities that let a measurement be recognised, whichever study made it."""

from __future__ import annotations

from moonas.outer.plan import Design, Plan
from moonas.seeds import digest
from moonas.specs import EvaluateSpec
from moonas.store.records import CandidateRecord, EvaluationKey, TrialRecord
from moonas.study.protocols import PROTOCOLS
from moonas.study.schema import StudyConfig


def protocol_identity(config: StudyConfig) -> str:
    """Name and a hash over all settings and which skeleton is measured, not its width: one front spans all widths."""
    settings = config.protocol.to_json()
    return f"{config.protocol.name}-{digest([settings, PROTOCOLS[config.protocol.name].skeleton], 8)}"


def data_identity(config: StudyConfig) -> str:
    """Name and a hash over the settings and the split."""
    return f"{config.data.name}-{digest([config.data.to_json(), config.seed], 8)}"


def measurement_of(plan: Plan, candidate: CandidateRecord, trial: TrialRecord) -> EvaluationKey:
    """The evaluation that a candidate of a trial asked for, which counts for its study; others' measurements do not."""
    inherits = PROTOCOLS[plan.config.protocol.name].skeleton == "search"
    return EvaluationKey(
        architecture=candidate.architecture,
        skeleton=plan.search_skeleton.key if inherits else candidate.skeleton,
        data=data_identity(plan.config),
        protocol=protocol_identity(plan.config),
        replicate=trial.replicate,
        source=plan.search_spec(Design.from_params(trial.params), trial.replicate).key if inherits else "",
    )


def evaluation_key(config: StudyConfig, spec: EvaluateSpec) -> EvaluationKey:
    """What makes the evaluation `spec` asks for the same as another."""
    return EvaluationKey(
        architecture=spec.architecture.key,
        skeleton=spec.skeleton.key,
        data=data_identity(config),
        protocol=protocol_identity(config),
        replicate=spec.replicate,
        source=spec.source,
    )
