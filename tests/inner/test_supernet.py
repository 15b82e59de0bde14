"""The supernet that searches use: published counts, paths and mixtures, statistics that can rest."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from moonas.inner.supernets.fused import FusedSupernet
from moonas.inner.supernets.supernet import Mixture, Path
from moonas.skeleton import Skeleton
from moonas.spaces.space import Space, make_space


def uniform(space: Space) -> Mixture:
    return Mixture({name: torch.full(group.shape, 1 / len(group.operations)) for name, group in space.groups.items()})


def make(space: Space, skeleton: Skeleton) -> FusedSupernet:
    torch.manual_seed(0)
    return FusedSupernet(space, skeleton)


@pytest.mark.parametrize(
    ("channels", "cells", "nodes", "parameters", "macs"),
    [(16, 8, 4, 1_930_618, 300_255_744), (4, 5, 4, 136_182, 22_884_992), (4, 3, 2, 26_958, 5_953_856)],
)
def test_the_search_network_has_the_known_size(channels, cells, nodes, parameters, macs):
    space = make_space({"name": "darts-cnn", "nodes": nodes})
    with torch.device("meta"):
        net = FusedSupernet(space, Skeleton(channels=channels, cells=cells, input_shape=(3, 32, 32), classes=10)).eval()
        with FlopCounterMode(display=False) as counter:
            net(torch.empty(1, 3, 32, 32), uniform(space))
    assert sum(weight.numel() for weight in net.weights()) == parameters
    assert counter.get_total_flops() == 2 * macs


def test_a_path_equals_the_mixture_that_puts_all_weight_on_it(tiny_space, tiny_skeleton):
    net = make(tiny_space, tiny_skeleton)
    path = Path(tiny_space.architecture([slot.options[17] for slot in tiny_space.slots()]))
    weights = {name: torch.zeros(group.shape) for name, group in tiny_space.groups.items()}
    for group, edges in path.architecture.groups.items():
        for edge in edges:
            weights[group][tiny_space.groups[group].place(edge)] = 1
    images = torch.randn(16, 1, 8, 8)
    assert torch.allclose(net(images, path), net(images, Mixture(weights)), rtol=1e-5, atol=1e-5)


def test_a_path_computes_only_what_it_uses(tiny_space, tiny_skeleton):
    net = make(tiny_space, tiny_skeleton)
    path = Path(tiny_space.architecture([slot.options[-1] for slot in tiny_space.slots()]))
    net(torch.randn(4, 1, 8, 8), path).sum().backward()
    used = {f"{edge}.{tiny_space.groups['normal'].operations.index('dil_conv_5x5')}." for edge in (0, 1, 3, 4)}
    for name, parameter in net.cells[0].operations.named_parameters():
        assert (parameter.grad is not None) == name.startswith(tuple(used))


def test_frozen_statistics_rest_inside_the_block_and_move_outside(tiny_space, tiny_skeleton):
    net, images = make(tiny_space, tiny_skeleton), torch.randn(16, 1, 8, 8)
    before = {name: buffer.clone() for name, buffer in net.named_buffers()}
    with net.frozen_statistics():
        frozen = net(images, uniform(tiny_space))
    assert all(torch.equal(buffer, before[name]) for name, buffer in net.named_buffers())
    assert torch.equal(net(images, uniform(tiny_space)), frozen)
    assert not any(torch.equal(buffer, before[name]) for name, buffer in net.named_buffers() if name.endswith("running_var"))


def test_only_stem_and_classifier_have_scales_and_shifts(tiny_space, tiny_skeleton):
    net = make(tiny_space, tiny_skeleton)
    norms = {name: module for name, module in net.named_modules() if isinstance(module, nn.BatchNorm2d)}
    assert [name for name, norm in norms.items() if norm.affine] == ["stem.layers.1"]
