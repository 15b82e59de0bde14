"""Does promotion find as good a front in less training? Recorded trainings of random networks, replayed in many orders.

python benchmarks/promotion.py record FILE.csv [--storage URL] [--replicates N]
    trains 4 N random networks on the digits, each for 2, 6 and 18 epochs, three replicates at a time
python benchmarks/promotion.py replay FILE.csv [--orders N]
    prints a table in Markdown

In a replay one slot gets the networks in a random order; who goes on is decided by `moonas.outer.promotion`. Shares of hypervolume
are those of the front of all networks at full length, in a box from its ideal point to a tenth beyond its nadir.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.estimates import rank_correlation
from moonas.front.dominance import non_dominated
from moonas.front.hypervolume import hypervolume
from moonas.outer.archive import Archive
from moonas.outer.plan import Design, Plan
from moonas.outer.promotion import Decision, Finisher, Rungs
from moonas.outer.work import OpenTrial
from moonas.seeds import stream
from moonas.store.records import EvaluationKey
from moonas.study.loading import study_from

LENGTHS = (2, 6, 18)
QUESTION: dict[str, Any] = {
    "name": "promotion",
    "data": "digits",
    "space": {"name": "darts-cnn", "nodes": 2},
    "search": {"channels": 4, "cells": 3},
    "final": {"channels": 4, "cells": 3},
    "objectives": ["accuracy", "params"],
    "methods": ["random"],
    "budgets": {"params": ["2%", "10%", "40%", "none"]},
    "protocol": {"name": "short", "epochs": LENGTHS[-1], "batch": 64, "lr": 0.1, "label_smoothing": 0.1},
    "workers": {"devices": "cpu"},
}


@dataclass(frozen=True)
class Training:
    """One network at one length. values: error and parameters."""

    values: tuple[float, float]
    seconds: float


Record = Mapping[str, Mapping[int, Training]]  # by network, then by epochs


# Recording


def record(path: Path, storage: str, replicates: int) -> None:
    """Train what is missing, and write everything that is there at all lengths."""
    import moonas

    for so_many in [*range(3, replicates, 3), replicates]:
        for epochs in LENGTHS:
            protocol = {**QUESTION["protocol"], "epochs": epochs}
            asked = {**QUESTION, "name": f"epochs-{epochs}", "replicates": so_many, "protocol": protocol}
            moonas.run(asked, storage, extend=True)
        write(path, storage)


def write(path: Path, storage: str) -> None:
    """The CSV file of what a database holds."""
    import moonas

    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["network", "epochs", "error", "params", "seconds"])
        for epochs in LENGTHS:
            study = moonas.load_study(f"epochs-{epochs}", storage)
            params = {network.key: round(network.metrics["params"].value) for network in study.archive()}
            for found in study.store.evaluations(study.record.id, protocol=study.plan.protocol_identity):
                error = round(1 - found.metrics["accuracy"], 6)
                name = f"{found.architecture}-{found.replicate}"
                rows.writerow([name, epochs, error, params[found.architecture], f"{found.seconds:.3f}"])


def read(path: Path) -> Record:
    """Every network that has been trained at all lengths."""
    found: dict[str, dict[int, Training]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            training = Training((float(row["error"]), float(row["params"])), float(row["seconds"]))
            found.setdefault(row["network"], {})[int(row["epochs"])] = training
    return {name: lengths for name, lengths in found.items() if len(lengths) == len(LENGTHS)}


# Replaying

Order = Callable[[np.ndarray, int], Sequence[int]]  # (values, minimised, and how many) -> places, the best first


class Ordered(Rungs):
    """Rungs whose networks are ranked in some other way than the product's."""

    def __init__(self, plan: Plan, archive: Archive, order: Order) -> None:
        super().__init__(plan, archive)
        self.order = order

    def ranked(self, rung: int, count: int | None = None) -> list[Finisher]:
        """See `Rungs.ranked`."""
        finishers = sorted(self.finishers[rung].values(), key=lambda finisher: finisher.number)
        count = len(finishers) if count is None else count
        values = np.array([finisher.values for finisher in finishers], dtype=float).reshape(-1, 2)
        return [finishers[place] for place in self.order(values, count)][:count]


