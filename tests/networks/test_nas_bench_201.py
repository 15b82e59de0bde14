"""Networks of NAS-Bench-201: sizes counted on modules, cells without a way through, the search network against the derived one."""

import numpy as np
import torch
from torch import nn

from moonas.architecture import Architecture
from moonas.networks.network import build
from moonas.skeleton import Skeleton
from moonas.spaces.costs import cost
from moonas.spaces.nas_bench_201 import EDGES
from moonas.spaces.space import make_space
from tests.networks.test_network import counted

NAMES = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
CIFAR10 = Skeleton(space="nas-bench-201", channels=16, cells=15, input_shape=(3, 32, 32), classes=10)
SMALL = Skeleton(space="nas-bench-201", channels=4, cells=6, input_shape=(1, 8, 6), classes=5)
EXAMPLE = "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|"


def random_cells(number: int) -> list[Architecture]:
    space = make_space({"name": "nas-bench-201"})
    choices = np.random.default_rng(0).choice(NAMES, (number, 6))
    return [
        space.architecture([tuple((node, p, str(name)) for (p, node), name in zip(EDGES, names, strict=True))]) for names in choices
    ]


def test_built_networks_have_the_sizes_of_the_closed_form() -> None:
    assert counted(Architecture.from_genotype(EXAMPLE), CIFAR10) == (802_426, 113_951_370 - 10)
    for architecture in random_cells(20):
        operations = [operation for _, _, operation in architecture.groups["cell"]]
        wide, narrow = operations.count("nor_conv_3x3"), operations.count("nor_conv_1x1")
        expected = (73_306 + 243_040 * wide + 28_000 * narrow, 7_783_040 + 35_389_440 * wide + 3_932_160 * narrow)
        assert counted(architecture, CIFAR10) == expected


def test_built_networks_cost_what_the_table_says_at_odd_sizes_too() -> None:
    for architecture, size in zip(random_cells(6), ((7, 5), (14, 14), (29, 31)) * 2, strict=True):
        skeleton = Skeleton(space="nas-bench-201", channels=6, cells=3, input_shape=(3, *size), classes=7)
        assert counted(architecture, skeleton) == tuple(cost(architecture, skeleton))


def test_the_residual_block_and_the_pools_are_the_published_ones() -> None:
    network = build(Architecture.from_genotype(EXAMPLE), SMALL)
    kinds = [[type(layer).__name__ for layer in part] for part in (network.before["2"].widen, network.before["2"].refine)]
    assert kinds == [["ReLU", "Conv2d", "BatchNorm2d"]] * 2
    assert list(network.before) == ["2", "4"]
    assert [type(layer).__name__ for layer in network.before["2"].shortcut] == ["AvgPool2d", "Conv2d"]
    assert [type(layer).__name__ for layer in network.head] == ["BatchNorm2d", "ReLU"]
    assert sum(isinstance(module, nn.AvgPool2d) for module in network.cells[0].modules()) == 1
    assert all(module.bias is None for module in network.modules() if isinstance(module, nn.Conv2d))


def test_a_cell_without_a_way_through_gives_constant_logits_and_trains_to_finite_weights() -> None:
    dead = Architecture.from_genotype("|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|none~0|none~1|none~2|")
    network = build(dead, SMALL)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)
    for _ in range(5):
        logits = network(torch.randn(8, 1, 8, 6))
        assert torch.equal(logits, logits[:1].expand_as(logits))
        optimizer.zero_grad()
        nn.functional.cross_entropy(logits, torch.arange(8) % 5).backward()
        optimizer.step()
    assert all(parameter.isfinite().all() for parameter in network.parameters())
    assert network.eval()(torch.randn(8, 1, 8, 6)).std(dim=0).max() == 0


def test_dead_edges_change_the_size_and_not_the_function() -> None:
    plain = Architecture.from_genotype("|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|")
    dead = Architecture.from_genotype("|none~0|+|nor_conv_1x1~0|none~1|+|nor_conv_3x3~0|none~1|none~2|")
    small, large = build(plain, SMALL), build(dead, SMALL)
    for own, other in zip(small.cells, large.cells, strict=True):
        other.operations[1].load_state_dict(own.operations[0].state_dict())
    for part in ("stem", "before", "head", "classifier"):
        getattr(large, part).load_state_dict(getattr(small, part).state_dict())
    images = torch.randn(4, 1, 8, 6)
    assert torch.equal(small(images), large(images))
    assert cost(dead, SMALL).params - cost(plain, SMALL).params == 2 * (16 + 8 + 64 + 16 + 256 + 32)
    space = make_space({"name": "nas-bench-201"})
    assert dead.key != plain.key
    assert space.function_key(dead) == space.function_key(plain)
