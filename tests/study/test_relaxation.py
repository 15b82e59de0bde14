"""Relaxed bounds against brute force: which end of which bound admits a point, and none tighter does."""

import numpy as np
import pytest

from moonas.study.bounds import Bound, parse_bound, total_violation
from moonas.study.relaxation import admitting, missed, obstacles

BOUNDS = [parse_bound("params<=100"), parse_bound("accuracy>=0.9"), parse_bound("2<=latency_ms<=5")]


def test_what_each_bound_excludes_by_hand():
    points = [
        {"params": 150, "accuracy": 0.95, "latency_ms": 3.0},
        {"params": 120, "accuracy": 0.85, "latency_ms": 3.0},
        {"params": 90, "accuracy": 0.91, "latency_ms": 1.5},
        {"params": 130, "accuracy": 0.92, "latency_ms": 4.0},
    ]
    params, accuracy, latency = obstacles(BOUNDS, points)
    assert (params.excluded, params.alone, str(params.relaxed), params.admits) == (3, 2, "params<=130", 3)
    assert (accuracy.excluded, accuracy.alone, accuracy.relaxed, accuracy.admits) == (1, 0, None, None)
    assert (latency.excluded, latency.alone, str(latency.relaxed), latency.admits) == (1, 1, "1.5<=latency_ms<=5", 2)


def test_a_relaxed_bound_admits_what_brute_force_finds_and_nothing_tighter_does():
    draw = np.random.default_rng(0)
    points = [
        {"params": int(p), "accuracy": round(float(a), 3), "latency_ms": round(float(ms), 2)}
        for p, a, ms in draw.uniform((50, 0.7, 1), (300, 0.95, 9), (60, 3))
    ]
    points = [metrics for metrics in points if total_violation(BOUNDS, metrics)]
    for number, obstacle in enumerate(obstacles(BOUNDS, points)):
        others = [bound for index, bound in enumerate(BOUNDS) if index != number]
        freed = [metrics for metrics in points if not total_violation(others, metrics)]
        assert obstacle.alone == len(freed) > 0
        assert obstacle.excluded == sum(obstacle.bound.violation(metrics[obstacle.bound.metric]) > 0 for metrics in points)
        within = [index for index, metrics in enumerate(points) if not total_violation([*others, obstacle.relaxed], metrics)]
        assert within == [obstacle.admits]
        closest = min(freed, key=lambda metrics: obstacle.bound.violation(metrics[obstacle.bound.metric]))
        assert points[obstacle.admits] == closest


@pytest.mark.parametrize(
    ("bound", "value", "relaxed"),
    [
        (Bound("params", upper=100), 1_201_334, "params<=1201334"),
        (Bound("accuracy", lower=0.99), 350 / 360, "accuracy>=0.9722"),
        (Bound("latency_ms", upper=5), 5.30001, "latency_ms<=5.301"),
        (Bound("latency_ms", upper=0.05), 0.1, "latency_ms<=0.1"),
        (Bound("energy_mj", upper=5), 123456.7, "energy_mj<=123500"),
        (Bound("params", lower=10, upper=100), 8, "8<=params<=100"),
        (Bound("params", lower=10, upper=100), 50, "10<=params<=100"),
    ],
)
def test_an_end_is_moved_outwards_to_four_digits(bound, value, relaxed):
    assert str(admitting(bound, value)) == relaxed
    assert admitting(bound, value).violation(value) == 0


def test_a_metric_that_is_not_known_misses_nothing():
    assert missed(BOUNDS, {"params": 500}) == BOUNDS[:1]
