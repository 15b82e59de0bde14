"""Does it really search? Every method against random architectures, on Fashion-MNIST and in the table of NAS-Bench-201.

MOONAS_DATA=... python benchmarks/methods.py [--storage URL] [--studies FILE ...] [--draws N] [--report-only] [--output FILE]
Runs the study files, or goes on with what the database already holds of them; of a study that trains it then runs `random` alone with
--draws replicates, the pool that stands for random search: of the same data, skeletons, budgets and protocol. Prints Markdown.
Device-seconds compare only where nothing else ran on the machine.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from importlib.metadata import version
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

import moonas
from benchmarks.estimates import Estimate, best_of, jackknife, mean, mean_of, percentile, rank_correlation
from benchmarks.outcomes import Outcome, believed, outcomes, score_of
from moonas.data.nas_bench_201 import load_table, row_of
from moonas.machine import cpu_name
from moonas.race import race
from moonas.results import Study
from moonas.study.budgets import parse_budget
from moonas.study.loading import load_study
from moonas.study.schema import StudyConfig

FOLDER = Path(__file__).parents[1] / "studies"
STUDIES = [FOLDER / f"methods-fashion-mnist{suffix}.yaml" for suffix in ("", "-tnd", "-nas-bench-201")]
RANDOM = "random"


def pool_of(question: StudyConfig, draws: int) -> dict[str, Any]:
    """The study of the random draws that another study's methods are compared with; evaluations made there are not made again."""
    settings = question.to_json()
    methods = [method for method in settings["methods"] if method["name"] == RANDOM]
    return {**settings, "name": f"{question.name}-{RANDOM}", "methods": methods, "replicates": draws}


def is_tabular(question: StudyConfig) -> bool:
    return question.protocol.name == "tabular"


class Comparison:
    """The outcomes of a study and of its pool. budgets: in the order of the study."""

    def __init__(self, study: Study, pool: Study) -> None:
        self.study, self.found = study, outcomes(study)
        self.budgets = list(dict.fromkeys(outcome.budget for outcome in self.found))
        drawn = outcomes(pool)
        self.pool = {budget: [one for one in drawn if one.budget == budget] for budget in self.budgets}

    def of(self, method: str, **wanted: object) -> list[Outcome]:
        """The method's outcomes of this budget, of this replicate."""
        own = [outcome for outcome in self.found if outcome.method == method]
        return [outcome for outcome in own if all(getattr(outcome, name) == value for name, value in wanted.items())]

    @property
    def searchers(self) -> list[str]:
        return [method.label for method in self.study.config.methods if method.name != RANDOM]

    def by_replicate(self, method: str, value: Callable[[Outcome], float]) -> Estimate:
        """The mean of a value; what replicates of one search have in common is no new evidence, so each counts as one."""
        replicates = sorted({outcome.replicate for outcome in self.of(method)})
        return mean([float(np.mean([value(one) for one in self.of(method, replicate=r)])) for r in replicates])

    def draws_for(self, method: str, budget: str) -> float:
        """How many random architectures could have been evaluated in the device-time of a trial."""
        spent = np.mean([one.search_seconds + one.evaluation_seconds for one in self.of(method, budget=budget)])
        each = np.mean([one.evaluation_seconds for one in self.pool[budget]])
        return float(np.clip(spent / each, 1, len(self.pool[budget])))

    def random(self, judged: str, draws: Mapping[str, float]) -> dict[str, Estimate]:
        """Per budget what the best of so many draws, chosen on `valid`, has of accuracy on the part `judged`."""
        found = {}
        for budget, pool in self.pool.items():
            chosen_by, judged_by = (np.array([getattr(one, part) for one in pool]) for part in ("valid", judged))
            found[budget] = jackknife(lambda *columns, n=draws[budget]: best_of(min(n, len(columns[0])), *columns), chosen_by, judged_by)
        return found

    def once(self) -> dict[str, float]:
        return dict.fromkeys(self.budgets, 1.0)


def accuracy_table(comparison: Comparison, judged: str) -> Iterator[str]:
    """Mean accuracy per method and budget, and over budgets, with 95 % intervals."""
    yield from header("method", *map(shown, comparison.budgets), "all budgets")
    value = attrgetter(judged)
    for method in comparison.searchers:
        cells = [mean([value(one) for one in comparison.of(method, budget=budget)]) for budget in comparison.budgets]
        yield row(method, *map(percent, cells), percent(comparison.by_replicate(method, value)))
    drawn = comparison.random(judged, comparison.once())
    yield row(f"random, {sum(map(len, comparison.pool.values()))} draws", *map(percent, drawn.values()), percent(mean_of([*drawn.values()])))


