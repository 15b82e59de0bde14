"""How many evaluations the outer layer needs on the complete NAS-Bench-201 tables: moonas's sampler beside Optuna's and pymoo's.

python benchmarks/outer.py [--quick] [--seeds 10] [--tables cifar10 cifar100] [--samplers ...] [--cases ...] [--output FILE]
python benchmarks/outer.py --held-out

The table of ImageNet16-120 is the held-out check: nothing was ever chosen or tried by it, so run it once, at the end.

Objectives are minimised: -accuracy, parameters and, in two cases, latency. Measure: the hypervolume of what has been evaluated,
normalised by ideal and nadir of the true front with the reference at 1.1 in each objective, as a share of the true front's. A
repeated cell counts as an evaluation. Printed: evaluations to 90, 95, 99 and 99.9 % of the true hypervolume, and the share after
200; medians over seeds with 25 and 75 % quantiles. Every sampler may propose all 15,625 cells, is told exact objectives, and has
its own defaults, populations of 20 apart. `latency known` says that moonas is told every latency beforehand; for the others that is
no different from `latency learned`. In `noisy` every evaluation draws one of a cell's runs, and the score goes by the mean of all.
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.curves import box_of, front_of, shares, spread
from moonas.architecture import Architecture
from moonas.data.nas_bench_201 import ORIGINS, load_table
from moonas.front.hypervolume import hypervolume
from moonas.outer.surrogate.candidates import Generator
from moonas.outer.surrogate.features import Columns, cell_features
from moonas.outer.surrogate.proposal import Candidates, Objectives, Observations, Proposer, basis
from moonas.seeds import stream
from moonas.skeleton import Skeleton
from moonas.spaces.costs import CostTable, cost_table
from moonas.spaces.space import make_space
from moonas.study.protocols import TABULATED
from moonas.worker.devices import THREAD_VARIABLES

EDGES, OPERATIONS = 6, 5
HELD_OUT = "imagenet16-120"
SHARES = (0.9, 0.95, 0.99, 0.999)
AFTER = 200  # evaluations, for the share of the hypervolume
POPULATION = 20
SPACE = make_space({"name": "nas-bench-201"})


class Spent(Exception):
    """The limit of evaluations is reached."""


@dataclass(frozen=True)
class Case:
    """latency: "", or whether moonas knows it beforehand. noisy: whether an evaluation is one run instead of the mean."""

    latency: str = ""
    noisy: bool = False


CASES = {
    "size": Case(),
    "latency known": Case("known"),
    "latency learned": Case("learned"),
    "noisy": Case(noisy=True),
}


def table_costs(classes: int) -> CostTable:
    """Parameters, which do not depend on the size of the images, of every choice."""
    return cost_table(SPACE, Skeleton(space=SPACE.name, **TABULATED, input_shape=(3, 32, 32), classes=classes))


@dataclass
class Problem:
    """One table and case. values: (15625, m), minimised, by row of the table."""

    table: str
    case: Case

    @cached_property
    def costs(self) -> CostTable:
        return table_costs(ORIGINS[self.table].classes)

    @cached_property
    def accuracy(self) -> np.ndarray:
        return load_table(self.table)[0].accuracy

    @cached_property
    def values(self) -> np.ndarray:
        digits = np.indices((OPERATIONS,) * EDGES).reshape(EDGES, -1)
        params = self.costs.fixed[0] + self.costs.edges["cell"][np.arange(EDGES)[:, None], digits, 0].sum(axis=0)
        columns = [-np.nanmean(self.accuracy, axis=1), params.astype(float)]
        return np.column_stack([*columns, load_table(self.table)[0].latency_ms] if self.case.latency else columns)

    @cached_property
    def front(self) -> np.ndarray:
        """The true one."""
        return front_of(self.values)

    @cached_property
    def volume(self) -> float:
        """Of the true front, where the ideal is 0 and the nadir 1."""
        return hypervolume(self.front, *box_of(self.front)) * 1.1 ** self.values.shape[1]

    def shares(self, rows: list[int]) -> np.ndarray:
        """After each evaluation: the share of the true hypervolume."""
        return shares(self.values[rows], self.front, box_of(self.front))


@dataclass
class Run:
    """What one sampler has evaluated so far. limit: of evaluations."""

    problem: Problem
    seed: int
    limit: int
    rows: list[int] = field(default_factory=list)

    def evaluate(self, row: int) -> list[float]:
        """The values of a cell. Raises Spent where the limit was reached before."""
        if len(self.rows) == self.limit:
            raise Spent
        values = self.problem.values[row].tolist()
        if self.problem.case.noisy:
            runs = self.problem.accuracy[row]
            runs = runs[~np.isnan(runs)]
            values[0] = -float(runs[stream(self.seed, "run", len(self.rows)) % len(runs)])
        self.rows.append(int(row))
        return values

    def evaluate_digits(self, digits: list[int]) -> list[float]:
        """The values of the cell with these operations, one per edge."""
        return self.evaluate(int("".join(map(str, digits)), OPERATIONS))


def row(architecture: Architecture) -> int:
    """Of a cell in the table: its operations read as the digits of a number."""
    names = SPACE.groups["cell"].operations
    return int("".join(str(names.index(name)) for _, _, name in architecture.groups["cell"]), OPERATIONS)


@lru_cache(maxsize=1)
def cells() -> tuple[list[Architecture], np.ndarray, list[str]]:
    """The connected cells, their rows in the table and their function keys."""
    generator = Generator(SPACE, table_costs(classes=10))
    architectures = [generator.architecture(chosen) for chosen in generator.all]
    return architectures, np.array([row(a) for a in architectures]), [SPACE.function_key(a) for a in architectures]


@lru_cache(maxsize=1)
def described() -> tuple[Columns, np.ndarray]:
    """The features of these cells."""
    columns = Columns()
    return columns, columns.rows([cell_features(architecture) for architecture in cells()[0]])


def moonas(run: Run) -> None:
    """The box is a study's own: error 1 and 1.01 times the largest costs, whatever the true front."""
    problem, (_, rows, functions), (columns, features) = run.problem, cells(), described()
    values, m = problem.values[rows], problem.values.shape[1]
    known = np.array([False, True, problem.case.latency == "known"][:m])
    reference, ideal = np.array([0.0, *1.01 * values[:, 1:].max(axis=0)]), np.array([-1.0, *values[:, 1:].min(axis=0)])
    proposer = Proposer(Objectives(known, ideal, reference, of_function=problem.case.latency != "learned"), columns)
    candidates = Candidates(features, np.where(known, values, np.nan), functions)
    nothing = Candidates(features[:0], values[:0], [])
    taken, seen, measured = np.zeros(len(rows), dtype=bool), [], np.empty((0, m))
    while True:
        rests = features[np.array(seen, dtype=int)[basis(measured)]]
        observed = Observations(rests, measured, [functions[index] for index in seen], np.ones(len(seen)))
        chosen = proposer.propose(observed, nothing, candidates, taken, stream(run.seed, "ask", len(seen)))
        assert chosen is not None
        measured = np.vstack([measured, run.evaluate(int(rows[chosen]))])
        seen.append(chosen)
        taken[chosen] = True


