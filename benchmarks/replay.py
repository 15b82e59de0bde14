"""Which sampler finds the front of a finished grid in the least device-time? Replayed from a record: nothing is trained.

python benchmarks/replay.py [--storage URL] [--study FILE] [--record FILE] [--seeds 10] [--samplers ...] [--output FILE]

A sampler chooses (method, budget, width, depth) among the grid's, one trial after another, and each is answered from the record. A
trial takes the device-seconds of its search and of its evaluation, as measured, unless an earlier one has paid for the same search
or for the same network; a repeated trial takes none. The samplers are those of the product, with their defaults; `shuffled` is the
grid in random order. Measure: the hypervolume of what is finished, as a share of that of the whole grid, after parts of the
device-time that the whole grid took, and its mean over the first half of that time; medians over seeds with quartiles. It is taken
in two boxes: one that the grid's front spans, with the reference at 1.1, where all objectives weigh alike; and the study's own,
which moonas works in. With --storage the record is first written, from the database in which the grid was run.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

import moonas
from benchmarks.curves import Box, box_of, front_of, shares, spread
from benchmarks.outcomes import Outcome, outcomes
from benchmarks.printing import header, machine, row, yes_or_no
from moonas.outer.archive import Archive
from moonas.outer.plan import Plan
from moonas.outer.samplers.grid import Grid
from moonas.outer.samplers.sampler import History, Proposal, Sampler, Told, make_sampler
from moonas.seeds import canonical_json, stream
from moonas.study.bounds import total_violation
from moonas.study.loading import load_study, study_from
from moonas.study.objectives import minimised
from moonas.study.schema import StudyConfig

FOLDER = Path(__file__).parents[1]
STUDY = FOLDER / "studies" / "grid-fashion-mnist.yaml"
RECORD = FOLDER / "benchmarks" / "results" / "grid-fashion-mnist-2026-11-22.csv"
PARTS = (0.1, 0.25, 0.5)  # of the grid's device-time; the last is where a replay ends
OURS, PEER, SHUFFLED = "moonas", "tpe", "shuffled"
SAMPLERS = (OURS, PEER, "nsga2", "random", SHUFFLED)


@dataclass(frozen=True)
class Point:
    """A trial of the grid.

    search, search_seconds: the key of its search, and what all of that took. network: the key of its architecture, which at this
    width and depth is trained once, in evaluation_seconds.
    """

    method: str
    budget: str
    channels: int
    cells: int
    accuracy: float
    params: int
    macs: int
    search: str
    search_seconds: float
    network: str
    evaluation_seconds: float

    @classmethod
    def of(cls, outcome: Outcome) -> Point:
        """Raises ValueError where more than one search led to the architecture, such as a comparison of candidates after it."""
        if len(outcome.tasks) != 1:
            raise ValueError(f"{outcome.method}, {outcome.budget}: one search per trial can be replayed, not {len(outcome.tasks)}")
        ((search, seconds),) = outcome.tasks.items()
        return cls(
            **outcome.params,
            **outcome.costs,
            accuracy=outcome.valid,
            search=search,
            search_seconds=seconds,
            network=outcome.architecture.key,
            evaluation_seconds=outcome.evaluation_seconds,
        )

    @property
    def design(self) -> str:
        """What a sampler chooses, as `Design.to_params` has it."""
        return canonical_json({name: getattr(self, name) for name in ("method", "budget", "channels", "cells")})


@dataclass
class Account:
    """What has been paid for: every search once, and every network once."""

    paid: set[tuple[Any, ...]] = field(default_factory=set)

    def charge(self, point: Point) -> float:
        """The device-seconds that a trial takes now."""
        seconds = 0.0
        for bill, price in (
            (("search", point.search), point.search_seconds),
            (("network", point.network, point.channels, point.cells), point.evaluation_seconds),
        ):
            seconds += price if bill not in self.paid else 0.0
            self.paid.add(bill)
        return seconds


@dataclass(frozen=True)
class Record:
    """A finished grid: its study and what each of its trials found. Raises ValueError where trials are missing, or repeated."""

    config: StudyConfig
    points: Sequence[Point]

    def __post_init__(self) -> None:
        asked = {canonical_json(proposal.design.to_params()) for proposal in Grid(self.plan).proposals}
        if asked != set(self.by_design) or len(self.points) != len(asked) or self.config.replicates != 1:
            raise ValueError(f"{len(self.points)} trials are no complete grid of one replicate of {len(asked)} designs")

    @classmethod
    def read(cls, config: StudyConfig, file: Path) -> Record:
        kinds = {"str": str, "int": int, "float": float}
        with file.open(encoding="utf-8", newline="") as lines:
            rows = [{f.name: kinds[f.type](line[f.name]) for f in fields(Point)} for line in csv.DictReader(lines)]
        return cls(config, [Point(**row) for row in rows])

    def write(self, file: Path) -> None:
        with file.open("w", encoding="utf-8", newline="") as lines:
            writer = csv.DictWriter(lines, [f.name for f in fields(Point)], lineterminator="\n")
            writer.writeheader()
            writer.writerows(asdict(point) for point in self.points)

    @cached_property
    def plan(self) -> Plan:
        return Plan(self.config)

    @cached_property
    def by_design(self) -> dict[str, Point]:
        return {point.design: point for point in self.points}

    @cached_property
    def seconds(self) -> float:
        """What the whole grid took."""
        account = Account()
        return sum(map(account.charge, self.points))

    @cached_property
    def boxes(self) -> dict[str, Box]:
        """See above."""
        archive = Archive(self.config.objectives, self.config.constraints, self.plan.spans)
        return {"front": box_of(self.front), "study": (np.array(archive.reference), np.array(archive.ideal))}

    @cached_property
    def front(self) -> np.ndarray:
        return front_of(self.values(self.points))

    def values(self, points: Iterable[Point]) -> np.ndarray:
        """(n, m): their objectives, minimised."""
        return np.array([minimised(self.config.objectives, vars(point)) for point in points])


class Shuffled:
    """The grid in random order."""

    def __init__(self, plan: Plan) -> None:
        proposals = Grid(plan).proposals
        order = np.random.default_rng(stream(plan.config.seed, "shuffled")).permutation(len(proposals))
        self.proposals, self.total = [proposals[place] for place in order], len(proposals)

    def ask(self, history: History) -> Proposal | None:
        """The next one."""
        return self.proposals[len(history.trials)] if len(history.trials) < self.total else None


@dataclass
class Replay:
    """What one sampler does on one seed.

    points: its trials. seconds: the device-time at which each was finished. asking: CPU seconds that the sampler itself took.
    """

    record: Record
    points: list[Point] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    asking: float = 0.0

    @classmethod
    def run(cls, record: Record, sampler: Sampler) -> Replay:
        """Until the last of `PARTS` is spent, or as many trials in a row as the grid has were repeats."""
        found, account, history = cls(record), Account(), History()
        spent, repeats = 0.0, 0
        while spent < PARTS[-1] * record.seconds and repeats < len(record.points):
            began = time.process_time()
            proposal = sampler.ask(history)
            found.asking += time.process_time() - began
            if proposal is None:
                break
            point = record.by_design[canonical_json(proposal.design.to_params())]
            repeats = repeats + 1 if point in found.points else 0
            spent += account.charge(point)
            found.points.append(point)
            found.seconds.append(spent)
            _tell(history, proposal, record, point)
        return found

    def measures(self, box: Box) -> list[float]:
        """The share of the grid's hypervolume reached by each of `PARTS` of its device-time, and its mean until the last."""
        reached = shares(self.record.values(self.points), self.record.front, box)
        end = PARTS[-1] * self.record.seconds
        finished = np.searchsorted(self.seconds, np.multiply(PARTS, self.record.seconds), side="right")
        lasting = np.diff(np.clip([*self.seconds, end], None, end))
        return [*np.concatenate([[0.0], reached])[finished].tolist(), float(lasting @ reached) / end]