def difference_table(comparison: Comparison, judged: str) -> Iterator[str]:
    """What each method is above random, budgets together."""
    yield from header(
        "method", "paired by replicate", "equal evaluations", "standard error", "at least random - 1 SE", "draws in equal time", "equal time"
    )
    value = attrgetter(judged)
    for method in comparison.searchers:
        own = comparison.by_replicate(method, value)
        once = own - mean_of([*comparison.random(judged, comparison.once()).values()])
        draws = {budget: comparison.draws_for(method, budget) for budget in comparison.budgets}
        timed = own - mean_of([*comparison.random(judged, draws).values()])
        yield row(
            method,
            points(comparison.by_replicate(method, lambda one: value(one) - partner(comparison, one, value))),
            points(once),
            f"{100 * once.error:.2f}",
            "yes" if once.value >= -once.error else "no",
            ", ".join(f"{n:.1f}" for n in draws.values()),
            points(timed),
        )


def partner(comparison: Comparison, outcome: Outcome, value: Callable[[Outcome], float]) -> float:
    """The value of random's own trial of the same budget and replicate; NaN where it failed."""
    pair = comparison.of(RANDOM, budget=outcome.budget, replicate=outcome.replicate)
    return value(pair[0]) if pair else float("nan")


def race_table(study: Study, found: Sequence[Outcome]) -> Iterator[str]:
    """What each method adds to the front, and what it cost."""
    seconds = "search s/trial", "evaluation s/trial"
    yield from header("method", "hypervolume", "exclusive", "per device-hour", *seconds, "device-hours", "collapses", "misses", "failed")
    for runner in race(study):
        own = [outcome for outcome in found if outcome.method == runner.method]
        spent = [np.mean([getattr(one, part) for one in own]) if own else np.nan for part in ("search_seconds", "evaluation_seconds")]
        yield row(
            runner.method,
            f"{runner.hypervolume:.4f}",
            f"{runner.exclusive:.4f}",
            "-" if runner.exclusive_per_hour is None else f"{runner.exclusive_per_hour:.4f}",
            *(f"{one:.0f}" for one in spent),
            f"{runner.device_hours:.3f}",
            f"{runner.collapses} of {len(own)}",
            runner.misses,
            runner.failed,
        )


def belief_table(comparison: Comparison) -> Iterator[str]:
    """Do the scores of a search tell which random architectures train better? Spearman, over the pool, with test accuracy."""
    sizes = [len(pool) for pool in comparison.pool.values()]
    by_chance = 1 / np.sqrt(sum(sizes) - len(sizes))
    yield from header("method", f"within budgets (n = {' + '.join(map(str, sizes))})", f"all draws (n = {sum(sizes)})", "searches")
    for method in comparison.searchers:
        own = [one for one in comparison.of(method) if not comparison.study.config.method(method).entry.draws]
        if own:
            within = [belief(comparison, one, comparison.pool[one.budget]) for one in own]
            across = [belief(comparison, one, [drawn for pool in comparison.pool.values() for drawn in pool]) for one in own]
            yield row(method, spread(within), spread(across), len({id(one.search) for one in own}))
    yield f"\nMean over trials (lowest to highest). By chance alone the first would scatter around 0 by {by_chance:.2f}."


def belief(comparison: Comparison, outcome: Outcome, pool: Sequence[Outcome]) -> float:
    (decoder,) = comparison.study.plan.decoders.values()
    scores = believed(decoder.choices, outcome.search)
    return rank_correlation([score_of(decoder.choices, scores, one.architecture) for one in pool], [one.test for one in pool])


