"""DARTS, first and second order: what its steps touch, and that it finds the one operation that helps."""

import copy
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from moonas.data.dataset import Part
from moonas.inner.handlers.none import NoHandler
from moonas.inner.methods.darts import Darts
from moonas.inner.supernets.fused import FusedSupernet
from moonas.inner.supernets.supernet import Mixture
from moonas.networks.descent import judge
from moonas.spaces.space import CellGroup
from moonas.study.handlers import NoneConfig
from moonas.study.method_settings import DartsConfig


def make_darts(space, net: nn.Module, seed: int = 0, **settings) -> Darts:
    return Darts(net, space, DartsConfig(**settings), NoHandler(NoneConfig(), space, None, None, "cpu"), seed)


def tiny_darts(space, skeleton, **settings) -> Darts:
    torch.manual_seed(0)
    return make_darts(space, FusedSupernet(space, skeleton), **settings)


def batch(seed: int) -> Part:
    generator = torch.Generator().manual_seed(seed)
    return Part(torch.randn(16, 1, 8, 8, generator=generator), torch.randint(0, 10, (16,), generator=generator))


def flat(state) -> list[torch.Tensor]:
    if isinstance(state, dict):
        return [tensor for value in state.values() for tensor in flat(value)]
    return [state.clone()] if isinstance(state, torch.Tensor) else []


def test_an_architecture_step_leaves_weights_statistics_and_weight_optimizer_bit_identical(tiny_space, tiny_skeleton):
    method = tiny_darts(tiny_space, tiny_skeleton)
    method.step(batch(0), batch(1), epoch=0)
    before, alpha = flat(method.state_dict()["net"]), flat(method.state_dict()["alpha"])
    momentum = flat(method.state_dict()["weight_optimizer"])
    gradients = [parameter.grad.clone() if parameter.grad is not None else None for parameter in method.net.parameters()]
    method.step_alpha(batch(0), batch(2))
    after = method.state_dict()
    assert momentum
    assert all(map(torch.equal, before, flat(after["net"])))
    assert all(map(torch.equal, momentum, flat(after["weight_optimizer"])))
    assert not any(map(torch.equal, alpha, flat(after["alpha"])))
    for parameter, gradient in zip(method.net.parameters(), gradients, strict=True):
        assert gradient is None or torch.equal(parameter.grad, gradient)


def test_a_weight_step_leaves_the_architecture_alone(tiny_space, tiny_skeleton):
    method = tiny_darts(tiny_space, tiny_skeleton)
    before = flat(method.state_dict()["alpha"])
    method.step_weights(batch(0))
    assert all(map(torch.equal, before, flat(method.state_dict()["alpha"])))


def test_only_weights_move_in_warm_up(tiny_space, tiny_skeleton):
    method = tiny_darts(tiny_space, tiny_skeleton, warmup_epochs=2)
    before = flat(method.state_dict()["alpha"])
    assert method.step(batch(0), batch(1), epoch=1).valid is None
    assert all(map(torch.equal, before, flat(method.state_dict()["alpha"])))
    assert method.step(batch(0), batch(1), epoch=2).valid is not None
    assert not any(map(torch.equal, before, flat(method.state_dict()["alpha"])))


def test_the_architecture_step_comes_before_the_weight_step(tiny_space, tiny_skeleton):
    together, apart = (tiny_darts(tiny_space, tiny_skeleton) for _ in range(2))
    together.step(batch(0), batch(1), epoch=0)
    apart.step_alpha(batch(0), batch(1))
    apart.step_weights(batch(0))
    assert all(map(torch.equal, flat(together.state_dict()), flat(apart.state_dict())))


def test_first_steps_follow_the_published_optimizers(tiny_space, tiny_skeleton):
    method = tiny_darts(tiny_space, tiny_skeleton, alpha_decay=0.0)
    before = flat(method.state_dict()["alpha"])
    assert all(0.5e-3 < tensor.std() < 1.5e-3 for tensor in before)  # 1e-3 * N(0, 1)
    method.step_alpha(batch(1), batch(0))
    moves = torch.cat([(new - old).abs().flatten() for new, old in zip(flat(method.state_dict()["alpha"]), before, strict=True)])
    assert moves.median().item() == pytest.approx(3e-4, rel=0.01)  # Adam's first step is its learning rate


def test_the_same_seed_gives_bit_equal_alpha_and_another_seed_another(tiny_space, tiny_skeleton):
    first, again = (tiny_darts(tiny_space, tiny_skeleton) for _ in range(2))
    other = make_darts(tiny_space, first.net, seed=1)
    assert not any(map(torch.equal, flat(first.alpha), flat(other.alpha)))
    for method in (first, again):
        for number in range(2):
            method.step(batch(number), batch(number + 10), epoch=0)
    assert all(map(torch.equal, flat(first.alpha), flat(again.alpha)))


def test_scores_are_finite_log_probabilities_in_which_none_keeps_its_own(tiny_space, tiny_skeleton):
    method = tiny_darts(tiny_space, tiny_skeleton)
    for matrix in method.scores().values():
        assert matrix.isfinite().all()
        assert torch.allclose(matrix.exp().sum(1), torch.ones(5))


