"""Does it really search? Every method against random architectures, on Fashion-MNIST and in the table of NAS-Bench-201.

MOONAS_DATA=... python benchmarks/methods.py [--storage URL] [--studies FILE ...] [--draws N] [--again] [--report-only] [--output F]
Runs the study files, or goes on with what the database already holds of them. Of a study that trains it then runs `random` alone,
with --draws replicates: the pool that stands for random search, of the same data, skeletons, budgets and protocol; with --again it
trains the networks of the pool twice more, to tell what of their differences is the network. Prints Markdown.
Device-seconds compare only where nothing else ran on the machine. Any study of one final skeleton, with upper budgets and with
`random` among its methods, can be read so.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from json import dumps
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

import moonas
from benchmarks.comparison import RANDOM, Comparison
from benchmarks.estimates import Estimate, mean, mean_of, percentile, rank_correlation, variance_components
from benchmarks.outcomes import Outcome, believed, outcomes
from benchmarks.printing import header, machine, row, yes_or_no
from moonas.architecture import Architecture
from moonas.data.nas_bench_201 import load_table, row_of
from moonas.race import race
from moonas.results.study import Study
from moonas.study.budgets import parse_budget
from moonas.study.loading import load_study
from moonas.study.schema import StudyConfig

FOLDER = Path(__file__).parents[1] / "studies"
STUDIES = [FOLDER / f"methods-fashion-mnist{suffix}.yaml" for suffix in ("", "-tnd", "-nas-bench-201")]
NOTES = """\
± is half of a 95 % confidence interval by Student's t, in which a replicate counts as one observation, its budgets together.
Differences are in percentage points. "Paired" is against random's trial of the same budget and replicate; "equal evaluations"
against the mean of random's pool; "equal time" against the best by `valid` of as many draws from the pool as can be evaluated in
the device-seconds of a trial, its share of a search that serves several budgets included: the exact expectation, drawn without
replacement, with a jackknife error. On `valid` that best is flattered by the noise it was chosen on; on `test` it is not.
Networks of the pool trained again have other random streams: what then differs is training, what does not is the network.
The goal is a mean of at least random's less one standard error of the difference, at equal evaluations on `test`."""


def compare(questions: Sequence[StudyConfig], storage: str, draws: int, *, again: bool = False, run: bool = True) -> str:
    """Run the studies and their pools, as far as they are not complete, and report on them in Markdown.

    again: train the networks of the pools again too.
    """
    lines = [machine(), "", NOTES]
    for question in questions:
        tabular = question.protocol.name == "tabular"
        studies = [study := completed(question.to_json(), storage, run)]
        if not tabular:
            studies.append(pool := completed(pool_of(question, draws), storage, run))
            studies += [completed(again_of(pool), storage, run)] if again else []
        hours = ", ".join(f"{one.store.device_seconds(one.record.id) / 3600:.2f}" for one in studies)
        lines += [f"\n## {study.name}\n", f"{study.state}, {study.config.replicates} replicates; device-hours: {hours}.\n"]
        lines += table_report(study) if tabular else training_report(Comparison.read(study, pool), *map(outcomes, studies[2:]))
    return "\n".join(lines)


def completed(settings: dict[str, Any], storage: str, run: bool) -> Study:
    """The stored study of these settings, first run to its end where asked."""
    if run:
        print(f"running {settings['name']}", file=sys.stderr, flush=True)
        moonas.run(settings, storage)
    return moonas.load_study(settings["name"], storage)


def pool_of(question: StudyConfig, draws: int) -> dict[str, Any]:
    """The study of a study's pool. Networks that both meet are evaluated once."""
    settings = question.to_json()
    methods = [method for method in settings["methods"] if method["name"] == RANDOM]
    return {**settings, "name": f"{question.name}-{RANDOM}", "methods": methods, "replicates": draws}


