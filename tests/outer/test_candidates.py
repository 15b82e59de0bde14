"""From scores to the architectures of a trial, where a search has dropped operations."""

import numpy as np
import pytest

from moonas.outer.candidates import decode_trial, fell_back, shortlist
from moonas.outer.plan import Design, Plan
from moonas.spaces.decode import Decoder
from moonas.spaces.scores import scores_from_json, scores_to_json
from moonas.study.loading import study_from

STUDY = {
    "name": "stages",
    "data": "digits",
    "space": {"name": "tnd-cnn", "nodes": 2, "normal": ["none", "skip_connect", "conv_3x3"], "reduce": ["none", "max_pool_3x3"]},
    "search": {"channels": 4, "cells": 3},
    "final": {"channels": 4, "cells": 3},
    "objectives": ["accuracy", "params"],
    "methods": ["tnd-nas"],
    "budgets": {"params": ["none", "50%", "0%"]},
}
PLAN = Plan(study_from(STUDY))
LARGE, HALF, NOTHING = [Design("tnd-nas", budget, 4, 3, {}) for budget, _ in PLAN.pairs]
# of normal edges, what is left: a 3x3 convolution at the end, that or a skip before it, everything at first
ROWS = [[None, None, 0.0], [None, -2.0, -0.2], [-1.5, -1.0, -0.8]]


def stage(normal: list[float | None]) -> dict[str, list[list[float | None]]]:
    return {"normal": [normal] * 5, "reduce": [[None if normal[0] is None else -0.7, -0.7]] * 5}


def result(stages: int) -> dict:
    return {"scores": stage(ROWS[0]), "earlier": [stage(row) for row in ROWS[1:stages]]}


def normal_operations(design: Design, found: dict) -> set[str]:
    (decoded,) = shortlist(PLAN, design, 0, found)
    assert all(decoded.costs["params"] <= bound["upper"] for bound in PLAN.bounds(design.budget).values())
    assert [c.architecture for c in decode_trial(PLAN, design, found, decoded)] == [decoded.architecture]
    return {operation for _, _, operation in decoded.architecture.groups["normal"]}


def test_the_latest_scores_that_meet_the_budget_are_decoded_and_the_trial_is_known_to_have_fallen_back():
    assert normal_operations(LARGE, result(3)) == {"conv_3x3"}
    assert normal_operations(HALF, result(3)) == {"conv_3x3", "skip_connect"}
    assert normal_operations(NOTHING, result(3)) == {"skip_connect"}
    fallen = [fell_back(PLAN.space, result(3), shortlist(PLAN, d, 0, result(3))[0].architecture) for d in (LARGE, HALF, NOTHING)]
    assert fallen == [False, True, True]


def test_an_earlier_stage_is_decoded_like_any_other_scores():
    (decoded,) = shortlist(PLAN, HALF, 0, result(3))
    decoder = Decoder(PLAN.space, PLAN.table((4, 3)))
    assert decoded == decoder.decode(scores_from_json(stage(ROWS[1])), PLAN.bounds(HALF.budget))


def test_scores_without_earlier_stages_never_fall_back():
    whole = {"scores": stage(ROWS[2])}
    assert not fell_back(PLAN.space, whole, shortlist(PLAN, NOTHING, 0, whole)[0].architecture)


def test_dropped_operations_survive_json():
    scores = {"normal": np.array([[-np.inf, -0.5, -1.0]])}
    data = scores_to_json(scores)
    assert data == {"normal": [[None, -0.5, -1.0]]}
    assert np.array_equal(scores_from_json(data)["normal"], scores["normal"])


@pytest.mark.parametrize("empty", [True, False])
def test_an_edge_without_operation_counts_as_none(empty: bool):
    found = result(2) | {"scores": stage([None if empty else 0.0, 0.0, 0.0])}
    architecture = PLAN.space.architecture(
        [slot.options[-1] if slot.group == "reduce" else slot.options[0] for slot in PLAN.space.slots()]
    )
    assert len(architecture.groups["normal"]) < 5
    assert fell_back(PLAN.space, found, architecture) is empty
