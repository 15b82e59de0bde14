"""What has to be found out of a decoded candidate: its accuracy and, where the study asks for any, its measured metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from moonas.errors import DeviceError
from moonas.outer.identity import evaluation_key, measured_key
from moonas.outer.plan import Plan
from moonas.outer.work import OpenTrial
from moonas.specs import Device, EvaluateSpec, MeasureSpec, SearchSpec, device_text
from moonas.store.records import EvaluationKey, NewCandidate

NOUN = {"evaluate": "evaluation", "measure": "measurement"}


@dataclass(frozen=True)
class Step:
    """One task for a candidate. key: under which its result is stored, whichever study did it."""

    spec: EvaluateSpec | MeasureSpec
    key: EvaluationKey


def steps(
    plan: Plan,
    candidate: NewCandidate,
    trial: OpenTrial,
    search: SearchSpec | None,
    weights: str | None,
    device: Device | None,
) -> dict[str, Step]:
    """{kind of task: step}, in the order in which they are to be done.

    search: of the candidate, None where there was none. weights: URL of those it left.
    device: where the study measures; None where it measures nothing.
    """
    architecture, skeleton = candidate.architecture, candidate.skeleton
    protocol = plan.protocol(trial.design, trial.rung)
    evaluation = plan.evaluate_spec(architecture, skeleton, trial.replicate, protocol, search, weights)
    evaluate = {"evaluate": Step(evaluation, evaluation_key(plan, evaluation))}
    if device is None:
        return evaluate
    measurement = plan.measure_spec(architecture, skeleton, device)
    measure = {"measure": Step(measurement, measured_key(plan, architecture.key, skeleton.key, device))}
    return measure | evaluate if plan.measures_first else evaluate | measure


def check_device(plan: Plan, bound: Device | None, device: Device) -> None:
    """Raise DeviceError unless `device` is the one that the study has measured on; bound: its fingerprint, None before it did."""
    if bound is not None and bound != device:
        raise DeviceError(
            f"study {plan.config.name!r} has measured {', '.join(plan.measured)} on {device_text(bound)}; this is "
            f"{device_text(device)}. Values of two devices never share a front. Go on with it there; or run its file here under "
            "another `name`: what this database has trained is taken over, and everything is measured anew"
        )


def measured_values(plan: Plan, metrics: Mapping[str, float]) -> dict[str, float]:
    """The study's measured metrics out of a measurement, without their spreads."""
    return {name: metrics[name] for name in plan.measured}
