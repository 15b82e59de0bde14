"""Peak memory on the CPU against counts by hand."""

import torch
from torch import Tensor, nn

from moonas.metrics.memory import MIB, memory_mib
from moonas.metrics.subject import Subject
from tests.metrics.test_subject import ARCHITECTURE, SKELETON, subject

IMAGES = torch.zeros(256, 1024)  # 1 MiB of float32


class Chain(nn.Module):
    """Two outputs of 1 MiB live at once; a third would if the first were not let go."""

    def forward(self, x: Tensor) -> Tensor:
        y = x + 1
        z = y * 2
        del y
        return (z + z).view(-1)


class Hoard(nn.Module):
    """Three outputs of 1 MiB live at once."""

    def forward(self, x: Tensor) -> Tensor:
        y = x + 1
        z = y * 2
        return y + z


class Weighted(nn.Module):
    """1 MiB of weights, half a MiB of buffers, and a view and an in-place change, which take nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(256, 1024))
        self.register_buffer("mean", torch.zeros(128, 1024))

    def forward(self, x: Tensor) -> Tensor:
        return (x @ self.weight.t()).relu_()  # 256 x 256


def test_outputs_count_while_they_live_and_the_images_always() -> None:
    assert memory_mib(subject(Chain(), IMAGES)) == 1 + 2
    assert memory_mib(subject(Hoard(), IMAGES)) == 1 + 3


def test_weights_and_buffers_count_and_views_do_not() -> None:
    assert memory_mib(subject(Weighted(), IMAGES)) == 1 + 1 + 0.5 + 0.25


def test_a_batch_twice_as_large_needs_more_by_the_same_amount_each_time() -> None:
    sizes = [memory_mib(Subject.make(ARCHITECTURE, SKELETON, "cpu", batch, 0, 1)) for batch in (1, 2, 3)]
    weights = sum(tensor.nbytes for tensor in Subject.make(ARCHITECTURE, SKELETON, "cpu", 1, 0, 1).network.state_dict().values())
    assert sizes[2] - sizes[1] == sizes[1] - sizes[0] > 0
    assert 2 * sizes[0] - sizes[1] == weights / MIB  # what a batch of no image needs


def test_the_count_is_the_same_on_every_run() -> None:
    made = Subject.make(ARCHITECTURE, SKELETON, "cpu", None, 0, 1)
    assert memory_mib(made) == memory_mib(made)