def _tell(history: History, proposal: Proposal, record: Record, point: Point) -> None:
    """As the loop of a study does."""
    asked = Told(proposal.design.to_params(), proposal.replicate, "RUNNING", None, proposal.attributes)
    history.add(asked)
    (values,), violation = record.values([point]).tolist(), total_violation(record.config.constraints, vars(point))
    done = Told(asked.params, asked.replicate, "COMPLETE", values, asked.attributes, violation)
    history.tell(len(history.trials) - 1, done)


def sampler_of(record: Record, name: str, seed: int) -> Sampler:
    """One of the product's by name, or `shuffled`, for the grid's study. Its number of trials ends no replay."""
    if name == SHUFFLED:
        return Shuffled(Plan(study_from({**record.config.to_json(), "seed": seed})))
    return make_sampler(Plan(study_from({**record.config.to_json(), "seed": seed, "sampler": name, "trials": 10**6})))


def report(record: Record, replays: Mapping[str, Sequence[Replay]]) -> Iterator[str]:
    """Tables in Markdown. replays: by sampler, one per seed, of the same seeds."""
    searches, networks = ({getattr(point, name) for point in record.points} for name in ("search", "network"))
    yield f"{record.config.name}: {len(record.points)} trials, {len(searches)} searches, {len(networks)} architectures,"
    yield f"{record.seconds:,.0f} device-seconds, a front of {len(record.front)}.\n"
    for name, box in record.boxes.items():
        yield f"\nIn the box of the {name}, % of the grid's hypervolume:\n"
        parts = [f"in {part:.0%} of the time" for part in PARTS]
        yield from header("sampler", *parts, "mean", "trials", "of them repeats", "seeds", "CPU ms per ask")
        found = {sampler: np.array([one.measures(box) for one in runs]) for sampler, runs in replays.items()}
        for sampler, runs in replays.items():
            trials = np.median([len(one.points) for one in runs])
            repeats = np.median([len(one.points) - len(set(one.points)) for one in runs])
            asking = 1000 * sum(one.asking for one in runs) / sum(len(one.points) for one in runs)
            yield row(sampler, *map(spread, found[sampler].T), f"{trials:g}", f"{repeats:g}", len(runs), f"{asking:.1f}")
        if OURS in found and PEER in found:
            above = (found[OURS] - found[PEER]).T
            yield row(f"{OURS} less {PEER}", *(spread(column, signed=True) for column in above), "", "", "", "")
            yield row("at least 0 in the median", *(yes_or_no(np.median(column) >= 0) for column in above), "", "", "", "")


def main() -> None:
    """Write the record where there is a database, replay, print the report, and write it to --output."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--storage", help="URL of the database that holds the finished grid, to be recorded first")
    parser.add_argument("--study", type=Path, default=STUDY, help="the grid's study file")
    parser.add_argument("--record", type=Path, default=RECORD, help="a CSV file, one line per trial of the grid")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--samplers", nargs="+", default=list(SAMPLERS))
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args()
    warnings.filterwarnings("ignore")
    config = load_study(asked.study)
    if asked.storage:
        found = outcomes(moonas.load_study(config.name, asked.storage))
        Record(config, [Point.of(outcome) for outcome in found]).write(asked.record)
    record = Record.read(config, asked.record)
    replays = {name: [Replay.run(record, sampler_of(record, name, s)) for s in range(asked.seeds)] for name in asked.samplers}
    text = "\n".join([machine(), "", *report(record, replays)])
    print(text)
    if asked.output:
        asked.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
