"""Budgeted decoding and uniform sampling: milliseconds per call, for bounds of every kind, over two and five cell groups.

python benchmarks/decode.py [--repeats 30]
Prints medians and maxima over random scores on one core, for the DARTS space at 36 channels and 20 cells.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from moonas.skeleton import Skeleton
from moonas.spaces.costs import CostTable, cost_table
from moonas.spaces.decode import Decoder
from moonas.spaces.sampling import FeasibleSet
from moonas.spaces.space import Space, make_space
from moonas.specs import Bounds

SKELETON = Skeleton(channels=36, cells=20, input_shape=(3, 32, 32), classes=10)


def log_softmax(space: Space, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Random scores."""
    logits = {name: rng.normal(size=group.shape) for name, group in space.groups.items()}
    return {group: values - np.log(np.exp(values).sum(axis=1, keepdims=True)) for group, values in logits.items()}


def milliseconds(call: Callable[[], object], repeats: int) -> str:
    """Median and maximum, the first call left out."""
    call()
    taken = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        taken.append(1e3 * (time.perf_counter() - began))
    return f"{statistics.median(taken):8.2f} {max(taken):8.2f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=30)
    repeats = parser.parse_args().repeats
    print(f"{'groups':8s}{'call':40s}{'median':>8s} {'maximum':>8s}  (ms)")
    for name, levels in {"two": 1, "five": 3}.items():
        space = make_space({"name": "darts-cnn", "levels": levels})
        for call, function in calls(space, cost_table(space, SKELETON)).items():
            print(f"{name:8s}{call:40s}{milliseconds(function, repeats)}", flush=True)


def calls(space: Space, table: CostTable) -> dict[str, Callable[[], object]]:
    """What is timed, by name; every call draws new scores."""
    decoder, rng = Decoder(space, table), np.random.default_rng(0)
    third = {metric: low + (high - low) // 3 for metric, (low, high) in decoder.reachable().items()}
    bounds: dict[str, Bounds] = {
        "no bound": {},
        "params <=": {"params": {"upper": third["params"]}},
        "params <=, macs <=": {metric: {"upper": value} for metric, value in third.items()},
        "params >=": {"params": {"lower": third["params"]}},
        "params in a band of 1%": {"params": {"lower": int(0.99 * third["params"]), "upper": third["params"]}},
        "params and macs in bands of 5%": {m: {"lower": int(0.95 * value), "upper": value} for m, value in third.items()},
    }

    def decode(bound: Bounds) -> object:
        return decoder.decode(log_softmax(space, rng), bound)

    def front(*metrics: str) -> object:
        return decoder.decode_front(log_softmax(space, rng), metrics)

    timed: dict[str, Callable[[], object]] = {f"decode, {text}": partial(decode, bound) for text, bound in bounds.items()}
    timed |= {"decode_front over params": partial(front, "params"), "decode_front over both": partial(front, "params", "macs")}
    timed["uniform sample, params <="] = lambda: FeasibleSet(space, table, bounds["params <="]).sample(rng)
    return timed


if __name__ == "__main__":
    main()
