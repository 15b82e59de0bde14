"""The fused supernet against the plain one in float64: outputs, gradients and running statistics."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from moonas.inner.supernets import depthwise
from moonas.inner.supernets.depthwise import Window
from moonas.inner.supernets.fused import FusedSupernet
from moonas.inner.supernets.supernet import Choice, Mixture, Path
from moonas.skeleton import Skeleton
from moonas.spaces.space import Space, make_space
from moonas.study.operations import OPERATIONS
from tests.inner.plain import PlainSupernet

CLOSE = {"rtol": 1e-9, "atol": 1e-9}
DIGITS = Skeleton(channels=4, cells=3, input_shape=(1, 8, 8), classes=10)


def pair(space: Space, skeleton: Skeleton) -> tuple[nn.Module, nn.Module]:
    """(plain, fused) with the same weights, in float64."""
    torch.manual_seed(0)
    plain, fused = PlainSupernet(space, skeleton).double(), FusedSupernet(space, skeleton).double()
    fused.load_state_dict(plain.state_dict())
    return plain, fused


def mixture(space: Space, seed: int = 0) -> Mixture:
    generator = torch.Generator().manual_seed(seed)
    logits = {name: torch.randn(group.shape, dtype=torch.float64, generator=generator) for name, group in space.groups.items()}
    return Mixture({group: matrix.softmax(1).requires_grad_() for group, matrix in logits.items()})


def images(skeleton: Skeleton, count: int = 3) -> Tensor:
    return torch.randn(count, *skeleton.input_shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def architecture_leaves(choice: Choice) -> list[Tensor]:
    return [*choice.weights.values(), *(choice.edges or {}).values()] if isinstance(choice, Mixture) else []


def run(net: nn.Module, x: Tensor, choice: Choice) -> tuple[Tensor, list[Tensor], dict[str, Tensor]]:
    """Output, gradients of weights and of architecture weights for a random direction, and the state afterwards."""
    out = net(x, choice)
    direction = torch.randn(out.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    leaves = [*net.parameters(), *architecture_leaves(choice)]
    gradients = torch.autograd.grad((out * direction).sum(), leaves, allow_unused=True)
    return out, [torch.zeros(()) if g is None else g for g in gradients], net.state_dict()


def assert_equal_runs(space: Space, skeleton: Skeleton, choice: Choice) -> None:
    x = images(skeleton)
    (out, gradients, state), (found, found_gradients, found_state) = (run(net, x, choice) for net in pair(space, skeleton))
    torch.testing.assert_close(found, out, **CLOSE)
    for gradient, expected in zip(found_gradients, gradients, strict=True):
        torch.testing.assert_close(gradient, expected, **CLOSE)
    for name, expected in state.items():
        torch.testing.assert_close(found_state[name], expected, **CLOSE)


@pytest.mark.parametrize(
    "skeleton",
    [
        DIGITS,
        replace(DIGITS, channels=16),
        replace(DIGITS, input_shape=(3, 7, 9)),
        replace(DIGITS, input_shape=(1, 5, 6), channels=16),
        replace(DIGITS, stem="imagenet", input_shape=(3, 32, 40)),
        replace(DIGITS, stem="imagenet", input_shape=(3, 31, 33), channels=16),
        replace(DIGITS, cells=5, channels=6),
    ],
    ids=str,
)
def test_a_mixture_equals_the_plain_one_with_its_gradients_and_statistics(skeleton):
    space = make_space({"name": "darts-cnn", "nodes": 2})
    assert_equal_runs(space, skeleton, mixture(space))


@pytest.mark.parametrize(
    "skeleton", [DIGITS, replace(DIGITS, channels=16), replace(DIGITS, input_shape=(3, 7, 9)), replace(DIGITS, channels=6)], ids=str
)
def test_architecture_gradients_do_not_need_those_of_the_weights(skeleton):
    space = make_space({"name": "darts-cnn", "nodes": 2})
    (plain, fused), choice, x = pair(space, skeleton), mixture(space), images(skeleton)
    out, gradients, state = run(plain, x, choice)
    fused.requires_grad_(False)
    found = fused(x, choice)
    torch.testing.assert_close(found, out, **CLOSE)
    direction = torch.randn(out.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    alone = torch.autograd.grad((found * direction).sum(), architecture_leaves(choice))
    torch.testing.assert_close(list(alone), gradients[-len(alone) :], **CLOSE)
    torch.testing.assert_close(fused.state_dict(), state, **CLOSE)


def test_every_depth_has_its_own_mixture():
    space = make_space({"name": "darts-cnn", "nodes": 2, "levels": 3})
    assert_equal_runs(space, replace(DIGITS, cells=6), mixture(space))


@pytest.mark.parametrize(
    "operations",
    [
        ["none", "max_pool_3x3", "skip_connect"],
        ["sep_conv_7x7", "dil_conv_3x3", "avg_pool_3x3"],
        ["dil_conv_5x5", "skip_connect", "none", "sep_conv_3x3"],
        ["skip_connect", "sep_conv_5x5"],
    ],
)
def test_shortened_and_reordered_operation_lists_are_equal_too(operations):
    space = make_space({"name": "darts-cnn", "nodes": 3, "operations": operations})
    assert_equal_runs(space, replace(DIGITS, cells=4), mixture(space))


def test_a_path_equals_the_plain_one(tiny_space):
    for choice in (0, 17, 48):
        path = Path(tiny_space.architecture([slot.options[choice] for slot in tiny_space.slots()]))
        assert_equal_runs(tiny_space, DIGITS, path)


def test_an_operation_of_the_users_own_is_mixed_module_by_module(monkeypatch):
    space = make_space({"name": "darts-cnn", "nodes": 2})
    same = replace(OPERATIONS["sep_conv_3x3"], load="tests.inner.test_fused:own_separable")
    plain, _ = pair(space, DIGITS)
    monkeypatch.setitem(OPERATIONS._entries, "sep_conv_3x3", same)
    own = FusedSupernet(space, DIGITS).double()
    own.load_state_dict(plain.state_dict())
    assert [fan.kinds.others for fan in own.cells[0].fans] == [[4]] * 3
    choice, x = mixture(space), images(DIGITS)
    expected, found = run(plain, x, choice), run(own, x, choice)
    torch.testing.assert_close(found, expected, **CLOSE)


def own_separable(channels: int, stride: int, affine: bool, kernel: int) -> nn.Module:
    from moonas.networks.operations import separable

    return separable(channels, stride, affine, kernel)


def test_in_evaluation_mode_running_statistics_normalise(tiny_space):
    plain, fused = (net.eval() for net in pair(tiny_space, DIGITS))
    choice, x = mixture(tiny_space), images(DIGITS)
    torch.testing.assert_close(run(fused, x, choice), run(plain, x, choice), **CLOSE)


def test_two_updates_and_a_frozen_pass_leave_the_statistics_of_the_plain_one(tiny_space):
    plain, fused = pair(tiny_space, DIGITS)
    for net in (plain, fused):
        for seed in (0, 1):
            net(images(DIGITS), mixture(tiny_space, seed))
        with net.frozen_statistics():
            net(images(DIGITS), mixture(tiny_space, 5))
    torch.testing.assert_close(fused.state_dict(), plain.state_dict(), **CLOSE)


def test_single_precision_stays_close_to_double(tiny_space):
    plain, fused = pair(tiny_space, DIGITS)
    choice, x = mixture(tiny_space), images(DIGITS, count=32) + 3
    expected = plain(x, choice)
    single = Mixture({group: matrix.float() for group, matrix in choice.weights.items()})
    torch.testing.assert_close(fused.float()(x.float(), single).double(), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "window", [Window(3), Window(5), Window(7), Window(3, 2), Window(5, 2), Window(7, 2), Window(3, 1, 2), Window(5, 1, 2)], ids=str
)
@pytest.mark.parametrize("size", [(8, 9), (6, 8), (5, 3), (4, 4), (1, 2)])
def test_depthwise_gradients_equal_those_of_torch(window, size):
    torch.manual_seed(0)
    x = torch.randn(2, 3, *size, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(3, 1, window.kernel, window.kernel, dtype=torch.float64, requires_grad=True)
    out = nn.functional.conv2d(x, weight, None, window.stride, window.padding, window.dilation, groups=3)
    g = torch.randn_like(out)
    found = depthwise.input_gradient(g, x.detach(), weight.detach(), window), depthwise.weight_gradient(g, x, weight, window)
    torch.testing.assert_close(found, torch.autograd.grad(out, (x, weight), g), **CLOSE)