def again_of(pool: Study) -> dict[str, Any]:
    """A study that trains each network of a pool twice, with random streams of which most are new to it."""
    networks = dict.fromkeys(outcome.architecture for outcome in outcomes(pool))
    methods = [{"name": "fixed", "label": network.key[:8], "architecture": dumps(network.to_json())} for network in networks]
    return {**pool.config.to_json(), "name": f"{pool.name}-again", "methods": methods, "budgets": {}, "replicates": 2}


def training_report(comparison: Comparison, again: Sequence[Outcome] = ()) -> Iterator[str]:
    for part in ("test", "valid"):
        yield f"\nAccuracy on `{part}`, in %:\n"
        yield from accuracy_table(comparison, part)
        yield f"\nAbove random, on `{part}`, budgets together:\n"
        yield from difference_table(comparison, part)
    yield "\nSpearman's rank correlation of a search's scores with the accuracy of the random networks on `test`:\n"
    yield from belief_table(comparison)
    if again:
        yield "\nWhat a network's accuracy owes to the network, in percentage points:\n"
        yield from noise_table(comparison, again)
    yield "\nThe race:\n"
    yield from race_table(comparison.study, comparison.found)


def accuracy_table(comparison: Comparison, part: str) -> Iterator[str]:
    yield from header("method", *map(shown, comparison.pool), "all budgets")
    value = attrgetter(part)
    for method in comparison.searchers:
        cells = [mean([value(one) for one in comparison.of(method, budget=budget)]) for budget in comparison.pool]
        yield row(method, *map(percent, cells), percent(comparison.over_budgets(method, value)))
    drawn = comparison.random(part, dict.fromkeys(comparison.pool, 1.0))
    sizes = "+".join(str(len(pool)) for pool in comparison.pool.values())
    yield row(f"random, {sizes} draws", *map(percent, drawn), percent(mean_of(drawn)))


def difference_table(comparison: Comparison, part: str) -> Iterator[str]:
    yield from header("method", "paired", "equal evaluations", "standard error", "goal", "equal time", "draws in that time")
    for method in comparison.searchers:
        once, draws = comparison.above_random(method, part), comparison.draws_in_equal_time(method)
        yield row(
            method,
            percent(comparison.paired(method, part), signed=True),
            percent(once, signed=True),
            f"{100 * once.error:.2f}",
            yes_or_no(once.value >= -once.error),
            percent(comparison.above_random(method, part, draws), signed=True),
            ", ".join(f"{n:.1f}" for n in draws.values()),
        )


def belief_table(comparison: Comparison) -> Iterator[str]:
    sizes = [len(pool) for pool in comparison.pool.values()]
    yield from header("method", f"within budgets, n = {'+'.join(map(str, sizes))}", f"all draws, n = {sum(sizes)}", "trials")
    for method in comparison.searchers:
        if not comparison.study.config.method(method).entry.draws:
            within, across = comparison.beliefs(method)
            yield row(method, spread(within), spread(across), len(within))
    by_chance = 1 / np.sqrt(sum(sizes) - len(sizes))
    yield f"\nMean over trials (lowest to highest). All share the draws: chance alone moves the first by about {by_chance:.2f}."


def noise_table(comparison: Comparison, again: Sequence[Outcome]) -> Iterator[str]:
    """Standard deviations between the networks of a budget, and between trainings of one; what a perfect belief could reach."""
    yield from header("part", "between networks", "between trainings", "reliability of one training", "highest correlation")
    for part in ("test", "valid"):
        budgets = []
        for pool in comparison.pool.values():
            networks: dict[Architecture, dict[int, float]] = {one.architecture: {} for one in pool}
            for one in (*pool, *again):
                if one.architecture in networks:
                    networks[one.architecture][one.replicate] = getattr(one, part)
            budgets.append([list(trainings.values()) for trainings in networks.values()])
        networks_vary, trainings_vary = variance_components(budgets)
        reliability = networks_vary / (networks_vary + trainings_vary)
        spreads = [f"{100 * np.sqrt(variance):.2f}" for variance in (networks_vary, trainings_vary)]
        yield row(part, *spreads, f"{reliability:.2f}", f"{np.sqrt(reliability):.2f}")


