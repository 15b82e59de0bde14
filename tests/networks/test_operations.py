"""Operations: shapes at both strides, and values against plain formulas."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from moonas.networks.operations import DilatedDepthwise, FactorizedReduce, make_operation
from moonas.study.operations import OPERATIONS


@pytest.mark.parametrize("name", sorted(OPERATIONS))
@pytest.mark.parametrize("affine", [True, False])
def test_height_and_width_become_the_size_over_the_stride_rounded_up(name, affine):
    for (height, width), halved in (((8, 6), (4, 3)), ((7, 5), (4, 3)), ((1, 2), (1, 1))):
        x = torch.randn(3, 4, height, width)
        assert make_operation(name, 4, 1, affine)(x).shape == (3, 4, height, width)
        assert make_operation(name, 4, 2, affine)(x).shape == (3, 4, *halved)


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_no_operation_changes_its_input(name):
    x = torch.randn(3, 4, 8, 8)
    before = x.clone()
    make_operation(name, 4, 1, affine=True)(x)
    assert torch.equal(x, before)


def test_average_pooling_does_not_count_the_padding():
    assert torch.equal(make_operation("avg_pool_3x3", 1, 1, affine=True)(torch.ones(1, 1, 4, 4)), torch.ones(1, 1, 4, 4))


@pytest.mark.parametrize("name", ["max_pool_3x3", "avg_pool_3x3"])
def test_pools_are_normalised_in_search_networks_only(name):
    x = 5 + torch.randn(16, 2, 8, 8)
    searched, derived = make_operation(name, 2, 1, affine=False)(x), make_operation(name, 2, 1, affine=True)(x)
    assert searched.mean().item() == pytest.approx(0, abs=1e-5)
    assert derived.mean().item() > 4


@pytest.mark.parametrize("size", [(8, 6), (7, 5)])
def test_a_factorized_reduction_reads_even_pixels_and_their_diagonal_neighbours(size):
    module, x = FactorizedReduce(2, 4, affine=False).eval(), torch.randn(1, 2, *size)
    bordered = functional.pad(functional.relu(x), (0, 1, 0, 1))
    rows, columns = range(0, size[0], 2), range(0, size[1], 2)
    straight, shifted = module.straight.weight[:, :, 0, 0], module.shifted.weight[:, :, 0, 0]
    expected = torch.empty(4, len(rows), len(columns))
    for row in rows:
        for column in columns:
            expected[:2, row // 2, column // 2] = straight @ bordered[0, :, row, column]
            expected[2:, row // 2, column // 2] = shifted @ bordered[0, :, row + 1, column + 1]
    assert torch.allclose(module(x)[0] * (1 + 1e-5) ** 0.5, expected, atol=1e-6)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("size", [(8, 8), (4, 6), (7, 5), (2, 2)])
def test_dilated_convolutions_by_phases_equal_the_plain_ones_with_their_gradients(stride, kernel, size):
    torch.manual_seed(0)
    module = DilatedDepthwise(3, kernel, stride).double()
    x = torch.randn(2, 3, *size, dtype=torch.float64, requires_grad=True)
    plain = functional.conv2d(x, module.weight, None, stride, kernel - 1, 2, groups=3)
    phased = module(x)
    direction = torch.randn_like(plain)
    expected = torch.autograd.grad((plain * direction).sum(), [x, module.weight])
    found = torch.autograd.grad((phased * direction).sum(), [x, module.weight])
    assert torch.allclose(phased, plain, rtol=0, atol=1e-12)
    assert all(torch.allclose(one, other, rtol=0, atol=1e-12) for one, other in zip(found, expected, strict=True))


def test_batch_norms_learn_only_in_derived_networks():
    for affine in (True, False):
        norms = [m for m in make_operation("sep_conv_3x3", 4, 1, affine).modules() if isinstance(m, nn.BatchNorm2d)]
        assert [norm.affine for norm in norms] == [affine, affine]
