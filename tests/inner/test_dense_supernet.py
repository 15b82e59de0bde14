"""The search network on dense cells: the operations of TND-NAS, masks of remaining operations, dropout after identities."""

import random
from dataclasses import replace

import pytest
import torch
from torch import nn

from moonas.inner.supernets.fused import FusedSupernet
from moonas.inner.supernets.supernet import Mixture, Path
from moonas.networks.network import build
from moonas.skeleton import Skeleton
from moonas.spaces.space import make_space
from tests.inner.paths import with_weights_of
from tests.inner.test_fused import CLOSE, assert_equal_runs, images, mixture, pair, run

SPACE = make_space({"name": "tnd-cnn", "nodes": 2, "empty_nodes": True})
DIGITS = Skeleton(space="tnd-cnn", channels=4, cells=3, input_shape=(1, 8, 8), classes=10)


@pytest.mark.parametrize(
    "skeleton",
    [DIGITS, replace(DIGITS, channels=16, input_shape=(3, 7, 9)), replace(DIGITS, cells=4, input_shape=(1, 12, 9))],
    ids=str,
)
def test_a_mixture_equals_the_plain_one_with_its_gradients_and_statistics(skeleton: Skeleton) -> None:
    assert_equal_runs(SPACE, skeleton, mixture(SPACE))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_with_remaining_operations_the_others_count_as_absent(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    remaining = {name: torch.rand(group.shape, generator=generator) < 0.4 for name, group in SPACE.groups.items()}
    remaining["normal"][2], remaining["normal"][3], remaining["normal"][4] = False, False, False  # node 3 gets nothing
    remaining["reduce"][0] = torch.tensor([True, False, False, False, False, False])  # nothing but `none`
    given = mixture(SPACE)
    masked = {name: (weights * remaining[name]).detach().requires_grad_() for name, weights in given.weights.items()}
    plain, fused = pair(SPACE, DIGITS)
    x = images(DIGITS)
    out, gradients, _ = run(plain, x, Mixture(masked))
    found, found_gradients, _ = run(fused, x, Mixture(given.weights, remaining=remaining))
    torch.testing.assert_close(found, out, **CLOSE)
    weights = len(list(plain.parameters()))
    for gradient, expected in zip(found_gradients[:weights], gradients[:weights], strict=True):
        torch.testing.assert_close(gradient.to(expected).expand_as(expected), expected, **CLOSE)
    live = {name: [o != "none" for o in group.operations] for name, group in SPACE.groups.items()}
    for name, gradient, expected in zip(masked, found_gradients[weights:], gradients[weights:], strict=True):
        read = remaining[name] & torch.tensor(live[name])
        torch.testing.assert_close(gradient[read], expected[read], **CLOSE)
        assert not gradient[~read].any()  # a weight that is not read has no gradient


def test_only_remaining_operations_run_and_keep_statistics() -> None:
    _, fused = pair(SPACE, DIGITS)
    remaining = {name: torch.zeros(group.shape, dtype=torch.bool) for name, group in SPACE.groups.items()}
    for mask in remaining.values():
        mask[:, [1, -1]] = True
    fused(images(DIGITS), Mixture(mixture(SPACE).weights, remaining=remaining))
    for cell in fused.cells:
        for operations in cell.operations:
            for column, operation in enumerate(operations):
                for norm in [module for module in operation.modules() if isinstance(module, nn.BatchNorm2d)]:
                    assert int(norm.num_batches_tracked) == (column in (1, len(operations) - 1))


def test_a_dense_path_equals_the_derived_network_also_with_empty_nodes() -> None:
    settings = {"reduce": ["none", "skip_connect"], "empty_nodes": True}  # derived pools have no batch norm, so there are none
    space = make_space({"name": "tnd-cnn", "nodes": 2, **settings})
    torch.manual_seed(0)
    net, rng = FusedSupernet(space, DIGITS).double(), random.Random(0)
    for empty in ([], [0], [1], [0, 2], [0, 1, 2, 3]):
        slots = space.slots()
        options = [slot.options[0] if n in empty else rng.choice(slot.options) for n, slot in enumerate(slots)]
        architecture = space.architecture(options)
        derived = with_weights_of(net, build(architecture, DIGITS), architecture)
        torch.testing.assert_close(net(images(DIGITS), Path(architecture)), derived(images(DIGITS)), **CLOSE)


@pytest.mark.parametrize("masked", [False, True])
def test_dropout_zeroes_single_values_of_identities_in_mixtures_and_nothing_else(masked: bool) -> None:
    """With the identities alone the network is linear in their values until the next cell's preprocessing: see the last node."""
    space = make_space({"name": "tnd-cnn", "nodes": 1, "normal": ["skip_connect", "conv_1x1"], "reduce": ["none", "skip_connect"]})
    net = FusedSupernet(space, replace(DIGITS, cells=3))
    cell = net.cells[0]
    assert cell.group == "normal"
    weights = {"normal": torch.tensor([[1.0, 0.0], [0.0, 0.0]]), "reduce": torch.zeros(2, 2)}
    remaining = {name: torch.ones(2, 2, dtype=torch.bool) for name in weights} if masked else None
    x = torch.randn(64, 12, 8, 8)

    def node() -> torch.Tensor:
        return cell([x, x], Mixture(weights, remaining=remaining)).detach()

    whole = node()
    net.skip_dropout.probability, net.skip_dropout.generator = 0.25, torch.Generator().manual_seed(0)
    dropped = node()
    kept = dropped != 0
    assert kept.double().mean().item() == pytest.approx(0.75, abs=0.02)  # the standard error is 0.003
    torch.testing.assert_close(dropped[kept], whole[kept] / 0.75)
    assert not torch.equal(node(), dropped)
    net.skip_dropout.generator.manual_seed(0)
    assert torch.equal(node(), dropped)
    identity = space.architecture([((2, 0, "skip_connect"), (2, 1, "conv_1x1")), ((2, 0, "none"), (2, 1, "skip_connect"))])
    first = cell([x, x], Path(identity))
    assert torch.equal(cell([x, x], Path(identity)), first)  # paths have none
    net.eval()
    assert torch.equal(node(), node())


def test_a_reduction_of_a_skip_is_no_identity() -> None:
    space = make_space({"name": "tnd-cnn", "nodes": 1, "normal": ["none", "skip_connect"], "reduce": ["none", "skip_connect"]})
    net = FusedSupernet(space, replace(DIGITS, cells=3))
    cell = net.cells[1]
    assert cell.group == "reduce"
    weights = {name: torch.tensor([[0.0, 1.0], [0.0, 1.0]]) for name in ("normal", "reduce")}
    inputs = [torch.randn(8, 12, 8, 8), torch.randn(8, 4, 8, 8)]
    before = cell(inputs, Mixture(weights), None)
    net.skip_dropout.probability, net.skip_dropout.generator = 0.9, torch.Generator().manual_seed(0)
    torch.testing.assert_close(cell(inputs, Mixture(weights), None), before)
