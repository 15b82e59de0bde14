"""Making a device table: random networks of a study measured here, one after another, and the table that predicts them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from moonas import api
from moonas.architecture import Architecture
from moonas.errors import UsageError
from moonas.outer.plan import Plan, Size
from moonas.outer.single import run_one
from moonas.seeds import stream
from moonas.spaces.costs import CostTable, cost_table, total_in
from moonas.spaces.device_fit import LEAST, fit_table, rank_correlation
from moonas.spaces.sampling import FeasibleSet
from moonas.study.device_tables import GRID, predicted_name
from moonas.study.loading import read_file
from moonas.study.metrics import spread_name
from moonas.worker.devices import slot_devices
from moonas.worker.local import LocalPool

HELD_OUT = 5  # every fifth network is left out of the fit, to tell how well the table predicts
USED = ("name", "seed", "data", "space", "search", "final", "measure", "workers")  # what of a study file a table depends on
Report = Callable[[int, int], None]


def fit_device_table(
    question: str | Path | Mapping[str, Any], metric: str = "latency_ms", networks: int = 300, *, report: Report | None = None
) -> dict[str, Any]:
    """Measure random networks of a study at each of its final skeletons, and fit a table to them, which is returned as JSON data.

    metric: one that adds up over operations. networks: how many at each skeleton, a fifth of them held out. report: called with how
    many are measured and of how many. The file may already name the table that is to be made.
    Raises StudyFileError; UsageError for another metric or too few networks; TaskError where the metric cannot be measured here.
    """
    try:
        name = predicted_name(metric)
    except ValueError as error:
        raise UsageError(str(error)) from error
    least = LEAST * HELD_OUT // (HELD_OUT - 1) + 1
    if networks < least:
        raise UsageError(f"a device table needs at least {least} networks, got {networks}")
    raw = question if isinstance(question, Mapping) else read_file(Path(question), with_tables=False)
    asked = {key: value for key, value in raw.items() if key in USED} if isinstance(raw, Mapping) else raw
    plan = api.validate({**asked, "objectives": ["accuracy"], "methods": ["random"]})
    measuring = _Measuring(plan, metric, networks, report or (lambda done, of: None))
    try:
        skeletons = [_fitted(plan, size, name, measuring) for size in plan.sizes]
    finally:
        measuring.pool.close()
    return {
        "format": 1,
        "metric": metric,
        "device": measuring.device,
        "space": plan.config.space.to_json(),
        "settings": plan.measure_settings,
        "skeletons": skeletons,
    }


class _Measuring:
    """Measures one network at a time in a worker process, always on the same device. device: its fingerprint, once known."""

    def __init__(self, plan: Plan, metric: str, networks: int, report: Report) -> None:
        self.plan, self.metric, self.networks, self.report = plan, metric, networks, report
        self.device: Mapping[str, Any] | None = None
        self.done, self.of = 0, networks * len(plan.sizes)
        workers = plan.config.workers
        self.pool = LocalPool(slot_devices(workers)[:1], workers.threads_per_task)

    def measure(self, architecture: Architecture, size: Size) -> tuple[float, float]:
        """The median and its spread, 0 where the metric has none."""
        spec = self.plan.measure_spec(architecture, self.plan.final_skeleton(size), self.device)
        result = run_one(self.pool, replace(spec, metrics=(self.metric,)).to_json(), lambda progress: None)
        self.device = result["device"]
        self.done += 1
        self.report(self.done, self.of)
        return result["metrics"][self.metric], result["metrics"].get(spread_name(self.metric), 0.0)


def _fitted(plan: Plan, size: Size, name: str, measuring: _Measuring) -> dict[str, Any]:
    """The table at one skeleton. Every figure of its `fit` speaks of the whole numbers that are stored."""
    exact = plan.table(size)
    architectures = _draw(plan, size, exact, measuring.networks)
    measured = np.array([measuring.measure(architecture, size) for architecture in architectures])
    values, held_out = measured[:, 0], np.arange(len(measured)) % HELD_OUT == HELD_OUT - 1
    fit = fit_table(plan.space, exact, [a for a, out in zip(architectures, held_out, strict=True) if not out], values[~held_out])
    fixed, edges = fit.whole(GRID)
    column = {"fixed": fixed, "edges": {group: table.tolist() for group, table in edges.items()}}
    skeleton = plan.final_skeleton(size)
    table = cost_table(plan.space, skeleton, {name: column})
    predicted = np.array([total_in(table, plan.space, architecture)[name] / GRID for architecture in architectures])
    return {
        "skeleton": skeleton.to_json(),
        "column": column,
        "fit": {
            "networks": int((~held_out).sum()),
            "held_out": int(held_out.sum()),
            "error": float(np.mean(np.abs(predicted - values)[held_out] / values[held_out])),
            "rank_correlation": rank_correlation(predicted[held_out], values[held_out]),
            "spread": float(np.mean(measured[:, 1] / values)),
        },
    }


def _draw(plan: Plan, size: Size, exact: CostTable, networks: int) -> list[Architecture]:
    """Different architectures, each equally likely; fewer where the space has hardly more."""
    every = FeasibleSet(plan.space, exact)
    rng = np.random.default_rng(stream(plan.config.seed, "device table", plan.final_skeleton(size).key))
    found: dict[str, Architecture] = {}
    for _ in range(10 * networks):
        if len(found) < networks:
            architecture = every.sample(rng)
            found.setdefault(architecture.key, architecture)
    return list(found.values())
