"""bf16 against fp32 and float64, in derived and search networks, and where a device cannot."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from moonas.errors import MoonasWarning
from moonas.inner.supernets.fused import FusedSupernet
from moonas.inner.supernets.supernet import Mixture
from moonas.inner.updates import second_order_gradient
from moonas.networks.network import build
from moonas.networks.precision import full_precision
from moonas.skeleton import Skeleton
from moonas.spaces.space import Space
from moonas.study.sections import Performance
from tests.inner.plain import PlainSupernet

SKELETON = Skeleton(channels=4, cells=3, input_shape=(3, 8, 8), classes=10)
HALF = Performance(precision="bf16")


def batch() -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.randn(32, 3, 8, 8) + 1, torch.randint(0, 10, (32,))


def supernets(space: Space) -> tuple[nn.Module, FusedSupernet]:
    """(plain, fused) with the same weights."""
    torch.manual_seed(0)
    plain, fused = PlainSupernet(space, SKELETON), FusedSupernet(space, SKELETON)
    fused.load_state_dict(plain.state_dict())
    return plain, fused


def gradients(net: nn.Module, space: Space, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Logits, and gradients of weights and of the mixture in one row."""
    images, labels = batch()
    mixture = {
        name: torch.linspace(0, 1, group.shape[0] * group.shape[1], dtype=dtype).view(group.shape).softmax(1).requires_grad_()
        for name, group in space.groups.items()
    }
    out = net(images.to(dtype), Mixture(mixture))
    found = torch.autograd.grad(cross_entropy(out, labels), [*net.parameters(), *mixture.values()])
    return out.detach().double(), torch.cat([gradient.flatten() for gradient in found]).double()


def distance(found: Tensor, expected: Tensor) -> float:
    return ((found - expected).norm() / expected.norm()).item()


def test_a_mixture_in_bf16_is_as_exact_as_torch_s_own_autocast_of_the_plain_one(tiny_space):
    plain, fused = supernets(tiny_space)
    fused.set_performance(HALF)
    found = gradients(fused, tiny_space)
    with torch.autocast("cpu", torch.bfloat16):
        usual = gradients(plain, tiny_space)
    exact = gradients(plain.double(), tiny_space, torch.float64)
    for mine, theirs, right in zip(found, usual, exact, strict=True):
        assert 1e-4 < distance(mine, right) < 1.25 * distance(theirs, right)


def test_running_statistics_and_gradients_keep_the_type_of_the_weights(tiny_space):
    _, fused = supernets(tiny_space)
    fused.set_performance(HALF)
    assert gradients(fused, tiny_space)[0].isfinite().all()
    plain, _ = supernets(tiny_space)
    gradients(plain, tiny_space)
    state = plain.state_dict()
    for name, value in fused.state_dict().items():
        assert value.dtype == state[name].dtype
        if name.endswith("running_var"):  # means of pooled states are zero but for rounding
            torch.testing.assert_close(value, state[name], rtol=0.02, atol=1e-4)


def test_low_memory_computes_again_in_the_same_precision(tiny_space):
    found = []
    for memory in ("normal", "low"):
        _, fused = supernets(tiny_space)
        fused.set_performance(Performance(precision="bf16", memory=memory))
        found.append(gradients(fused, tiny_space))
    assert all(map(torch.equal, *found))


def test_a_derived_network_in_bf16_stays_close_and_returns_logits_of_its_weights_type(tiny_space):
    torch.manual_seed(0)
    network = build(tiny_space.architecture([slot.options[-1] for slot in tiny_space.slots()]), SKELETON)
    images, _ = batch()
    exact = network(images)
    network.set_performance(HALF)
    found = network(images)
    assert found.dtype == torch.float32
    assert 1e-4 < distance(found, exact) < 0.1
    with full_precision():
        assert torch.equal(network(images), exact)


def test_second_order_gradients_never_use_less_than_the_weights_precision(tiny_space):
    images, labels = batch()
    found = []
    for performance in (Performance(), HALF):
        _, fused = supernets(tiny_space)
        fused.set_performance(performance)
        mixture = {name: torch.full(group.shape, 0.125, requires_grad=True) for name, group in tiny_space.groups.items()}

        def loss(fused=fused, mixture=mixture) -> Tensor:
            with fused.frozen_statistics():
                return cross_entropy(fused(images, Mixture(mixture)), labels)

        found.append(second_order_gradient(loss, loss, list(mixture.values()), list(fused.weights()), 0.1))
        coarse = loss()
    assert all(map(torch.equal, *found))
    assert not torch.equal(coarse, second_loss(tiny_space, images, labels))


def second_loss(space: Space, images: Tensor, labels: Tensor) -> Tensor:
    _, fused = supernets(space)
    mixture = {name: torch.full(group.shape, 0.125) for name, group in space.groups.items()}
    return cross_entropy(fused(images, Mixture(mixture)), labels)


def test_a_device_without_bf16_falls_back_to_fp32_with_a_warning(tiny_space, monkeypatch):
    monkeypatch.setattr("moonas.networks.frame.can_compute", lambda precision, device: precision == "fp32")
    _, fused = supernets(tiny_space)
    with pytest.warns(MoonasWarning, match="cpu has no bf16 arithmetic: using fp32"):
        fused.set_performance(Performance(precision="bf16", memory="low"))
    assert fused.performance == Performance(memory="low")
