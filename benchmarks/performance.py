"""What each `performance:` setting does to the time and memory of a step, in search networks and in derived ones.

python benchmarks/performance.py [--quick] [--compile] [--configs A B] [--output FILE]
The variants run in turns in one process with one thread; times are medians of CPU seconds, ratios medians of the turns' ratios. The
plain supernet is the one of benchmarks/supernet.py. Memory: the most bytes held for backward passes at any time of a step, and
weights, their gradients and momentum. --compile takes some minutes for each configuration.
"""

from __future__ import annotations

import argparse
import platform
from datetime import date
from functools import partial
from pathlib import Path

import torch
from supernet import CONFIGS, DARTS_V2, Row, Steps, processor, train_once
from torch import Tensor

from moonas.inner.supernets.fused import FusedSupernet
from moonas.networks.compiled import Compiled
from moonas.networks.network import Network, build
from moonas.skeleton import Skeleton
from moonas.spaces.space import Space, make_space
from moonas.study.sections import Performance
from tests.inner.plain import PlainSupernet
from tests.memory import peak_held


class Bench:
    """One configuration: the plain supernet, and the fused one and a derived network by their settings."""

    def __init__(self, space: Space, skeleton: Skeleton, batch: int) -> None:
        self.space, self.skeleton, self.batch = space, skeleton, batch
        self.plain = Steps(PlainSupernet(space, skeleton), space, skeleton, batch)
        self.normal = self.search()

    def search(self, **settings: object) -> Steps:
        net = FusedSupernet(self.space, self.skeleton)
        net.load_state_dict(self.plain.net.state_dict())
        net.set_performance(Performance(**settings))
        return Steps(net, self.space, self.skeleton, self.batch)

    def derived(self, **settings: object) -> Network:
        torch.manual_seed(0)
        network = build(DARTS_V2, self.skeleton)
        network.set_performance(Performance(**settings))
        return network

    def train(self, **settings: object) -> partial[None]:
        return partial(train_once, self.derived(**settings), self.plain)

    def rows(self, repeats: int, compiles: bool) -> list[Row]:
        low, half, first = self.search(memory="low"), self.search(precision="bf16"), self.search(channels_last=False)
        rows = [
            Row("search: plain supernet, memory: low", self.plain.weights, low.weights, repeats),
            Row("search: memory normal, low", self.normal.weights, low.weights, repeats),
            Row("the same, architecture step", self.normal.alpha, low.alpha, repeats),
            Row("search: precision fp32, bf16", self.normal.weights, half.weights, repeats),
            Row("search: channels_last off, on", first.weights, self.normal.weights, repeats),
            Row("training: memory normal, low", self.train(), self.train(memory="low"), 2 * repeats),
            Row("training: precision fp32, bf16", self.train(), self.train(precision="bf16"), 2 * repeats),
            Row("training: channels_last off, on", self.train(channels_last=False), self.train(), 2 * repeats),
        ]
        if compiles:
            network = self.derived()
            compiled = Compiled(network, self.batch)
            rows.append(Row("training: compile off, on", self.train(), partial(train_through, compiled, self.plain), 2 * repeats))
        return rows

    def memory_rows(self) -> list[str]:
        plain, normal, low = map(memory, (self.plain, self.normal, self.search(memory="low")))
        rows = {"search: plain supernet, memory: low": (plain, low), "search: memory normal, low": (normal, low)}
        trained = [peak_held(self.train(memory=setting)) / 1e6 for setting in ("normal", "low")]
        rows["training: memory normal, low"] = trained[0], trained[1]
        return [f"| {name} | {first:.0f} MB | {second:.0f} MB | {first / second:.2f} |" for name, (first, second) in rows.items()]


def memory(steps: Steps) -> float:
    """MB; see above."""
    held = peak_held(lambda: steps.loss().backward(), steps.parameters)
    return (held + 3 * sum(parameter.nbytes for parameter in steps.parameters)) / 1e6


def train_through(compiled: Compiled, steps: Steps) -> None:
    compiled.network.zero_grad()
    loss: Tensor = torch.nn.functional.cross_entropy(compiled(steps.images), steps.labels)
    loss.backward()


def main() -> None:
    """Print the tables, and write them to --output."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="3 repetitions instead of 9")
    parser.add_argument("--compile", action="store_true", help="torch.compile too")
    parser.add_argument("--configs", nargs="+", choices=CONFIGS, default=list(CONFIGS))
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    repeats = 3 if arguments.quick else 9
    lines = []

    def show(line: str) -> None:
        lines.append(line)
        print(line, flush=True)

    show(f"{date.today()}, torch {torch.__version__}, {platform.machine()}, {processor()}, one thread, {repeats} repetitions")
    space = make_space({"name": "darts-cnn"})
    for name in arguments.configs:
        skeleton, batch = CONFIGS[name]
        bench = Bench(space, skeleton, batch)
        shape = "x".join(map(str, skeleton.input_shape))
        show(f"\nConfig {name}: C={skeleton.channels}, {skeleton.cells} cells, {shape}, batch {batch}\n")
        show("| memory | first | second | ratio |\n|---|---|---|---|")
        for line in bench.memory_rows():
            show(line)
        show("\n| time | first | second | ratio |\n|---|---|---|---|")
        for row in bench.rows(repeats, arguments.compile):
            show(row.measure())
    if arguments.output:
        arguments.output.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
