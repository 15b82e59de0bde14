"""The second-order architecture gradient: a closed form, unrolled steps, finite differences, and that it leaves no trace."""

import pytest
import torch

from moonas.inner.supernets.fused import FusedSupernet
from moonas.inner.supernets.supernet import Mixture
from moonas.inner.updates import resting, second_order_gradient, softmax

DOUBLE = torch.float64
A, B = torch.tensor([2.0, 4.0], dtype=DOUBLE), torch.tensor([[1.0, 2.0], [0.0, 1.0]], dtype=DOUBLE)
TARGET = torch.tensor([1.0, 0.0], dtype=DOUBLE)


class Quadratic:
    """L_tr = w'Aw / 2 - w'B alpha and L_va = |w - t|^2 / 2 + 0.1 |alpha|^2 / 2."""

    def __init__(self) -> None:
        self.alpha = torch.tensor([1.0, -1.0], dtype=DOUBLE, requires_grad=True)
        self.w = torch.tensor([0.5, -0.5], dtype=DOUBLE, requires_grad=True)

    def train(self) -> torch.Tensor:
        return self.w @ (A * self.w) / 2 - self.w @ B @ self.alpha

    def valid(self) -> torch.Tensor:
        return (self.w - TARGET).square().sum() / 2 + 0.05 * self.alpha.square().sum()

    def gradient(self, lr: float = 0.1, **settings) -> list[float]:
        return second_order_gradient(self.train, self.valid, [self.alpha], [self.w], lr, **settings)[0].tolist()


def test_a_bilevel_quadratic_has_the_gradient_worked_out_by_hand():
    problem = Quadratic()
    assert problem.gradient() == pytest.approx([0.03, -0.28], abs=1e-6)
    buffers = [torch.tensor([0.2, 0.1], dtype=DOUBLE)]
    assert problem.gradient(momentum=0.9, buffers=buffers, decay=3e-4) == pytest.approx([0.0281985, -0.2845015], abs=1e-6)
    assert problem.gradient(radius=None) == pytest.approx([0.03, -0.28], abs=1e-12)  # no kinks: the exact one is the same
    assert problem.gradient(lr=0.0) == pytest.approx([0.1, -0.1], abs=1e-12)  # first order
    assert problem.w.tolist() == [0.5, -0.5]


@pytest.mark.parametrize(("steps", "distance"), [(1, 1.54068), (2, 1.33816), (5, 0.796183), (10, 0.287232), (20, 0.0320765)])
def test_steps_unrolled_one_by_one_approach_the_exact_hypergradient(steps, distance):
    exact = torch.tensor([-0.65, -1.6625], dtype=DOUBLE)
    problem, end = Quadratic(), torch.tensor([0.5, -0.5], dtype=DOUBLE)
    for _ in range(steps):
        end = end - 0.1 * (A * end - B @ problem.alpha.detach())
    total, direction = 0.1 * problem.alpha.detach(), end - TARGET
    for _ in range(steps):  # each term is a second-order gradient whose validation loss is linear with slope `direction`
        slope = direction.clone()
        total = total + second_order_gradient(problem.train, lambda d=slope: problem.w @ d, [problem.alpha], [problem.w], 0.1)[0]
        direction = direction - 0.1 * A * direction
    assert (total - exact).norm().item() == pytest.approx(distance, rel=1e-5)


def test_a_validation_loss_without_weights_has_no_second_order_term():
    problem = Quadratic()
    with pytest.warns(UserWarning, match="does not depend on the weights"):
        found = second_order_gradient(problem.train, lambda: problem.alpha.sum(), [problem.alpha], [problem.w], 0.1)
    assert found[0].tolist() == [1, 1]


def search_problem(space, skeleton):
    """(train_loss, valid_loss, logits, net) of a small supernet in float64."""
    torch.manual_seed(0)
    net = FusedSupernet(space, skeleton).double()
    logits = {name: (0.1 * torch.randn(group.shape, dtype=DOUBLE)).requires_grad_() for name, group in space.groups.items()}

    def loss_on(count: int):
        x, labels = torch.randn(count, *skeleton.input_shape, dtype=DOUBLE), torch.randint(0, 10, (count,))

        def loss() -> torch.Tensor:
            with net.frozen_statistics():
                return torch.nn.functional.cross_entropy(net(x, Mixture(softmax(logits))), labels)

        return loss

    return loss_on(6), loss_on(6), logits, net


def test_on_a_supernet_it_agrees_with_finite_differences_of_the_loss_after_a_step(tiny_space, tiny_skeleton):
    train, valid, logits, net = search_problem(tiny_space, tiny_skeleton)
    weights, leaves = list(net.weights()), list(logits.values())
    lr = 1e-3
    found = torch.cat([g.flatten() for g in second_order_gradient(train, valid, leaves, weights, lr, radius=1e-7)])
    first = torch.cat([g.flatten() for g in torch.autograd.grad(valid(), leaves)])
    direction = [torch.randn_like(leaf) for leaf in leaves]
    flat = torch.cat([d.flatten() for d in direction])

    def after_a_step(distance: float) -> float:
        with torch.no_grad():
            for leaf, d in zip(leaves, direction, strict=True):
                leaf.add_(d, alpha=distance)
        start = [weight.detach().clone() for weight in weights]
        slopes = torch.autograd.grad(train(), weights)
        with torch.no_grad():
            torch._foreach_add_(weights, slopes, alpha=-lr)
            value = valid().item()
            torch._foreach_copy_(weights, start)
            for leaf, d in zip(leaves, direction, strict=True):
                leaf.sub_(d, alpha=distance)
        return value

    expected = (after_a_step(1e-6) - after_a_step(-1e-6)) / 2e-6
    assert (found @ flat).item() == pytest.approx(expected, rel=1e-4)
    assert abs((first @ flat).item() - expected) > 1e-3 * abs(expected)  # the first-order gradient is another number


def test_it_leaves_weights_and_statistics_bit_identical(tiny_space, tiny_skeleton):
    train, valid, logits, net = search_problem(tiny_space, tiny_skeleton)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    second_order_gradient(train, valid, list(logits.values()), list(net.weights()), 0.025)
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert all(weight.requires_grad and weight.grad is None for weight in net.weights())


def test_resting_weights_get_no_gradient_and_wake_up_again():
    weight, still = torch.ones(2, requires_grad=True), torch.ones(2)
    with resting([weight, still]):
        assert not (weight * 2).requires_grad
    assert weight.requires_grad
    assert not still.requires_grad
