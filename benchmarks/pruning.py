"""Giving trainings up by a bound on their learning curve: front members lost and device time saved, on recorded curves.

python benchmarks/pruning.py [--curves FILE ...] [--orders 1000] [--trials 100] [--seed 0] [--output FILE]
python benchmarks/pruning.py --record 120 [--hours 1] --storage URL, and then
python benchmarks/pruning.py --export FILE --storage URL --studies NAME [NAME ...]

`--record` trains so many random networks on digits to their end, or as many as the hours allow, as a study without pruning;
`--export` writes the curves of all trainings of such studies, or of any others of one protocol, into a file. From such a file
studies of so many trials are replayed, each a random choice of the networks in a random order, one training at a time. A training
is judged after each epoch but the last two; given up, it has cost the epochs up to then and one more, as in a study.
Rules: nothing is given up; what is dominated as it stands is (greedy); the bound at three quantiles, with a tenth of the trainings
spared; and the same bound at 0.95 with each look judged by itself instead of all together, to show what looking often costs.
Lost is a member of the front that all of a study's trainings to their end would have, and that was given up. Missed is a training
that ended above the bound of one of its looks, given up or not: among those that begin once there is a bound, a share of one less
the quantile may be.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path

import numpy as np

from moonas.front.dominance import non_dominated
from moonas.front.hypervolume import hypervolume
from moonas.outer.learning_curves import Curves, removed
from moonas.outer.pruning import hopeless
from moonas.store.records import Place
from moonas.study.objectives import parse_objective
from moonas.study.pruning import Pruning

OBJECTIVES = [parse_objective("accuracy"), parse_objective("params")]
EPOCHS = 12
RESULTS = Path(__file__).parent / "results"
STUDY = {
    "name": "curves",
    "data": {"name": "digits", "fractions": {"train_w": 0.15, "train_alpha": 0.15}},
    "space": {"name": "darts-cnn", "nodes": 1},
    "search": {"channels": 4, "cells": 3},
    "final": {"channels": [2, 4, 8], "cells": 3},
    "objectives": ["accuracy", "params"],
    "methods": ["direct"],
    "sampler": "random",
    "protocol": {"name": "short", "epochs": EPOCHS, "batch": 32},
    "workers": {"devices": "cpu", "tasks_per_device": 1},
}


@dataclass(frozen=True)
class Network:
    """One training that ran to its end. curve: accuracy after each epoch. seconds: of the device, all epochs together."""

    key: str
    params: int
    seconds: float
    curve: tuple[float, ...]

    @property
    def metrics(self) -> dict[str, float]:
        return {"accuracy": self.curve[-1], "params": self.params}


def record(networks: int, hours: float, storage: str) -> None:
    """Train random networks; goes on where it was left."""
    import moonas

    moonas.run({**STUDY, "trials": networks, "limits": {"hours": hours}}, storage=storage)


def export(storage: str, names: Sequence[str], path: Path) -> None:
    """Write the curves of the trainings of these studies."""
    import moonas

    rows = []
    for study in (moonas.load_study(name, storage) for name in names):
        tasks = {task.key: task for task in study.store.tasks(study.record.id, kind="evaluate")}
        trials = {trial.id: trial for trial in study.trials()}
        seconds = dict.fromkeys((task.id for task in tasks.values()), 0.0)
        for attempt in study.store.attempts(study.record.id):
            if attempt.task_id in seconds:
                seconds[attempt.task_id] += attempt.seconds or 0.0
        for key, curve in study.store.curves(study.record.id):
            values, accuracies = trials[tasks[key].trial_ids[0]].values or {}, [round(accuracy, 6) for accuracy in curve]
            took = round(seconds[tasks[key].id], 3)
            rows.append({"key": key, "params": values["params"], "seconds": took, "curve": accuracies})
    path.write_text("[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n", encoding="utf-8")


def read(path: Path) -> list[Network]:
    found = json.loads(path.read_text(encoding="utf-8"))
    return [Network(row["key"], row["params"], row["seconds"], tuple(row["curve"])) for row in found]


class Rule:
    """What a study does while it trains: `highest_end` as of `Curves`; this one gives nothing up."""

    def spares(self, key: str) -> bool:
        return True

    def learn(self, key: str, curve: Sequence[float]) -> None:
        """Nothing to learn."""

    def highest_end(self, epoch: int, epochs: int, accuracy: float) -> float | None:
        return None


class Greedy(Rule):
    """What a training has reached is taken for what it will."""

    def spares(self, key: str) -> bool:
        return False

    def highest_end(self, epoch: int, epochs: int, accuracy: float) -> float | None:
        return accuracy


class EachLook(Curves):
    """The bound at each look by itself: of n shares the ceil((n + 1) q)-th smallest."""

    def highest_end(self, epoch: int, epochs: int, accuracy: float) -> float | None:
        known = self._curves.get(epochs, [])
        rank = ceil((len(known) + 1) * self.settings.quantile)
        if len(known) < self.settings.least or rank > len(known) or epoch > epochs - 2:
            return None
        shares = np.sort(removed(np.array(known))[:, epoch - 1])
        return accuracy + float(shares[rank - 1]) * (1 - accuracy)


@dataclass
class Outcome:
    """Of one study.

    lost, members: of the front of all trainings. saved: share of the device time. volume: share of the hypervolume that is left.
    judged, missed: trainings that began once there was a bound, and those of them that ended above it.
    """

    lost: int = 0
    members: int = 0
    given_up: int = 0
    saved: float = 0.0
    volume: float = 1.0
    judged: int = 0
    missed: int = 0


@dataclass
class Front:
    """What has been trained to its end, and what of it nothing dominates."""

    members: list[Network] = field(default_factory=list)

    def add(self, network: Network) -> None:
        self.members = front_of([*self.members, network])

    def as_loop_has_it(self) -> list[tuple[Place, dict[str, float]]]:
        return [(Place(member.key, ""), member.metrics) for member in self.members]


def front_of(networks: Sequence[Network]) -> list[Network]:
    values = np.array([[-network.curve[-1], network.params] for network in networks])
    return [network for network, keep in zip(networks, non_dominated(values), strict=True) if keep]


def replay(networks: Sequence[Network], rule: Rule | Curves, box: np.ndarray) -> Outcome:
    """One study: the networks are trained one after another. box: reference of the hypervolume, its ideal 0."""
    front, outcome, spent = Front(), Outcome(), 0.0
    for network in networks:
        epochs, present = len(network.curve), front.as_loop_has_it()
        bounds = {e: rule.highest_end(e, epochs, network.curve[e - 1]) for e in range(1, epochs - 1)}
        known = {epoch: bound for epoch, bound in bounds.items() if bound is not None}
        outcome.judged += bool(known)
        outcome.missed += any(bound < network.curve[-1] - 1e-12 for bound in known.values())
        end = epochs
        if not rule.spares(network.key):
            for epoch, bound in known.items():
                if hopeless(OBJECTIVES, (), {"accuracy": bound, "params": network.params}, present):
                    end = epoch + 1
                    break
        spent += network.seconds * end / epochs
        if end == epochs:
            rule.learn(network.key, network.curve)
            front.add(network)
        else:
            outcome.given_up += 1
    whole, kept = front_of(networks), {member.key for member in front.members}
    outcome.members, outcome.lost = len(whole), sum(member.key not in kept for member in whole)
    outcome.saved = 1 - spent / sum(network.seconds for network in networks)
    outcome.volume = volume(front.members, box) / volume(whole, box)
    return outcome


def volume(members: Iterable[Network], box: np.ndarray) -> float:
    return hypervolume(np.array([[1 - member.curve[-1], member.params] for member in members]), box, np.zeros(2))


RULES: dict[str, Callable[[int], Rule | Curves]] = {
    "nothing": lambda seed: Rule(),
    "greedy": lambda seed: Greedy(),
    "0.9": lambda seed: Curves(Pruning(quantile=0.9), seed),
    "0.95": lambda seed: Curves(Pruning(), seed),
    "0.99": lambda seed: Curves(Pruning(quantile=0.99), seed),
    "0.95, each look by itself": lambda seed: EachLook(Pruning(), seed),
}


def table(networks: Sequence[Network], trials: int, orders: int, seed: int) -> str:
    """The rules side by side, on the same orders."""
    box = np.array([1.0, 1.01 * max(network.params for network in networks)])
    rows = []
    for name, make in RULES.items():
        rng = np.random.default_rng(seed)
        chosen = [rng.permutation(len(networks))[:trials] for _ in range(orders)]
        found = [replay([networks[place] for place in order], make(number), box) for number, order in enumerate(chosen)]
        lost, members = sum(one.lost for one in found), sum(one.members for one in found)
        saved = np.percentile([one.saved for one in found], [10, 50, 90])
        judged = sum(one.judged for one in found)
        cells = [
            name,
            f"{np.mean([one.given_up for one in found]):.1f}",
            f"{lost} of {members} ({lost / members:.2%})",
            f"{np.mean([one.lost > 0 for one in found]):.1%}",
            f"{1 - np.mean([one.volume for one in found]):.4%}",
            f"{saved[1]:.1%} ({saved[0]:.1%} to {saved[2]:.1%})",
            f"{sum(one.missed for one in found) / judged:.2%}" if judged else "",
        ]
        rows.append(f"| {' | '.join(cells)} |")
    head = ["rule", "given up", "members lost", "studies that lost any", "hypervolume lost", "device time saved", "missed"]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *rows]
    size, epochs = min(trials, len(networks)), len(networks[0].curve)
    told = f"{orders} studies of {size} trials, drawn from {len(networks)} trainings of {epochs} epochs:"
    return "\n".join([told, "", *lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", type=int, metavar="NETWORKS")
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--export", type=Path, metavar="FILE")
    parser.add_argument("--storage", default="sqlite:///curves.db")
    parser.add_argument("--studies", nargs="+", default=[STUDY["name"]])
    parser.add_argument("--curves", type=Path, nargs="+", default=sorted(RESULTS.glob("pruning-curves-*.json")))
    parser.add_argument("--orders", type=int, default=1000)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    if options.record:
        record(options.record, options.hours, options.storage)
    elif options.export:
        export(options.storage, options.studies, options.export)
    else:
        tables = [f"## {path.stem}\n\n{table(read(path), options.trials, options.orders, options.seed)}" for path in options.curves]
        print("\n".join(tables))
        if options.output:
            options.output.write_text("\n".join(tables), encoding="utf-8")


if __name__ == "__main__":
    main()
