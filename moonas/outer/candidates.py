"""From a finished search to the architectures of a trial."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from moonas.architecture import Architecture
from moonas.errors import InfeasibleError
from moonas.outer.plan import Design, Plan
from moonas.spaces.costs import cost_in
from moonas.spaces.decode import Decoded, Decoder
from moonas.spaces.scores import scores_from_json
from moonas.specs import Bounds
from moonas.store.records import NewCandidate


def decode_trial(plan: Plan, design: Design, result: Mapping[str, Any], warn: Callable[[str], None]) -> list[NewCandidate]:
    """The primary architecture of a trial, then as many neighbours on the decoded front as the study wants.

    result: of the search task: its scores, or the architecture of a method that names one itself. Where no architecture of the
    operations that the final scores leave meets the budget, those of earlier stages are decoded instead, and `warn` is told so.
    Raises InfeasibleError.
    """
    size, bounds = (design.channels, design.cells), plan.bounds(design.budget)
    decoder, skeleton = plan.decoders[size], plan.final_skeleton((design.channels, design.cells))
    if result["scores"] is None:
        architecture = Architecture.from_json(result["architecture"])
        plan.space.check(architecture)
        found = [Decoded(architecture, 0.0, cost_in(decoder.choices.table, plan.space, architecture)._asdict())]
    else:
        stages = [scores_from_json(scores) for scores in (result["scores"], *result.get("earlier", ()))]
        back = next((back for back, scores in enumerate(stages[:-1]) if _meets(decoder, scores, bounds)), len(stages) - 1)
        if back:
            warn(f"the operations left at the end cannot meet the budget: decoded by the scores of {back} stage(s) before")
        scores = stages[back]
        found = [decoder.decode(scores, bounds)]
        if plan.config.decode.extra:
            metrics = tuple(bounds) or ("params",)
            front = [
                other for other in decoder.decode_front(scores, metrics, bounds) if other.architecture != found[0].architecture
            ]
            front.sort(key=lambda other: abs(other.costs[metrics[0]] - found[0].costs[metrics[0]]))
            found += front[: plan.config.decode.extra]
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


def _meets(decoder: Decoder, scores: Mapping[str, np.ndarray], bounds: Bounds) -> bool:
    """Whether some architecture that the scores do not rule out lies within the bounds."""
    try:
        decoder.decode(scores, bounds)
    except InfeasibleError:
        return False
    return True