def race_table(study: Study, found: Sequence[Outcome]) -> Iterator[str]:
    seconds = ["search_seconds", "evaluation_seconds"]
    volumes = ["hypervolume", "exclusive", "exclusive per device-hour"]
    yield from header("method", *volumes, "search, s/trial", "evaluation, s/trial", "collapses", "budget misses", "failed")
    for runner in race(study):
        own = [outcome for outcome in found if outcome.method == runner.method]
        yield row(
            runner.method,
            f"{runner.hypervolume:.4f}",
            f"{runner.exclusive:.4f}",
            "-" if runner.exclusive_per_hour is None else f"{runner.exclusive_per_hour:.4f}",
            *(f"{np.mean([getattr(one, part) for one in own]):.0f}" for part in seconds),
            f"{runner.collapses} of {runner.complete}",
            runner.misses,
            runner.failed,
        )


def table_report(study: Study) -> Iterator[str]:
    """Cells that stand in a table of all: their percentiles, and how a search's scores of all cells go with the table."""
    table, _ = load_table(study.config.protocol.settings.table or study.config.data.name)
    every = np.nanmean(table.accuracy, axis=1)
    (decoder,) = study.plan.decoders.values()
    (slot,) = decoder.choices.slots  # whose options are all connected cells
    connected = every[[row_of(study.plan.space.architecture([option])) for option in slot.slot.options]]
    by_chance, found = float(percentile(connected, every).mean()), outcomes(study)
    yield f"Percentiles are among all {len(every):,} cells, Spearman's correlations over the {len(connected):,} connected ones.\n"
    yield from header("method", "percentiles", "mean", "goal", "accuracy, %", "correlation of scores with the table")
    for method in study.config.methods:
        own = [outcome for outcome in found if outcome.method == method.label]
        places = percentile(np.array([one.valid for one in own]), every)
        estimate = mean(list(places))
        scores = method.entry.searches and not method.entry.draws
        agreement = [rank_correlation(believed(decoder.choices, one.search)[0], connected) for one in own if scores]
        yield row(
            method.label,
            ", ".join(f"{place:.1f}" for place in places),
            f"{estimate.value:.1f} ± {estimate.half_width:.1f}",
            yes_or_no(estimate.value >= by_chance - estimate.error),
            percent(mean([one.valid for one in own])),
            spread(agreement) if agreement else "",
        )
    yield row("all connected cells", "", f"{by_chance:.1f}", "", f"{100 * connected.mean():.2f}", "")
    yield "\nThe race:\n"
    yield from race_table(study, found)


def percent(estimate: Estimate, signed: bool = False) -> str:
    return f"{100 * estimate.value:{'+' if signed else ''}.2f} ± {100 * estimate.half_width:.2f}"


def spread(values: Sequence[float]) -> str:
    return f"{np.mean(values):+.2f} ({min(values):+.2f} to {max(values):+.2f})"


def shown(budget: str) -> str:
    return ", ".join(f"{metric} <= {bound['upper']:,}" for metric, bound in parse_budget(budget).items()) or "no budget"


def main() -> None:
    """Run what is not complete, print the report, and write it to --output."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--storage", default="sqlite:///moonas-methods.db", help="URL of the study database")
    parser.add_argument("--studies", nargs="+", type=Path, default=STUDIES, metavar="FILE")
    parser.add_argument("--draws", type=int, default=8, help="random architectures per budget in the pool")
    parser.add_argument("--again", action="store_true", help="train the pool's networks again, to tell them from their trainings")
    parser.add_argument("--report-only", action="store_true", help="run nothing; report what the database holds")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    questions = [load_study(file) for file in arguments.studies]
    report = compare(questions, arguments.storage, arguments.draws, again=arguments.again, run=not arguments.report_only)
    print(report)
    if arguments.output:
        arguments.output.write_text(report + "\n")


if __name__ == "__main__":
    main()
