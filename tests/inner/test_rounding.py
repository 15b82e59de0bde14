"""In float32 the fused mixtures lose little more than the plain ones, where a variance is all but lost in rounding too."""

import copy

import pytest
import torch
from torch import Tensor, nn

from moonas.inner.supernets.fan import Fan
from moonas.inner.supernets.statistics import Statistics
from moonas.inner.supernets.sums import Sums
from moonas.networks.dropout import Dropout
from moonas.networks.operations import make_operation

DILATED = ["max_pool_3x3", "avg_pool_3x3", "skip_connect", "dil_conv_3x3", "dil_conv_5x5"]
SEPARABLE = ["sep_conv_3x3", "sep_conv_5x5"]  # their second ReLU cuts where rounding errors decide: gradients jump, values do not
EDGES = [(0, 1), (0, 2)]


def modules(channels: int, names: list[str]) -> nn.ModuleList:
    torch.manual_seed(0)
    return nn.ModuleList(nn.ModuleList(make_operation(name, channels, 1, affine=False) for name in names) for _ in EDGES).double()


def plain(edges: nn.ModuleList, x: Tensor, weights: Tensor) -> list[Tensor]:
    return [
        sum(weight * operation(x) for weight, operation in zip(row, edge, strict=True))
        for row, edge in zip(weights, edges, strict=True)
    ]


def fused(edges: nn.ModuleList, x: Tensor, weights: Tensor) -> list[Tensor]:
    names = DILATED if len(edges[0]) == len(DILATED) else SEPARABLE
    sums = Sums([1, 2], weights, Statistics(), [[True] * len(names)] * 2)
    Fan([list(edge) for edge in edges], names, EDGES, 0, x.shape[1], 1, Dropout()).spread(x, sums)
    return [sums.total(node) for node in (1, 2)]


def results(mix, edges: nn.ModuleList, x: Tensor, dtype: torch.dtype) -> dict[str, list[Tensor]]:
    """Values, and gradients for a random direction, in float64."""
    edges, x = copy.deepcopy(edges).to(dtype), x.to(dtype).contiguous(memory_format=torch.channels_last).requires_grad_()
    weights = torch.rand(2, len(edges[0]), generator=torch.Generator().manual_seed(1)).to(dtype).requires_grad_()
    values = mix(edges, x, weights)
    generator = torch.Generator().manual_seed(2)
    directions = [torch.randn(value.shape, generator=generator).to(dtype) for value in values]
    d_weights, d_x, *others = torch.autograd.grad(values, [weights, x, *edges.parameters()], directions)
    found = {"values": values, "architecture": [d_weights], "input": [d_x], "weights": others}
    return {name: [tensor.double() for tensor in tensors] for name, tensors in found.items()}


def distance(found: list[Tensor], exact: list[Tensor]) -> float:
    """Root mean square, over all numbers, each tensor's by its own scale."""
    parts = [((a - b).square().mean() / b.square().mean().clamp_min(1e-12)) for a, b in zip(found, exact, strict=True)]
    return torch.stack(parts).mean().sqrt().item()


def assert_as_exact(edges: nn.ModuleList, x: Tensor) -> None:
    exact = results(plain, edges, x, torch.float64)
    single, ours = (results(mix, edges, x, torch.float32) for mix in (plain, fused))
    continuous = ["values", "architecture"]
    for name in exact if len(edges[0]) == len(DILATED) else continuous:
        lost, found = (distance(case[name], exact[name]) for case in (single, ours))
        assert found < 4 * lost + 1e-7, name


def maps(channels: int) -> Tensor:
    return torch.randn(32, channels, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("names", [DILATED, SEPARABLE], ids=["dilated", "separable"])
@pytest.mark.parametrize("channels", [4, 16])
@pytest.mark.parametrize("offset", [0.0, 10.0, 1000.0])
def test_maps_with_a_common_offset(offset, channels, names):
    assert_as_exact(modules(channels, names), maps(channels) + offset)


@pytest.mark.parametrize("names", [DILATED, SEPARABLE], ids=["dilated", "separable"])
@pytest.mark.parametrize("channels", [4, 16])
@pytest.mark.parametrize("difference", [1e-1, 1e-2, 1e-3])
def test_channels_that_all_but_cancel(difference, channels, names):
    edges, x = modules(channels, names), maps(channels)
    x[:, 1] = x[:, 0] + difference * x[:, 1]
    with torch.no_grad():
        for _, depthwise, pointwise in convolutions(edges):
            depthwise.weight[1] = depthwise.weight[0]
            pointwise.weight[0] = 0
            pointwise.weight[0, 0], pointwise.weight[0, 1] = 1, -1
    assert_as_exact(edges, x)


@pytest.mark.parametrize("level", [0.0, 1.0, 300.0])
def test_maps_without_any_variance(level):
    edges = modules(16, DILATED)
    with torch.no_grad():
        for _, depthwise, _ in convolutions(edges):
            middle = depthwise.weight.shape[2] // 2
            depthwise.weight.zero_()
            depthwise.weight[:, :, middle, middle] = 1
    assert_as_exact(edges, torch.full((8, 16, 8, 8), level, dtype=torch.float64))


def convolutions(edges: nn.ModuleList) -> list[nn.Sequential]:
    """ReLU, depthwise and pointwise convolution at the start of operations."""
    return [operation[:3] for edge in edges for operation in edge if isinstance(operation, nn.Sequential) and len(operation) > 2]