def uniform(run: Run) -> None:
    """Uniform, with repeats."""
    rng = np.random.default_rng(run.seed)
    while True:
        run.evaluate(int(rng.integers(OPERATIONS**EDGES)))


def optuna_sampler(name: str, **settings: object) -> Callable[[Run], None]:
    """One of Optuna's, over one categorical parameter per edge."""

    def search(run: Run) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        sampler = getattr(optuna.samplers, name)(seed=run.seed, **settings)
        study = optuna.create_study(directions=["minimize"] * run.problem.values.shape[1], sampler=sampler)
        while True:
            trial = study.ask()
            digits = [trial.suggest_categorical(f"edge {edge}", list(range(OPERATIONS))) for edge in range(EDGES)]
            study.tell(trial, run.evaluate_digits(digits))

    return search


def pymoo_algorithm(module: str, name: str) -> Callable[[Run], None]:
    """One of pymoo's, over one integer per edge, with its operators for integers."""

    def search(run: Run) -> None:
        from importlib import import_module

        from pymoo.core.problem import ElementwiseProblem
        from pymoo.operators.crossover.sbx import SBX
        from pymoo.operators.mutation.pm import PM
        from pymoo.operators.repair.rounding import RoundingRepair
        from pymoo.operators.sampling.rnd import IntegerRandomSampling
        from pymoo.optimize import minimize

        class Cells(ElementwiseProblem):
            def __init__(self) -> None:
                super().__init__(n_var=EDGES, n_obj=run.problem.values.shape[1], xl=0, xu=OPERATIONS - 1, vtype=int)

            def _evaluate(self, x: np.ndarray, out: dict[str, object], *args: object, **kwargs: object) -> None:
                out["F"] = run.evaluate_digits(x.tolist())

        algorithm = getattr(import_module(f"pymoo.algorithms.moo.{module}"), name)(
            pop_size=POPULATION,
            sampling=IntegerRandomSampling(),
            crossover=SBX(vtype=float, repair=RoundingRepair()),
            mutation=PM(vtype=float, repair=RoundingRepair()),
        )
        minimize(Cells(), algorithm, ("n_eval", 10**9), seed=run.seed)

    return search


@dataclass(frozen=True)
class Entry:
    """A sampler.

    limit: of evaluations, for what it costs. seeds: at most. slow: left out unless --slow. quick: part of --quick.
    """

    search: Callable[[Run], None]
    limit: int
    seeds: int = 10**9
    slow: bool = False
    quick: bool = False


