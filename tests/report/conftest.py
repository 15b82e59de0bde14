"""A study as the report sees one: two methods, three budgets, two replicates, exact costs and made-up accuracies."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from moonas.architecture import Architecture, Edge
from moonas.report.records import BudgetInfo, HypervolumeStep, ObjectiveInfo, Point, ReportData, TrialInfo, Value
from moonas.skeleton import Skeleton
from moonas.spaces.costs import cost

OPERATIONS = ("max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5")
LIMITS, WIDTHS = (16_000, 30_000, 60_000), (4, 6, 8)
TRACEBACK = """Traceback (most recent call last):
  File "search.py", line 88, in step
    loss = descend(self.weight_optimizer, self.net, batch)
NonFiniteLossError: the loss became nan in epoch 3"""


def random_cell(stream: random.Random, nodes: int = 4, indegree: int = 2) -> list[Edge]:
    """Intermediate nodes 2, 3 ... with up to `indegree` distinct predecessors each."""
    return [
        (node, predecessor, stream.choice(OPERATIONS))
        for node in range(2, 2 + nodes)
        for predecessor in sorted(stream.sample(range(node), min(indegree, node)))
    ]


def make_study() -> ReportData:
    stream = random.Random(0)
    points, trials = [], []
    grid = [(method, limit, replicate) for method in ("darts", "random") for limit in LIMITS for replicate in (0, 1)]
    for number, (method, limit, replicate) in enumerate(grid):
        budget = {"params": {"upper": limit}}
        skeleton = Skeleton(channels=WIDTHS[LIMITS.index(limit)], cells=5, input_shape=(1, 8, 8), classes=10)
        for origin in ("primary", "extra"):
            architecture, costs = _within(stream, skeleton, limit, 0.82 if method == "darts" else 0.6)
            accuracy = 0.985 - 260 / costs.params - (0.004 if method == "random" else 0.0) + stream.gauss(0, 0.003)
            metrics = {
                "accuracy": Value(value=round(360 * accuracy) / 360, error=0.0021),
                "params": Value(value=costs.params),
                "macs": Value(value=costs.macs),
                "test_accuracy": Value(value=round(360 * accuracy - 2) / 360),
            }
            points.append(
                Point(
                    key=architecture.key[:10],
                    architecture=architecture,
                    skeleton=skeleton,
                    on_front=False,
                    trial=number,
                    method=method,
                    budget=budget,
                    origin=origin,
                    replicates=2,
                    metrics=metrics,
                )
            )
        values = {name: value.value for name, value in points[-2].metrics.items()}
        trials.append(
            TrialInfo(
                number=number, state="COMPLETE", method=method, budget=budget, replicate=replicate, values=values, seconds=31.4
            )
        )
    trials.append(TrialInfo(number=12, state="FAIL", method="darts", budget=budget, replicate=2, seconds=7.5, error=TRACEBACK))
    trials.append(TrialInfo(number=13, state="RUNNING", method="random", budget=None))
    points = [replace(point, on_front=not any(_dominates(other, point) for other in points)) for point in points]
    return ReportData(
        name="digits",
        state="RUNNING",
        created=1_760_000_000.0,
        version="0.1.0",
        versions={"python": "3.11.2", "torch": "2.15.0", "device": "cpu: 2 threads"},
        settings={"name": "digits", "seed": 0, "data": {"name": "digits", "size": None}, "budgets": ["10%", "35%", "70%"]},
        objectives=(
            ObjectiveInfo(name="accuracy", label="accuracy", direction="maximize"),
            ObjectiveInfo(name="params", label="parameters", direction="minimize"),
        ),
        points=tuple(points),
        budgets=tuple(BudgetInfo(text=t, metric="params", upper=u) for t, u in zip(("10%", "35%", "70%"), LIMITS, strict=True)),
        history=tuple(
            HypervolumeStep(evaluations=2 * n + 2, hypervolume=h, cause=f"trial {n}", seconds=31.4 * (n + 1))
            for n, h in enumerate((0.61, 0.74, 0.79, 0.79, 0.83, 0.86, 0.86, 0.87, 0.87, 0.872, 0.881, 0.881))
        ),
        trials=tuple(trials),
        reference={"accuracy": 0.0, "params": 62_000},
        device_seconds=12 * 31.4 + 7.5,
    )


def _within(stream: random.Random, skeleton: Skeleton, limit: int, share: float):
    """A random architecture whose parameters lie within `share` and 1 of the limit."""
    while True:
        groups = {name: random_cell(stream) for name in ("normal", "reduce")}
        architecture = Architecture("darts-cnn", groups, dict.fromkeys(groups, range(2, 6)))
        costs = cost(architecture, skeleton)
        if share * limit <= costs.params <= limit:
            return architecture, costs


def _dominates(one: Point, other: Point) -> bool:
    a, b = (((-p.metrics["accuracy"].value), p.metrics["params"].value) for p in (one, other))
    return a != b and a[0] <= b[0] and a[1] <= b[1]


@pytest.fixture(scope="session", name="random_cell")
def random_cell_fixture():
    return random_cell


@pytest.fixture(scope="session")
def study() -> ReportData:
    return make_study()
