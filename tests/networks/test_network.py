"""Derived networks: their counts agree with the published values and with the cost table, their shapes with the skeleton."""

import random

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from moonas.architecture import Architecture
from moonas.networks.network import build
from moonas.networks.operations import make_operation
from moonas.skeleton import Skeleton
from moonas.spaces.costs import cost
from moonas.spaces.space import make_space
from tests.spaces.genotypes import SIZES, TND_SIZES, published, tnd_cell

DARTS_V1, DARTS_V2 = published("DARTS_V1"), published("DARTS_V2")
CIFAR = Skeleton(channels=36, cells=20, input_shape=(3, 32, 32), classes=10)
IMAGENET = Skeleton(channels=48, cells=14, input_shape=(3, 224, 224), classes=1000, stem="imagenet")


def counts(network: torch.nn.Module, *inputs: object) -> tuple[int, int]:
    """Parameters, and multiply-adds of convolutions and linear layers without bias, counted by torch."""
    with FlopCounterMode(display=False) as counter:
        network(*inputs)
    return sum(parameter.numel() for parameter in network.parameters()), counter.get_total_flops() // 2


def counted(architecture: Architecture, skeleton: Skeleton) -> tuple[int, int]:
    with torch.device("meta"):
        return counts(build(architecture, skeleton).eval(), torch.empty(1, *skeleton.input_shape))


@pytest.mark.parametrize(("name", "skeleton", "column"), [("DARTS_V2", CIFAR, 0), ("PC_DARTS_image", IMAGENET, 2)])
def test_the_published_cells_make_networks_of_the_known_size(name, skeleton, column):
    assert counted(published(name), skeleton) == SIZES[name][column]


@pytest.mark.parametrize("channels", [16, 48])
def test_the_published_cell_of_tnd_nas_makes_networks_of_the_known_size(channels):
    skeleton = Skeleton(space="tnd-cnn", channels=channels, cells=20, input_shape=(3, 32, 32), classes=10)
    assert counted(tnd_cell(), skeleton) == (TND_SIZES[channels][0], TND_SIZES[channels][2])


@pytest.mark.parametrize("empty_nodes", [False, True])
def test_built_networks_of_dense_cells_cost_what_the_table_says(empty_nodes):
    space, rng = make_space({"name": "tnd-cnn", "empty_nodes": empty_nodes}), random.Random(0)
    for size in ((32, 32), (7, 5)):
        for stem in ("cifar", "imagenet"):
            options = [rng.choice(slot.options) for slot in space.slots()]
            if empty_nodes:
                options[1] = options[6] = ()
            architecture = space.architecture(options)
            skeleton = Skeleton(space="tnd-cnn", channels=6, cells=5, input_shape=(3, *size), classes=7, stem=stem)
            assert counted(architecture, skeleton) == tuple(cost(architecture, skeleton))


@pytest.mark.parametrize("stem", ["cifar", "imagenet", "imagenet-search"])
@pytest.mark.parametrize(
    "settings",
    [{"nodes": 2}, {"nodes": 4}, {"nodes": 2, "levels": 3}, {"nodes": 2, "connections": True}, {"connections": True}],
    ids=str,
)
def test_built_networks_cost_what_the_table_says(stem, settings):
    space, rng = make_space({"name": "darts-cnn", **settings}), random.Random(0)
    for size in ((32, 32), (29, 31), (7, 5)):
        architecture = space.architecture([rng.choice(slot.options) for slot in space.slots()])
        skeleton = Skeleton(
            channels=rng.choice([6, 10]),
            cells=rng.choice([5, 6] if "levels" in settings else [3, 5]),
            input_shape=(3, *size),
            classes=7,
            stem=stem,
        )
        assert counted(architecture, skeleton) == tuple(cost(architecture, skeleton))


@pytest.mark.parametrize(("kernel", "weights", "macs"), [("sep_conv_3x3", 800, 819_200), ("sep_conv_5x5", 1312, 1_343_488)])
def test_separable_convolutions_have_the_known_weights(kernel, weights, macs):
    assert counts(make_operation(kernel, 16, 1, affine=False), torch.zeros(1, 16, 32, 32)) == (weights, macs)


@pytest.mark.parametrize(("kernel", "weights", "macs"), [("dil_conv_3x3", 400, 409_600), ("dil_conv_5x5", 656, 671_744)])
def test_dilated_convolutions_have_the_known_weights(kernel, weights, macs):
    assert counts(make_operation(kernel, 16, 1, affine=False), torch.zeros(1, 16, 32, 32)) == (weights, macs)


@pytest.mark.parametrize("architecture", [DARTS_V1, DARTS_V2])
def test_logits_and_gradients_reach_every_parameter_at_odd_sizes(architecture):
    network = build(architecture, Skeleton(channels=4, cells=3, input_shape=(1, 7, 5), classes=3))
    network(torch.randn(2, 1, 7, 5)).square().sum().backward()
    assert network(torch.randn(2, 1, 7, 5)).shape == (2, 3)
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in network.parameters())


def test_drop_path_drops_whole_samples_keeps_the_mean_and_rests_in_evaluation():
    drop_path = build(DARTS_V2, Skeleton(channels=4, cells=3, input_shape=(1, 8, 8), classes=3)).drop_path
    drop_path.probability, drop_path.generator = 0.25, torch.Generator().manual_seed(0)
    maps = torch.ones(4000, 2, 3, 3)
    dropped = drop_path(maps)
    assert dropped.unique().tolist() == pytest.approx([0, 4 / 3])
    assert torch.equal(dropped.amin((1, 2, 3)), dropped.amax((1, 2, 3)))
    assert dropped.mean().item() == pytest.approx(1, abs=0.03)  # the standard error is 0.009
    drop_path.eval()
    assert torch.equal(drop_path(maps), maps)


def test_drop_path_spares_identities():
    skips = "[('skip_connect', 0), ('skip_connect', 1)]"
    text = f"Genotype(normal={skips}, normal_concat=[2], reduce={skips}, reduce_concat=[2])"
    network = build(Architecture.from_genotype(text), Skeleton(channels=4, cells=3, input_shape=(1, 8, 8), classes=3))
    normal, reduction, images = network.cells[0], network.cells[1], torch.randn(4, 12, 8, 8)
    network.drop_path.probability = 1 - 1e-9
    assert normal([images, images]).abs().sum() > 0
    assert reduction([images, images[:, :4]]).abs().sum() == 0