def table_table(study: Study, found: Sequence[Outcome]) -> Iterator[str]:
    """Cells in a table of all: their percentiles, and how the scores of all connected cells go with their accuracies."""
    table, _ = load_table(study.config.protocol.settings.table or study.config.data.name)
    every = np.nanmean(table.accuracy, axis=1)
    (decoder,) = study.plan.decoders.values()
    (slot,) = decoder.choices.slots
    connected = every[[row_of(study.plan.space.architecture([option])) for option in slot.slot.options]]
    by_chance, typical = (float(np.mean(values)) for values in (percentile(connected, every), connected))
    yield from header("method", "percentiles", "mean", "at least random - 1 SE", "accuracy", "scores against the table")
    for method in study.config.methods:
        own = [outcome for outcome in found if outcome.method == method.label]
        places = percentile(np.array([one.valid for one in own]), every)
        estimate = mean(list(places))
        scored = [one for one in own if one.search["scores"] is not None and not method.entry.draws]
        agreement = [rank_correlation(believed(decoder.choices, one.search)[0], connected) for one in scored]
        yield row(
            method.label,
            ", ".join(f"{place:.1f}" for place in places),
            f"{estimate.value:.1f} ± {estimate.half_width:.1f}",
            "-" if method.name == RANDOM else "yes" if estimate.value >= by_chance - estimate.error else "no",
            percent(mean([one.valid for one in own])),
            spread(agreement) if agreement else "-",
        )
    yield row("random, exactly", "", f"{by_chance:.1f}", "", f"{100 * typical:.2f}", "")
    yield f"\nPercentiles are among all {len(every):,} cells. Scores: Spearman over the {len(connected):,} connected ones."


def report(studies: Iterable[tuple[Study, Study | None]]) -> Iterator[str]:
    """Lines of Markdown: of each study, with its pool where it has one."""
    for study, pool in studies:
        yield f"\n## {study.name}\n"
        yield f"{study.state}, {study.config.replicates} replicates. 95 % intervals by Student's t; differences in percentage points.\n"
        if pool is None:
            found = outcomes(study)
            yield from table_table(study, found)
        else:
            comparison = Comparison(study, pool)
            found = comparison.found
            for judged in ("test", "valid"):
                yield f"\nAccuracy on `{judged}`, in %:\n"
                yield from accuracy_table(comparison, judged)
                yield f"\nAbove random, on `{judged}`; of several draws random keeps the best on `valid`:\n"
                yield from difference_table(comparison, judged)
            yield "\nWhat the searches believed:\n"
            yield from belief_table(comparison)
        yield "\nThe race:\n"
        yield from race_table(study, found)


def header(*names: str) -> Iterator[str]:
    yield row(*names)
    yield row(*["---"] * len(names))


def row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def percent(estimate: Estimate) -> str:
    return f"{100 * estimate.value:.2f} ± {100 * estimate.half_width:.2f}"


def points(difference: Estimate) -> str:
    return f"{100 * difference.value:+.2f} ± {100 * difference.half_width:.2f}"


def spread(values: Sequence[float]) -> str:
    return f"{np.mean(values):+.2f} ({min(values):+.2f} to {max(values):+.2f})"


def shown(budget: str) -> str:
    return ", ".join(f"{metric} <= {bound['upper']:,}" for metric, bound in parse_budget(budget).items()) or "no budget"


def machine() -> str:
    versions = ", ".join(f"{name} {version(name)}" for name in ("moonas", "torch", "numpy"))
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    return f"{date.today()}, {cpu_name()}, {os.cpu_count()} cores (load {load}), Python {platform.python_version()}, {versions}"


def main() -> None:
    """Run what is not complete, print the tables, and write them to --output."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--storage", default="sqlite:///moonas-methods.db", help="URL of the study database")
    parser.add_argument("--studies", nargs="+", type=Path, default=STUDIES, metavar="FILE")
    parser.add_argument("--draws", type=int, default=8, help="random architectures per budget in the pool")
    parser.add_argument("--report-only", action="store_true", help="run nothing; print what the database holds")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    questions = [load_study(file) for file in arguments.studies]
    print(lines := compare(questions, arguments.storage, arguments.draws, run=not arguments.report_only))
    if arguments.output:
        arguments.output.write_text(lines + "\n")


def compare(questions: Sequence[StudyConfig], storage: str, draws: int, *, run: bool = True) -> str:
    """Run the studies and their pools, as far as they are not complete, and report on them in Markdown."""
    pairs = []
    for question in questions:
        wanted = [question.to_json()] + ([] if is_tabular(question) else [pool_of(question, draws)])
        for settings in wanted if run else ():
            print(f"running {settings['name']}", file=sys.stderr, flush=True)
            moonas.run(settings, storage)
        study, *pool = [moonas.load_study(settings["name"], storage) for settings in wanted]
        pairs.append((study, pool[0] if pool else None))
    return "\n".join([machine(), *report(pairs)])


if __name__ == "__main__":
    main()