class Smooth(nn.Module):
    """One edge with two candidates and no kinks, so that finite differences are as good as exact derivatives."""

    def __init__(self) -> None:
        super().__init__()
        self.candidates = nn.ModuleList(nn.Linear(64, 10) for _ in range(2))

    def forward(self, images, choice):
        first, second = (linear(images.flatten(1)).tanh() for linear in self.candidates)
        return 3 * (choice.weights["normal"][0, 0] * first + choice.weights["normal"][0, 1] * second)

    def weights(self):
        return self.parameters()

    def frozen_statistics(self):
        return nullcontext()

    twice_differentiable = frozen_statistics


@pytest.mark.parametrize(("kind", "hessian"), [("smooth", "finite-difference"), ("smooth", "exact"), ("cells", "exact")])
def test_second_order_is_the_slope_of_the_validation_loss_after_a_real_weight_step(tiny_space, tiny_skeleton, kind, hessian):
    torch.manual_seed(0)
    one_edge = SimpleNamespace(groups={"normal": CellGroup(("a", "b"), ((0, 2),), 2, (2,), kept=2)})
    space, net = (one_edge, Smooth()) if kind == "smooth" else (tiny_space, FusedSupernet(tiny_space, tiny_skeleton))
    method = make_darts(space, net.double(), order=2, hessian=hessian, weight_lr=0.01, weight_clip=1e9, weight_decay=0.01)
    for logits in method.logits:
        logits.data = 0.3 * torch.randn_like(logits, dtype=torch.float64)
    train, valid, before = (Part(part.images.double(), part.labels) for part in map(batch, range(3)))
    method.step_weights(before)  # leaves momentum
    start = copy.deepcopy(method.state_dict())
    direction = [torch.randn_like(logits) for logits in method.logits]

    def loss_after_a_step(distance: float) -> float:
        method.load_state_dict(copy.deepcopy(start))
        with torch.no_grad():
            torch._foreach_add_(method.logits, direction, alpha=distance)
        method.step_weights(train)
        with torch.no_grad(), net.frozen_statistics():
            return judge(net(valid.images, Mixture(method.probabilities())), valid.labels)[0].item()

    def found(order: int) -> float:
        method.load_state_dict(copy.deepcopy(start))
        method.config = replace(method.config, order=order)
        method.step_alpha(train, valid)
        return sum((logits.grad * d).sum().item() for logits, d in zip(method.logits, direction, strict=True))

    slope = (loss_after_a_step(1e-5) - loss_after_a_step(-1e-5)) / 2e-5
    assert found(order=2) == pytest.approx(slope, rel=1e-4)
    assert abs(found(order=1) - slope) > 1e-3 * abs(slope)


@pytest.mark.parametrize("hessian", ["finite-difference", "exact"])
def test_a_second_order_step_too_leaves_all_but_the_architecture_bit_identical(tiny_space, tiny_skeleton, hessian):
    method = tiny_darts(tiny_space, tiny_skeleton, order=2, hessian=hessian)
    method.step(batch(0), batch(1), epoch=0)
    before = copy.deepcopy(method.state_dict())
    method.step_alpha(batch(0), batch(2))
    after = method.state_dict()
    for name in ("net", "weight_optimizer"):
        assert all(map(torch.equal, flat(before[name]), flat(after[name])))
    assert not any(map(torch.equal, flat(before["alpha"]), flat(after["alpha"])))


class Planted(nn.Module):
    """One edge with three candidates: two give zeros, the middle one a 5x5 convolution that can tell the labels."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 4, 5, bias=False)
        self.classifier = nn.Linear(4, 2)

    def forward(self, images, choice):
        return self.classifier(choice.weights["normal"][0, 1] * self.convolution(images).relu().mean((2, 3)))

    def weights(self):
        return self.parameters()

    def frozen_statistics(self):
        return nullcontext()


def planted_search(seed: int, shuffled: bool) -> torch.Tensor:
    """alpha after 150 steps on noisy images whose 5x5 blur has the sign of the label; with `shuffled`, any labels."""
    torch.manual_seed(seed)
    space = SimpleNamespace(groups={"normal": CellGroup(("none", "sep_conv_5x5", "skip_connect"), ((0, 2),), 2, (2,), kept=2)})
    method = make_darts(space, Planted(), seed, alpha_lr=0.01, weight_lr=0.2, alpha_decay=0.0)

    def draw(count: int) -> Part:
        labels = torch.randint(0, 2, (count,))
        blurred = nn.functional.interpolate(torch.randn(count, 1, 3, 3), size=7, mode="bilinear")
        images = (2 * labels - 1).view(-1, 1, 1, 1) * blurred.abs() + 0.5 * torch.randn(count, 1, 7, 7)
        return Part(images, labels[torch.randperm(count)] if shuffled else labels)

    train, valid = draw(64), draw(64)
    for _ in range(150):
        method.step(train, valid, epoch=0)
    return method.alpha["normal"].detach()[0]


def test_the_one_operation_that_helps_wins_on_nine_of_ten_seeds():
    assert sum(planted_search(seed, shuffled=False).argmax().item() == 1 for seed in range(10)) >= 9


def test_with_shuffled_labels_it_does_not_win():
    assert sum(planted_search(seed, shuffled=True).argmax().item() == 1 for seed in range(10)) <= 3
