"""Ranges: settings left open."""

import pytest

from moonas.errors import UsageError
from moonas.study.ranges import Range, as_range


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ([1, "a", None], Range("choice", (1, "a", None))),
        ({"choice": [16, 32]}, Range("choice", (16, 32))),
        ({"log": ["1e-4", "1e-2"]}, Range("log", (0.0001, 0.01))),
        ({"uniform": [0, 1]}, Range("uniform", (0, 1))),
        ({"uniform": [-1, "2.5"]}, Range("uniform", (-1, 2.5))),
        ({"int": ["1k", 4096]}, Range("int", (1000, 4096))),
    ],
)
def test_a_range_is_a_kind_with_its_values(text, found):
    assert as_range(text) == found
    assert as_range(found.to_json()) == found


@pytest.mark.parametrize("value", [3, "3", 0.5, True, None])
def test_an_ordinary_value_is_no_range(value):
    assert as_range(value) is None


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ([], "choice: expected a list of values"),
        ([[1]], "choice: expected a list of values"),
        ({"choice": 3}, "choice: expected a list of values"),
        ({"lgo": [1, 2]}, "'lgo' is not a kind of range; did you mean 'log'?"),
        ({}, "a range is one of choice, int, log, uniform"),
        ({"log": [1, 2], "int": [1, 2]}, "a range is one of choice, int, log, uniform"),
        ({"log": 3}, r"log: expected \[lowest, highest\]"),
        ({"uniform": [1, 2, 3]}, r"uniform: expected \[lowest, highest\]"),
        ({"uniform": [2, 1]}, "the lowest value must be below the highest, got 2 and 1"),
        ({"uniform": [1, 1]}, "the lowest value must be below the highest"),
        ({"log": [0, 1]}, "log: the lowest value must be above 0"),
        ({"log": ["x", 1]}, "log: 'x' is not a number"),
        ({"int": [1, 2.5]}, "int: expected a whole number, got 2.5"),
        ({"int": [False, True]}, "int: expected a number, got False"),
    ],
)
def test_a_malformed_range_is_refused_with_the_reason(text, complaint):
    with pytest.raises(UsageError, match=complaint):
        as_range(text)


def test_a_grid_tries_choices_and_the_ends_and_the_middle_of_an_interval():
    assert as_range([3, 1, 2]).grid() == (3, 1, 2)
    assert as_range({"int": [1, 4]}).grid() == (1, 2, 4)
    assert as_range({"int": [1, 2]}).grid() == (1, 2)
    assert as_range({"uniform": [0, 3]}).grid() == (0, 1.5, 3)
    assert as_range({"log": [1e-4, 1e-2]}).grid() == pytest.approx((1e-4, 1e-3, 1e-2))
