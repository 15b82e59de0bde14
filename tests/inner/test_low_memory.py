"""`memory: low` against `normal` in search networks: the same numbers in every kind of step, but for the order of sums."""

from collections.abc import Callable
from contextlib import nullcontext

import pytest
import torch
from torch import Tensor

from moonas.inner.supernets.fused import FusedSupernet
from moonas.inner.supernets.supernet import Mixture, Path
from moonas.inner.updates import second_order_gradient, softmax
from moonas.networks.descent import resting
from moonas.skeleton import Skeleton
from moonas.spaces.space import Space
from moonas.study.partial import Partial
from moonas.study.sections import Performance
from tests.memory import peak_held

FIVE_CELLS = Skeleton(channels=4, cells=5, input_shape=(1, 8, 8), classes=10)


class Case:
    """A search network with logits, images and a direction of its output, in float64; everything from seed 0."""

    def __init__(self, space: Space, memory: str, partial: Partial | None = None, images: int = 4) -> None:
        torch.manual_seed(0)
        self.space, self.net = space, FusedSupernet(space, FIVE_CELLS, partial).double()
        self.net.set_performance(Performance(memory=memory))
        self.logits = {
            name: torch.randn(group.shape, dtype=torch.float64, requires_grad=True) for name, group in space.groups.items()
        }
        self.edges = None if partial is None else {name: matrix[:, 0].sigmoid() for name, matrix in self.logits.items()}
        self.images, self.others = torch.randn(2, images, 1, 8, 8, dtype=torch.float64)
        self.direction = torch.randn(images, 10, dtype=torch.float64)
        self.weights = list(self.net.weights())

    def loss(self, images: Tensor) -> Tensor:
        return (self.net(images, Mixture(softmax(self.logits), self.edges)) * self.direction).sum()


def weights_step(case: Case) -> list[Tensor]:
    loss = case.loss(case.images)
    return [loss, *torch.autograd.grad(loss, [*case.weights, *case.logits.values()])]


def architecture_step(case: Case) -> list[Tensor]:
    """As the methods take it: what rests and is frozen in the forward pass is neither in the backward pass."""
    with resting(case.weights), case.net.frozen_statistics():
        loss = case.loss(case.images)
    return [loss, *torch.autograd.grad(loss, list(case.logits.values()))]


def second_order_step(case: Case, radius: float | None = 0.01) -> list[Tensor]:
    def frozen(images: Tensor) -> Callable[[], Tensor]:
        def loss() -> Tensor:
            with case.net.frozen_statistics():
                return case.loss(images)

        return loss

    logits = list(case.logits.values())
    with nullcontext() if radius else case.net.twice_differentiable():
        return second_order_gradient(frozen(case.images), frozen(case.others), logits, case.weights, lr=0.1, radius=radius)


def exact_second_order_step(case: Case) -> list[Tensor]:
    return second_order_step(case, radius=None)


def path_step(case: Case) -> list[Tensor]:
    space = case.space
    out = case.net(case.images, Path(space.architecture([slot.options[20] for slot in space.slots()])))
    gradients = torch.autograd.grad((out * case.direction).sum(), case.weights, allow_unused=True)
    return [out, *(torch.zeros(()) if gradient is None else gradient for gradient in gradients)]


@pytest.mark.parametrize(
    ("step", "partial"),
    [
        (weights_step, None),
        (architecture_step, None),
        (second_order_step, None),
        (exact_second_order_step, None),
        (path_step, None),
        (weights_step, Partial(channel_divisor=2, side="conv1x1")),
        (weights_step, Partial(channel_divisor=2, sampling="random")),
    ],
)
def test_a_step_in_low_memory_is_the_normal_one(tiny_space, step, partial):
    normal, low = (Case(tiny_space, memory, partial) for memory in ("normal", "low"))
    expected, found = step(normal), step(low)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    assert all(value.isfinite().all() for value in found)
    state = normal.net.state_dict()
    assert all(torch.equal(found, state[name]) for name, found in low.net.state_dict().items() if torch.is_tensor(found))


def test_running_statistics_move_once_in_a_step_and_rest_where_frozen(tiny_space):
    case = Case(tiny_space, "low")
    counters = [norm.num_batches_tracked for norm in case.net.norms]
    architecture_step(case)
    assert {int(counter) for counter in counters} == {0}
    weights_step(case)
    assert {int(counter) for counter in counters} == {1}


def test_a_backward_pass_inside_the_frozen_block_leaves_it_frozen(tiny_space):
    case = Case(tiny_space, "low")
    with case.net.frozen_statistics():
        case.loss(case.images).backward()
        case.loss(case.others)
    assert {int(norm.num_batches_tracked) for norm in case.net.norms} == {0}


def test_a_weights_step_holds_less_where_maps_outweigh_matrices(tiny_space):
    peaks = {}
    for memory in ("normal", "low"):
        case = Case(tiny_space, memory, images=16)
        peaks[memory] = peak_held(lambda case=case: weights_step(case), [*case.weights, *case.net.buffers()])
    assert peaks["low"] < peaks["normal"] / 1.6