SAMPLERS = {
    "moonas": Entry(moonas, 300, quick=True),
    "random": Entry(uniform, 1000, quick=True),
    "optuna tpe": Entry(optuna_sampler("TPESampler"), 500),
    "optuna tpe multivariate": Entry(optuna_sampler("TPESampler", multivariate=True), 500, quick=True),
    "optuna nsga2": Entry(optuna_sampler("NSGAIISampler", population_size=POPULATION), 1000, quick=True),
    "optuna gp": Entry(optuna_sampler("GPSampler"), 200, seeds=3, slow=True),
    "pymoo nsga2": Entry(pymoo_algorithm("nsga2", "NSGA2"), 1000, quick=True),
    "pymoo smsemoa": Entry(pymoo_algorithm("sms", "SMSEMOA"), 1000, quick=True),
}


def evaluations_to(share: float, shares: np.ndarray) -> float:
    """The first at which the share is reached; infinite where it never is."""
    reached = np.flatnonzero(shares >= share)
    return float(reached[0] + 1) if len(reached) else np.inf


@lru_cache(maxsize=8)
def problem_of(table: str, case: str) -> Problem:
    """Kept within a process."""
    return Problem(table, CASES[case])


def one_run(table: str, case: str, sampler: str, seed: int, limit: int) -> tuple[np.ndarray, float]:
    """The share of the true hypervolume after each evaluation of one run, and its CPU milliseconds per evaluation."""
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    problem = problem_of(table, case)
    if sampler == "moonas":
        described()  # once in each process, before anything is timed
    run, began = Run(problem, seed, limit), time.process_time()
    with suppress(Spent):
        SAMPLERS[sampler].search(run)
    taken = 1000 * (time.process_time() - began) / limit
    return problem.shares(run.rows), taken


def line(found: list[tuple[np.ndarray, float]]) -> str:
    """One sampler's line of the table."""
    curves, limit = [curve for curve, _ in found], len(found[0][0])
    counts = [spread([evaluations_to(share, curve) for curve in curves], limit) for share in SHARES]
    after = spread([curve[AFTER - 1] for curve in curves]) if limit >= AFTER else ""
    return " | ".join([*counts, after, f"{len(curves)}", f"{statistics.mean(taken for _, taken in found):.1f}"])


def main(arguments: list[str] | None = None) -> None:
    """Print one table per case and data set, as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="3 seeds, 200 evaluations, fewer samplers")
    parser.add_argument("--slow", action="store_true", help="Optuna's Gaussian process too, with 3 seeds")
    parser.add_argument("--most", type=int, default=1000, help="evaluations, at most")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--tables", nargs="+", default=["cifar10", "cifar100"], choices=[t for t in ORIGINS if t != HELD_OUT])
    parser.add_argument("--held-out", action="store_true", help=f"the table of {HELD_OUT} instead, for the final check")
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--samplers", nargs="+", choices=list(SAMPLERS))
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="runs at the same time, one thread each")
    parser.add_argument("--output", type=Path, help="a file to write the tables to, besides printing them")
    asked = parser.parse_args(arguments)
    seeds, most = (min(asked.seeds, 3), min(asked.most, 200)) if asked.quick else (asked.seeds, asked.most)
    names = asked.samplers or [name for name, e in SAMPLERS.items() if (e.quick or not asked.quick) and (asked.slow or not e.slow)]
    lines = []

    def show(text: str) -> None:
        print(text, flush=True)
        lines.append(text)
        if asked.output:
            asked.output.write_text("\n".join(lines) + "\n", encoding="utf-8")

    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))  # read by the processes as they start
    with ProcessPoolExecutor(asked.processes, mp_context=get_context("spawn")) as pool:
        runs: dict[tuple[str, str, str], list[Future[tuple[np.ndarray, float]]]] = {}
        for case in asked.cases:
            for table in [HELD_OUT] if asked.held_out else asked.tables:
                for name in names:
                    entry = SAMPLERS[name]
                    if case != "latency known" or name == "moonas":
                        runs[case, table, name] = [
                            pool.submit(one_run, table, case, name, seed, min(entry.limit, most))
                            for seed in range(min(seeds, entry.seeds))
                        ]
        above = None
        for (case, table, name), futures in runs.items():
            if (case, table) != above:
                above, problem = (case, table), problem_of(table, case)
                show(f"\n**{table}, {case}**: true front of {len(problem.front)} cells, hypervolume {problem.volume:.4f}\n")
                show(f"| sampler | 90 % | 95 % | 99 % | 99.9 % | % after {AFTER} | seeds | CPU ms per evaluation |")
                show("|---|---|---|---|---|---|---|---|")
            show(f"| {name} | {line([future.result() for future in futures])} |")


if __name__ == "__main__":
    main()
