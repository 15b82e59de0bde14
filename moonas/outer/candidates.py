"""From a finished search to the architectures of a trial."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any

import numpy as np

from moonas.architecture import Architecture
from moonas.outer.plan import Design, Plan
from moonas.seeds import stream
from moonas.skeleton import Skeleton
from moonas.spaces.choices import Scores
from moonas.spaces.costs import total_in
from moonas.spaces.decode import Decoded, Decoder, latest_within
from moonas.spaces.sampling import FeasibleSet
from moonas.spaces.scores import scores_from_json
from moonas.spaces.space import Space, chosen_edges
from moonas.specs import Bounds
from moonas.store.records import CandidateRecord, DecodedRecord, NewCandidate
from moonas.study.budgets import budget_text


def shortlist(plan: Plan, design: Design, replicate: int, result: Mapping[str, Any]) -> list[Decoded]:
    """The architectures one of which becomes the primary of a trial; of several, the one of the best inherited accuracy.

    result: of the search task: its final scores, or the architecture of a method that names one itself. Where no architecture of
    the operations that a search in stages left meets the budget, the scores of an earlier stage are decoded; see `fell_back`.
    Raises InfeasibleError where nothing meets the budget.
    """
    size, bounds = (design.channels, design.cells), plan.bounds(design.budget)
    decoder, entry = plan.decoders[size], plan.config.method(design.method).entry
    if result["scores"] is None:
        architecture = Architecture.from_json(result["architecture"])
        plan.space.check(architecture)
        return [Decoded(architecture, 0.0, total_in(decoder.choices.table, plan.space, architecture))]
    if entry.draws:
        return _drawn(plan, design, replicate)
    scores = _scores(decoder, result, result, bounds)
    if plan.config.decode.rerank > 1:
        return decoder.decode_best(scores, bounds, plan.config.decode.rerank)
    return [decoder.decode(scores, bounds)]


def named(plan: Plan, design: Design) -> list[NewCandidate]:
    """The architecture that a design names itself. Raises ArchitectureError where the space does not contain it."""
    architecture, skeleton = plan.architecture(design), plan.final_skeleton((design.channels, design.cells))
    return [_candidate(plan, architecture, skeleton, plan.costs(architecture, skeleton), "primary", None, {})]


def decode_trial(plan: Plan, design: Design, result: Mapping[str, Any], primary: Decoded) -> list[NewCandidate]:
    """The primary architecture of a trial, then as many neighbours on the decoded front as the study wants.

    What a search that collapsed had found before is one more neighbour.
    """
    bounds, skeleton = plan.bounds(design.budget), plan.final_skeleton((design.channels, design.cells))
    decoder, found = plan.decoders[design.channels, design.cells], [primary]
    if plan.config.decode.extra and result["scores"] is not None:
        metrics = tuple(bounds) or ("params",)
        front = decoder.decode_front(_scores(decoder, result, result, bounds), metrics, bounds)
        front = [other for other in front if other.architecture != primary.architecture]
        front.sort(key=lambda other: abs(other.costs[metrics[0]] - primary.costs[metrics[0]]))
        found += front[: plan.config.decode.extra]
    if result.get("collapse"):
        before = decoder.decode(_scores(decoder, result["collapse"]["before"], result, bounds), bounds)
        found += [before] if before.architecture not in [other.architecture for other in found] else []
    origins = ["primary", *["extra"] * len(found[1:])]
    return [
        _candidate(plan, decoded.architecture, skeleton, decoded.costs, origin, decoded.score, design.budget)
        for decoded, origin in zip(found, origins, strict=True)
    ]


def stored_costs(plan: Plan, candidate: CandidateRecord | DecodedRecord) -> dict[str, int]:
    """What was known of a stored candidate before anything was run: as stored, and what the study's device tables say.

    candidate: with its genotype, for a study that has such tables.
    """
    if not plan.space.groups:
        return {}
    exact = {"params": candidate.params, "macs": candidate.macs}
    if not plan.config.device_tables:
        return exact
    assert isinstance(candidate, CandidateRecord)
    return exact | plan.costs(Architecture.from_json(candidate.genotype), Skeleton.from_json(candidate.skeleton_json))


def _candidate(
    plan: Plan,
    architecture: Architecture,
    skeleton: Skeleton,
    costs: Mapping[str, int],
    origin: str,
    score: float | None,
    budget: Bounds,
) -> NewCandidate:
    return NewCandidate(
        architecture=architecture,
        function_key=plan.space.function_key(architecture),
        skeleton=skeleton,
        params=costs.get("params", 0),
        macs=costs.get("macs", 0),
        origin=origin,
        score=score,
        budget=budget or None,
    )


def _drawn(plan: Plan, design: Design, replicate: int) -> list[Decoded]:
    """As many different architectures as the method compares, or as there are, drawn uniformly within the budget."""
    size, bounds = (design.channels, design.cells), plan.bounds(design.budget)
    table, wanted = plan.decoders[size].choices.table, plan.config.method(design.method).spec(design.settings)["candidates"]
    rng = np.random.default_rng(stream(plan.config.seed, replicate, "candidates", budget_text(design.budget), *size))
    feasible = FeasibleSet(plan.space, table, bounds)
    found: dict[str, Architecture] = {}
    for _ in range(20 * wanted):
        if len(found) == wanted:
            break
        architecture = feasible.sample(rng)
        found[architecture.key] = architecture
    return [Decoded(one, 0.0, total_in(table, plan.space, one)) for one in found.values()]


def fell_back(space: Space, result: Mapping[str, Any], architecture: Architecture) -> bool:
    """Whether an architecture that was decoded from a search has operations that the search had dropped in the end."""
    if not result.get("earlier"):
        return False
    for name, matrix in scores_from_json(result["scores"]).items():
        group = space.groups[name]
        chosen = {(predecessor, node): operation for node, predecessor, operation in chosen_edges(architecture)[name]}
        for row, edge in zip(matrix, group.edges, strict=True):
            if row[group.operations.index(chosen.get(edge, "none"))] == -inf:
                return True
    return False


def _scores(decoder: Decoder, found: Mapping[str, Any], result: Mapping[str, Any], bounds: Bounds) -> Scores:
    """Those of `found`, or of an earlier stage."""
    first: Scores = found.get("slot_scores") or scores_from_json(found["scores"])
    return latest_within(decoder, [first, *map(scores_from_json, result.get("earlier", ()))], bounds)
