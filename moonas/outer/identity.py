"""Identities that let a measurement be recognised, whichever study made it."""

from __future__ import annotations

from moonas.outer.continuing import start_of
from moonas.outer.plan import Design, Plan
from moonas.seeds import digest
from moonas.specs import Device, EvaluateSpec
from moonas.store.alike import TriedRecord
from moonas.store.records import CandidateRecord, DecodedRecord, EvaluationKey, Place, TrialRecord


def measurement_of(
    plan: Plan,
    candidate: CandidateRecord | DecodedRecord,
    trial: TrialRecord | TriedRecord,
    design: Design,
    rung: int | None = None,
) -> EvaluationKey:
    """The evaluation that a candidate of a trial asked for, which counts for its study; others' measurements do not.

    design: of the trial's parameters. rung: as of `Plan.protocol`.
    """
    return EvaluationKey(
        architecture=candidate.architecture,
        skeleton=plan.search_skeleton.key if plan.inherits else candidate.skeleton,
        data=plan.data_identity,
        protocol=plan.identity(design, rung),
        replicate=trial.replicate,
        source=plan.search_spec(design, trial.replicate, start_of(trial.sampler_attrs)).key if plan.inherits else "",
    )


def evaluation_key(plan: Plan, spec: EvaluateSpec) -> EvaluationKey:
    """What makes the evaluation `spec` asks for the same as another."""
    return EvaluationKey(
        architecture=spec.architecture.key,
        skeleton=spec.skeleton.key,
        data=plan.data_identity,
        protocol=plan.identity_of(spec.protocol),
        replicate=spec.replicate,
        source=spec.source,
    )


def place_of(plan: Plan, spec: EvaluateSpec) -> Place:
    """The point of the archive that the training `spec` asks for belongs to."""
    return Place(spec.architecture.key, spec.skeleton.key, plan.recipe_of(plan.identity_of(spec.protocol)))


def measured_key(plan: Plan, architecture: str, skeleton: str, device: Device) -> EvaluationKey:
    """What makes two measurements on a device the same; it reads no data and draws nothing. architecture, skeleton: keys."""
    return EvaluationKey(architecture, skeleton, "", plan.measure_identity, 0, digest(dict(device)))
