"""The fused supernet against the plain one (one module per edge and operation, as published): time and memory of search steps.

python benchmarks/supernet.py [--quick] [--configs A B] [--output FILE]
The variants run in turns in one process with one thread; times are medians of CPU seconds, ratios medians of the turns' ratios.
The plain architecture step computes all gradients, as the published code does; "pruned" leaves out those of the weights.
Memory: bytes that the forward pass keeps for the backward pass, and weights, their gradients and momentum.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import partial
from itertools import cycle
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

sys.path.insert(0, str(Path(__file__).parents[1]))  # the reference lives among the tests

from moonas.architecture import Architecture
from moonas.inner.supernets.fused import FusedSupernet
from moonas.inner.supernets.supernet import Mixture
from moonas.inner.supernets.supernet import Path as OnePath
from moonas.inner.updates import log_softmax_by_node, resting, second_order_gradient, softmax
from moonas.networks.descent import descend, sgd
from moonas.networks.network import Network, build
from moonas.skeleton import Skeleton
from moonas.spaces.space import Space, make_space
from moonas.study.partial import Partial
from tests.inner.plain import PlainSupernet
from tests.inner.plain_partial import PlainPartialSupernet

CONFIGS = {
    "A": (Skeleton(channels=16, cells=8, input_shape=(3, 32, 32), classes=10), 16),
    "B": (Skeleton(channels=8, cells=5, input_shape=(3, 16, 16), classes=10), 64),
}
DARTS_V2 = Architecture.from_genotype(
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 1),"
    " ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], normal_concat=[2, 3, 4, 5],"
    " reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0),"
    " ('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=[2, 3, 4, 5])"
)


@dataclass(frozen=True)
class Row:
    """What a turn compares: the CPU seconds of two calls, both run `repeats` times in turns."""

    name: str
    slow: Callable[[], object]
    fast: Callable[[], object]
    repeats: int

    def measure(self) -> str:
        pairs = []
        for _ in range(self.repeats + 1):
            pairs.append((seconds(self.slow), seconds(self.fast)))
        del pairs[0]
        slow, fast = (statistics.median(times) for times in zip(*pairs, strict=True))
        return f"| {self.name} | {slow:.3f} s | {fast:.3f} s | {statistics.median(s / f for s, f in pairs):.2f} |"


class Steps:
    """The steps of a search on one supernet, always on the same random batch."""

    def __init__(self, net: nn.Module, space: Space, skeleton: Skeleton, batch: int) -> None:
        torch.manual_seed(0)
        self.net = net
        self.images = torch.randn(batch, *skeleton.input_shape)
        self.labels = torch.randint(0, skeleton.classes, (batch,))
        self.logits = {name: (1e-3 * torch.randn(group.shape)).requires_grad_() for name, group in space.groups.items()}
        self.parameters = list(net.parameters())
        self.optimizer = sgd(self.parameters, 1e-6, 0.9, 3e-4)

    def mixture(self) -> Mixture:
        return Mixture(softmax(self.logits))

    def loss(self) -> Tensor:
        return cross_entropy(self.net(self.images, self.mixture()), self.labels)

    def frozen_loss(self) -> Tensor:
        with self.net.frozen_statistics():
            return self.loss()

    def weights(self) -> None:
        with torch.no_grad():
            mixture = self.mixture()
        descend(self.optimizer, cross_entropy(self.net(self.images, mixture), self.labels), 5.0)

    def alpha(self) -> None:
        with resting(self.parameters):
            loss = self.frozen_loss()
        torch.autograd.grad(loss, list(self.logits.values()))

    def alpha_as_published(self) -> None:
        self.frozen_loss().backward()

    def second_order(self) -> None:
        second_order_gradient(self.frozen_loss, self.frozen_loss, list(self.logits.values()), self.parameters, 0.025)

    def memory(self) -> float:
        """MB; see above."""
        own = {parameter.untyped_storage().data_ptr() for parameter in self.parameters}
        kept = {}

        def keep(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in own:
                kept[storage.data_ptr()] = storage
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = self.loss()
        size = sum(storage.nbytes() for storage in kept.values())
        del loss
        return (size + 3 * sum(parameter.nbytes for parameter in self.parameters)) / 1e6


class PartialSteps(Steps):
    """With a factor for each edge, all edges of a node having equal ones."""

    def __init__(self, net: nn.Module, space: Space, skeleton: Skeleton, batch: int) -> None:
        super().__init__(net, space, skeleton, batch)
        even = {name: torch.zeros(len(group.edges)) for name, group in space.groups.items()}
        self.factors = {name: logs.exp() for name, logs in log_softmax_by_node(even, space).items()}

    def mixture(self) -> Mixture:
        return Mixture(softmax(self.logits), self.factors)


def seconds(call: Callable[[], object]) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began


def train_once(net: nn.Module, steps: Steps, *choice: object) -> None:
    """Forward and backward pass, every gradient cleared before."""
    net.zero_grad()
    cross_entropy(net(steps.images, *choice), steps.labels).backward()


def dense_cells(space: Space) -> Architecture:
    """Every operation other than none in turn, one on each edge: more edges than `space` keeps."""
    groups = {}
    for name, group in space.groups.items():
        operations = cycle(operation for operation in group.operations if operation != "none")
        groups[name] = [
            (node, predecessor, operation) for (predecessor, node), operation in zip(group.edges, operations, strict=False)
        ]
    return Architecture(space.name, groups, {name: group.output for name, group in space.groups.items()})


def rows(space: Space, skeleton: Skeleton, batch: int, repeats: int) -> tuple[list[Row], str]:
    """What is timed in one configuration, and the row of its memory."""
    plain, fused = (Steps(kind(space, skeleton), space, skeleton, batch) for kind in (PlainSupernet, FusedSupernet))
    fused.net.load_state_dict(plain.net.state_dict())
    discrete, dense = build(DARTS_V2, skeleton), dense_cells(space)
    partial_channels = Partial(channel_divisor=4)
    plain_partial, fused_partial = (
        PartialSteps(kind(space, skeleton, partial_channels), space, skeleton, batch)
        for kind in (PlainPartialSupernet, FusedSupernet)
    )
    timed = [
        Row("weights step", plain.weights, fused.weights, repeats),
        Row("first-order architecture step", plain.alpha_as_published, fused.alpha, repeats),
        Row("the same, plain one pruned", plain.alpha, fused.alpha, repeats),
        Row("second-order architecture step", plain.second_order, fused.second_order, max(1, repeats // 3)),
        Row(
            "one path (right) against its discrete network (left)",
            partial(train_once, discrete, fused),
            partial(train_once, fused.net, fused, OnePath(DARTS_V2)),
            2 * repeats,
        ),
        Row(
            "one path with all 14 edges (right) against its discrete network (left)",
            partial(train_once, Network(dense, skeleton, space.cells(skeleton)), fused),
            partial(train_once, fused.net, fused, OnePath(dense)),
            2 * repeats,
        ),
        Row("PC-DARTS weights step, K=4", plain_partial.weights, fused_partial.weights, 2 * repeats),
    ]
    sizes = plain.memory(), fused.memory()
    return timed, f"| memory of a weights step | {sizes[0]:.0f} MB | {sizes[1]:.0f} MB | {sizes[0] / sizes[1]:.2f} |"


def main() -> None:
    """Print the tables, and write them to --output."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="3 repetitions instead of 9")
    parser.add_argument("--configs", nargs="+", choices=CONFIGS, default=list(CONFIGS))
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    repeats = 3 if arguments.quick else 9
    lines = [f"{date.today()}, torch {torch.__version__}, {platform.machine()}, {processor()}, one thread, {repeats} repetitions"]
    print(lines[0], flush=True)

    def show(line: str) -> None:
        lines.append(line)
        print(line, flush=True)

    space = make_space({"name": "darts-cnn"})
    for name in arguments.configs:
        skeleton, batch = CONFIGS[name]
        shape = "x".join(map(str, skeleton.input_shape))
        show(f"\nConfig {name}: C={skeleton.channels}, {skeleton.cells} cells, {shape}, batch {batch}\n")
        show("| | plain | fused | ratio |\n|---|---|---|---|")
        timed, memory = rows(space, skeleton, batch, repeats)
        show(memory)
        for row in timed:
            show(row.measure())
    if arguments.output:
        arguments.output.write_text("\n".join(lines) + "\n")


def processor() -> str:
    """The CPU's model where the system tells it."""
    info = Path("/proc/cpuinfo")
    names = (
        [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        if info.exists()
        else []
    )
    return names[0] if names else platform.processor()


if __name__ == "__main__":
    main()
