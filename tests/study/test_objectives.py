"""Objectives: what they are read from, and the one place where signs turn."""

import pytest

from moonas.errors import UsageError
from moonas.study.objectives import Objective, minimised, parse_objective


@pytest.mark.parametrize(
    ("value", "objective"),
    [
        ("accuracy", Objective("accuracy", False, 0.0)),
        ("params", Objective("params", True, None)),
        ("flops", Objective("macs", True, None)),
        ({"metric": "params", "reference": "2M"}, Objective("params", True, 2e6)),
        ({"metric": "accuracy", "reference": None}, Objective("accuracy", False, None)),
        ({"metric": "params", "known": False}, Objective("params", False, None)),
    ],
)
def test_an_objective_is_read(value, objective):
    assert parse_objective(value) == objective
    assert parse_objective(objective.to_json()) == objective


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (3, "expected a metric such as accuracy"),
        ({"known": True}, "expected a metric such as accuracy"),
        ({"metric": 3}, "expected the name of a metric, got 3"),
        ("acuracy", "'acuracy' is not a metric; did you mean 'accuracy'"),
        ("test_accuracy", "reported and never selected on; use accuracy"),
        ({"metric": "params", "referense": 1}, "'referense' is not a setting of an objective; did you mean 'reference'"),
        ({"metric": "params", "known": 1}, "known must be true or false, got 1"),
        ({"metric": "params", "reference": "x"}, "reference: 'x' is not a number"),
    ],
)
def test_what_is_no_objective_is_refused_with_the_reason(value, complaint):
    with pytest.raises(UsageError, match=complaint):
        parse_objective(value)


def test_values_are_minimised_in_the_order_of_the_objectives():
    objectives = [parse_objective("params"), parse_objective("accuracy")]
    assert minimised(objectives, {"accuracy": 0.75, "params": 30_000, "macs": 5}) == [30_000, -0.75]