def plan_of(promotion: Mapping[str, Any]) -> Plan:
    return Plan(study_from({**QUESTION, "promotion": promotion}))


def archive_of(plan: Plan) -> Archive:
    return Archive(plan.config.objectives, plan.config.constraints, plan.spans)


def trainings(rungs: Rungs, found: Record, names: Sequence[str]) -> Iterator[tuple[str, int]]:
    """(network, epochs) of every training, in the order in which one slot does them. names: of the networks, as they are asked."""
    lengths, design = [*rungs.epochs, LENGTHS[-1]], Design("random", {}, 0, 0, {})
    coming = [OpenTrial(number, number, design, 0, rung=-1) for number in range(len(names))]

    def next_decision() -> Decision:
        asked = coming[:1]
        if decided := rungs.decide([], closing=False):
            return decided
        del coming[:1]
        return Decision(go_on=asked) if asked else rungs.decide([], closing=True)

    while decided := next_decision():
        for trial in decided.go_on:
            trial.rung += 1
            name, epochs = names[trial.number], lengths[trial.rung]
            yield name, epochs
            if trial.rung < rungs.top:
                error, params = found[name][epochs].values
                metrics = {"accuracy": 1 - error, "params": params}
                rungs.enter(trial.rung, EvaluationKey(name, "", "", "", 0), trial.number, metrics).held.append(trial)


@dataclass(frozen=True)
class Judge:
    """What the front of all networks at full length is, and how much of it others found."""

    front: Mapping[str, tuple[float, float]]
    reference: np.ndarray
    ideal: np.ndarray

    @classmethod
    def of(cls, found: Record) -> Judge:
        names = list(found)
        values = np.array([found[name][LENGTHS[-1]].values for name in names])
        marked = non_dominated(values)
        front = values[marked]
        ideal, nadir = front.min(axis=0), front.max(axis=0)
        return cls({names[n]: tuple(values[n]) for n in np.flatnonzero(marked)}, ideal + 1.1 * (nadir - ideal), ideal)

    def share(self, values: Sequence[tuple[float, float]]) -> float:
        """Of the true front's hypervolume."""
        whole = hypervolume(np.array(list(self.front.values())), self.reference, self.ideal)
        return hypervolume(np.array(values, dtype=float).reshape(-1, 2), self.reference, self.ideal) / whole


@dataclass(frozen=True)
class Outcome:
    """One order.

    numbers: of trainings by epochs. epochs, seconds: as shares of those of all networks at full length. share: of hypervolume, at
    the end; plain: of as many whole epochs of training without promotion; lost: members of the true front that are missing.
    """

    numbers: Counter[int]
    epochs: float
    seconds: float
    share: float
    plain: float
    lost: int


