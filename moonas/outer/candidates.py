"""From a finished search to the architectures of a trial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from moonas.architecture import Architecture
from moonas.outer.plan import Design, Plan
from moonas.skeleton import Skeleton
from moonas.spaces.choices import Scores
from moonas.spaces.costs import total_in
from moonas.spaces.decode import Decoded
from moonas.store.records import CandidateRecord, NewCandidate


def decode_trial(plan: Plan, design: Design, result: Mapping[str, Any]) -> list[NewCandidate]:
    """The primary architecture of a trial, then as many neighbours on the decoded front as the study wants.

    result: of the search task: its final scores, or the architecture of a method that names one itself. What a search that
    collapsed had found before is one more neighbour.
    """
    size, bounds = (design.channels, design.cells), plan.bounds(design.budget)
    decoder, skeleton = plan.decoders[size], plan.final_skeleton((design.channels, design.cells))
    if result["scores"] is None:
        architecture = Architecture.from_json(result["architecture"])
        plan.space.check(architecture)
        found = [Decoded(architecture, 0.0, total_in(decoder.choices.table, plan.space, architecture))]
    else:
        scores = _scores(result)
        found = [decoder.decode(scores, bounds)]
        if plan.config.decode.extra:
            metrics = tuple(bounds) or ("params",)
            front = [
                other for other in decoder.decode_front(scores, metrics, bounds) if other.architecture != found[0].architecture
            ]
            front.sort(key=lambda other: abs(other.costs[metrics[0]] - found[0].costs[metrics[0]]))
            found += front[: plan.config.decode.extra]
        if result.get("collapse"):
            before = decoder.decode(_scores(result["collapse"]["before"]), bounds)
            found += [before] if before.architecture not in [other.architecture for other in found] else []
    return [
        NewCandidate(
            architecture=decoded.architecture,
            function_key=plan.space.function_key(decoded.architecture),
            skeleton=skeleton,
            params=decoded.costs["params"],
            macs=decoded.costs["macs"],
            origin="extra" if index else "primary",
            score=decoded.score,
            budget=design.budget or None,
        )
        for index, decoded in enumerate(found)
    ]


def stored_costs(plan: Plan, candidate: CandidateRecord) -> dict[str, int]:
    """What was known of a stored candidate before anything was run: as stored, and what the study's device tables say."""
    exact = {"params": candidate.params, "macs": candidate.macs}
    if not plan.config.device_tables:
        return exact
    return exact | plan.costs(Architecture.from_json(candidate.genotype), Skeleton.from_json(candidate.skeleton_json))


def _scores(found: Mapping[str, Any]) -> Scores:
    return found.get("slot_scores") or {group: np.array(matrix) for group, matrix in found["scores"].items()}
