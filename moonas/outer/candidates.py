"""From a finished search to the architectures of a trial."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any

from moonas.architecture import Architecture
from moonas.errors import InfeasibleError
from moonas.outer.plan import Design, Plan
from moonas.skeleton import Skeleton
from moonas.spaces.choices import Scores
from moonas.spaces.costs import total_in
from moonas.spaces.decode import Decoded, Decoder
from moonas.spaces.scores import scores_from_json
from moonas.spaces.space import Space
from moonas.specs import Bounds
from moonas.store.records import CandidateRecord, NewCandidate


def decode_trial(plan: Plan, design: Design, result: Mapping[str, Any]) -> list[NewCandidate]:
    """The primary architecture of a trial, then as many neighbours on the decoded front as the study wants.

    result: of the search task: its final scores, or the architecture of a method that names one itself. Where no architecture of
    the operations that a search in stages left meets the budget, the scores of an earlier stage are decoded; see `fell_back`. What
    a search that collapsed had found before is one more neighbour.
    """
    size, bounds = (design.channels, design.cells), plan.bounds(design.budget)
    decoder, skeleton = plan.decoders[size], plan.final_skeleton((design.channels, design.cells))
    if result["scores"] is None:
        architecture = Architecture.from_json(result["architecture"])
        plan.space.check(architecture)
        found = [Decoded(architecture, 0.0, total_in(decoder.choices.table, plan.space, architecture))]
    else:
        scores = _scores(decoder, result, result, bounds)
        found = [decoder.decode(scores, bounds)]
        if plan.config.decode.extra:
            metrics = tuple(bounds) or ("params",)
            front = [
                other for other in decoder.decode_front(scores, metrics, bounds) if other.architecture != found[0].architecture
            ]
            front.sort(key=lambda other: abs(other.costs[metrics[0]] - found[0].costs[metrics[0]]))
            found += front[: plan.config.decode.extra]
        if result.get("collapse"):
            before = decoder.decode(_scores(decoder, result["collapse"]["before"], result, bounds), bounds)
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


def fell_back(space: Space, result: Mapping[str, Any], architecture: Architecture) -> bool:
    """Whether an architecture that was decoded from a search has operations that the search had dropped in the end."""
    if not result.get("earlier"):
        return False
    for name, matrix in scores_from_json(result["scores"]).items():
        group = space.groups[name]
        chosen = {(predecessor, node): operation for node, predecessor, operation in architecture.groups[name]}
        for row, edge in zip(matrix, group.edges, strict=True):
            if row[group.operations.index(chosen.get(edge, "none"))] == -inf:
                return True
    return False


def _scores(decoder: Decoder, found: Mapping[str, Any], result: Mapping[str, Any], bounds: Bounds) -> Scores:
    """Those of `found`; where no architecture that they leave meets the bounds, those of the latest stage where one does."""
    scores = found.get("slot_scores") or scores_from_json(found["scores"])
    for earlier in result.get("earlier", ()):
        try:
            decoder.decode(scores, bounds)
        except InfeasibleError:
            scores = scores_from_json(earlier)
    return scores