def outcome(found: Record, judge: Judge, rungs: Rungs, names: Sequence[str]) -> Outcome:
    """Replay one order."""
    top = LENGTHS[-1]
    done = list(trainings(rungs, found, names))
    whole = [name for name, epochs in done if epochs == top]
    spent = sum(epochs for _, epochs in done)
    return Outcome(
        numbers=Counter(epochs for _, epochs in done),
        epochs=spent / (top * len(names)),
        seconds=sum(found[name][epochs].seconds for name, epochs in done) / sum(found[name][top].seconds for name in names),
        share=judge.share([found[name][top].values for name in whole]),
        plain=judge.share([found[name][top].values for name in names[: spent // top]]),
        lost=len(set(judge.front) - set(whole)),
    )


# Other ways of ranking


def by_ranks(within: Callable[[np.ndarray], Sequence[int]]) -> Order:
    """Non-dominated ranks, each in the order that `within` gives to its values."""

    def order(values: np.ndarray, count: int) -> list[int]:
        found, left = [], np.arange(len(values))
        while len(left) and len(found) < count:
            marked = non_dominated(values[left])
            rank = left[marked]
            found += [int(rank[place]) for place in within(values[rank])]
            left = left[~marked]
        return found

    return order


def epsilon_net(values: np.ndarray) -> list[int]:
    """The most accurate first, then whoever is farthest from all before it; each objective from 0 to 1 within the rank."""
    spans = np.ptp(values, axis=0)
    scaled = (values - values.min(axis=0)) / np.where(spans > 0, spans, 1)
    found = [int(scaled[:, 0].argmin())]
    while len(found) < len(values):
        distances = np.linalg.norm(scaled[:, None] - scaled[None, found], axis=2).min(axis=1)
        distances[found] = -1
        found.append(int(distances.argmax()))
    return found


def by_accuracy(values: np.ndarray, count: int) -> list[int]:
    """As with one objective."""
    return np.argsort(values[:, 0], kind="stable").tolist()


def at_random(values: np.ndarray, count: int) -> list[int]:
    """By lot, which each network draws once."""
    return np.argsort([stream("lot", *point) for point in values.tolist()]).tolist()


def report(found: Record, orders: int) -> Iterator[str]:
    """The table."""
    judge, names = Judge.of(found), sorted(found)
    yield f"{len(names)} networks, {len(judge.front)} of them on the front; {orders} random orders; medians [quartiles].\n"
    whole = [found[name][LENGTHS[-1]].values[0] for name in names]
    yield "| epochs | mean error | standard deviation | rank correlation with the whole training | median seconds |"
    yield "|---|---|---|---|---|"
    for epochs in LENGTHS:
        errors = [found[name][epochs].values[0] for name in names]
        seconds = np.median([found[name][epochs].seconds for name in names])
        told = f"{np.mean(errors):.4f} | {np.std(errors):.4f} | {rank_correlation(errors, whole):.2f} | {seconds:.1f}"
        yield f"| {epochs} | {told} |"
    yield ""
    yield "| promotion | 2, 6, 18 epochs | epochs | device-seconds | hypervolume | plain, equal epochs | better | lost |"
    yield "|---|---|---|---|---|---|---|---|"
    standard = {"epochs": [2, 6], "factor": 3}
    rows: list[tuple[str, Mapping[str, Any], Order | None]] = [
        ("[2, 6], factor 3", standard, None),
        ("[2, 6], factor 2", {**standard, "factor": 2}, None),
        ("[2, 6], factor 4", {**standard, "factor": 4}, None),
        ("[6], factor 3", {"epochs": 6, "factor": 3}, None),
        ("[2], factor 3", {"epochs": 2, "factor": 3}, None),
        ("[2, 6], factor 3, ties by an epsilon-net", standard, by_ranks(epsilon_net)),
        ("[2, 6], factor 3, ties by number", standard, by_ranks(lambda values: range(len(values)))),
        ("[2, 6], factor 3, by accuracy alone", standard, by_accuracy),
        ("[2, 6], factor 3, by lot", standard, at_random),
    ]
    for title, promotion, order in rows:
        plan, rng = plan_of(promotion), np.random.default_rng(0)
        outcomes = []
        for _ in range(orders):
            rungs = Rungs(plan, archive_of(plan)) if order is None else Ordered(plan, archive_of(plan), order)
            outcomes.append(outcome(found, judge, rungs, [names[n] for n in rng.permutation(len(names))]))
        yield row(title, outcomes)


def row(title: str, outcomes: Sequence[Outcome]) -> str:
    """better: in how many of the orders promotion has more hypervolume than training without it for as many epochs."""
    numbers = ", ".join(f"{np.median([one.numbers[epochs] for one in outcomes]):.0f}" for epochs in LENGTHS)
    shares = [spread([100 * getattr(one, name) for one in outcomes], "%") for name in ("epochs", "seconds", "share", "plain")]
    better = f"{np.mean([one.share > one.plain for one in outcomes]):.0%}"
    return f"| {' | '.join([title, numbers, *shares, better, spread([one.lost for one in outcomes])])} |"


def spread(values: Sequence[float], unit: str = "") -> str:
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    digits = 1 if unit else 0
    return f"{middle:.{digits}f}{unit and ' ' + unit} [{low:.{digits}f}, {high:.{digits}f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["record", "replay"])
    parser.add_argument("file", type=Path)
    parser.add_argument("--storage", default="sqlite:///promotion.db")
    parser.add_argument("--replicates", type=int, default=30)
    parser.add_argument("--orders", type=int, default=200)
    asked = parser.parse_args()
    if asked.what == "record":
        record(asked.file, asked.storage, asked.replicates)
        return
    for line in report(read(asked.file), asked.orders):
        print(line, flush=True)


if __name__ == "__main__":
    main()
