"""Importance of parameters: planted ones are found, noise is told as such."""

import numpy as np
import pytest

from moonas.results.importance import FEWEST, importance


def test_a_planted_parameter_has_the_importance() -> None:
    draw = np.random.default_rng(0)
    rate, depth = draw.uniform(size=300), draw.integers(1, 9, 300).astype(float)
    method = np.array(["a", "b"], dtype=object)[draw.integers(0, 2, 300)]
    found = importance({"depth": depth, "rate": rate, "method": method}, 3 * rate + 0.02 * draw.normal(size=300))
    assert found is not None
    assert next(iter(found.shares)) == "rate"
    assert found.shares["rate"] > 0.95
    assert sum(found.shares.values()) == pytest.approx(1)
    assert found.explained > 0.95


def test_text_counts_like_numbers() -> None:
    draw = np.random.default_rng(1)
    names = np.array(["sgd", "adam", "lion"], dtype=object)[draw.integers(0, 3, 200)]
    found = importance({"optimizer": names, "noise": draw.uniform(size=200)}, (names == "lion").astype(float))
    assert found is not None
    assert found.shares["optimizer"] > 0.95


def test_noise_explains_nothing() -> None:
    draw = np.random.default_rng(2)
    found = importance({"a": draw.uniform(size=200), "b": draw.uniform(size=200)}, draw.normal(size=200))
    assert found is not None
    assert found.explained < 0.3


def test_too_few_trials_or_none_that_differ_tell_nothing() -> None:
    few = np.arange(FEWEST - 1.0)
    assert importance({"a": few}, few) is None
    many = np.arange(100.0)
    assert importance({"a": np.ones(100)}, many) is None
    assert importance({"a": many}, np.ones(100)) is None


def test_absent_values_do_not_count_as_numbers() -> None:
    values = np.where(np.arange(90) % 3 == 0, np.nan, np.arange(90.0))
    found = importance({"sometimes": values}, np.isnan(values).astype(float))
    assert found is not None
    assert found.explained > 0.9
