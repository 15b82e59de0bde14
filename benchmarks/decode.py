"""Budgeted decoding and uniform sampling: milliseconds per call, for bounds of every kind, over two and five cell groups.

python benchmarks/decode.py [--repeats 30]
Prints medians and maxima over random scores on one core, for the DARTS space at 36 channels and 20 cells.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from moonas.skeleton import Skeleton
from moonas.spaces.costs import CostTable, cost_table
from moonas.spaces.darts_cnn import DartsCnn
from moonas.spaces.decode import Decoder
from moonas.spaces.sampling import FeasibleSet
from moonas.spaces.space import Space, make_space
from moonas.study.spaces import DartsCnnConfig

SKELETON = Skeleton(channels=36, cells=20, input_shape=(3, 32, 32), classes=10)


class FiveGroups(DartsCnn):
    """DARTS cells whose three depths and two reductions each have an architecture of their own."""

    groups = ("normal0", "normal1", "normal2", "reduce0", "reduce1")


def five_groups() -> tuple[Space, CostTable]:
    """Each normal cell group holds a third of the normal cells, at its own width and resolution; so do the reductions."""
    space, table = FiveGroups(DartsCnnConfig()), cost_table(make_space({"name": "darts-cnn"}), SKELETON)
    shares = {
        "normal0": ("normal", 1),
        "normal1": ("normal", 4),
        "normal2": ("normal", 16),
        "reduce0": ("reduce", 1),
        "reduce1": ("reduce", 4),
    }
    return space, replace(table, edges={group: table.edges[kind] * share for group, (kind, share) in shares.items()})


def log_softmax(space: Space, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Random scores."""
    logits = {group: rng.normal(size=(len(space.edges), len(space.operations))) for group in space.groups}
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
    two = make_space({"name": "darts-cnn"})
    print(f"{'groups':8s}{'call':40s}{'median':>8s} {'maximum':>8s}  (ms)")
    for name, (space, table) in {"two": (two, cost_table(two, SKELETON)), "five": five_groups()}.items():
        decoder, rng = Decoder(space, table), np.random.default_rng(0)
        params, macs = (decoder.reachable()[metric] for metric in ("params", "macs"))
        third = {"params": params[0] + (params[1] - params[0]) // 3, "macs": macs[0] + (macs[1] - macs[0]) // 3}
        bounds = {
            "no bound": {},
            "params <=": {"params": {"upper": third["params"]}},
            "params <=, macs <=": {"params": {"upper": third["params"]}, "macs": {"upper": third["macs"]}},
            "params >=": {"params": {"lower": third["params"]}},
            "params in a band of 1%": {"params": {"lower": int(0.99 * third["params"]), "upper": third["params"]}},
            "params and macs in bands of 5%": {m: {"lower": int(0.95 * third[m]), "upper": third[m]} for m in third},
        }
        for text, bound in bounds.items():
            print(
                f"{name:8s}{'decode, ' + text:40s}{milliseconds(lambda b=bound: decoder.decode(log_softmax(space, rng), b), repeats)}",
                flush=True,
            )
        for metrics in (["params"], ["params", "macs"]):
            call = milliseconds(lambda m=metrics: decoder.decode_front(log_softmax(space, rng), m), max(3, repeats // 10))
            print(f"{name:8s}{'decode_front over ' + ', '.join(metrics):40s}{call}", flush=True)
        if name == "two":
            call = milliseconds(lambda: FeasibleSet(space, table, bounds["params <="]).sample(rng), repeats)
            print(f"{name:8s}{'uniform sample, params <=':40s}{call}", flush=True)


if __name__ == "__main__":
    main()
