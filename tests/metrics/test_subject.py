"""Running a network to measure it, by hand: what is timed, and the median with its spread."""

import time

import numpy as np
import torch
from torch import nn

from moonas.architecture import Architecture
from moonas.metrics.latency import latency_ms
from moonas.metrics.subject import Subject, median, time_calls
from moonas.skeleton import Skeleton

SKELETON = Skeleton(channels=4, cells=3, input_shape=(1, 8, 8), classes=10)
CELL = [(2, 0, "sep_conv_3x3"), (2, 1, "skip_connect"), (3, 0, "max_pool_3x3"), (3, 2, "dil_conv_3x3")]
ARCHITECTURE = Architecture("darts-cnn", {"normal": CELL, "reduce": CELL}, {"normal": (2, 3), "reduce": (2, 3)})


def subject(network: nn.Module, images: torch.Tensor | None = None, warmups: int = 0, repeats: int = 1) -> Subject:
    """A made-up network in the place of a built one."""
    given = torch.zeros(1, 1, 8, 8) if images is None else images
    return Subject(ARCHITECTURE, SKELETON, network, given, torch.device("cpu"), warmups, repeats)


class Clock:
    """Every call of the network takes the next of `seconds`."""

    def __init__(self, seconds: list[float]) -> None:
        self.now, self.seconds, self.calls = 100.0, iter(seconds), 0

    def __call__(self) -> float:
        return self.now

    def call(self) -> None:
        self.now += next(self.seconds)
        self.calls += 1


def test_warmups_are_left_out_and_every_other_call_is_timed() -> None:
    clock = Clock([9.0, 8.0, 1.0, 2.0, 4.0])
    assert time_calls(clock.call, 2, 3, clock).tolist() == [1.0, 2.0, 4.0]
    assert clock.calls == 5


def test_the_median_and_the_interquartile_range_are_those_by_hand() -> None:
    assert median(np.array([5.0, 1.0, 2.0, 3.0, 40.0])) == (3.0, 3.0)  # quartiles 2 and 5
    assert median(np.array([7.0])) == (7.0, 0.0)


def test_latency_is_in_milliseconds() -> None:
    class Slow(nn.Module):
        def forward(self, x: torch.Tensor) -> None:
            time.sleep(0.005)

    value, spread = latency_ms(subject(Slow(), repeats=5))
    assert 5 <= value < 500
    assert 0 <= spread < 500


def test_a_subject_runs_in_evaluation_mode_without_gradients_on_the_batch_asked_for() -> None:
    made = Subject.make(ARCHITECTURE, SKELETON, "cpu", 3, 0, 1)
    seen: list[tuple[torch.Size, bool]] = []
    made.network.classifier.register_forward_hook(lambda module, inputs, output: seen.append((output.shape, output.requires_grad)))
    made.forward()
    assert seen == [((3, 10), False)]
    assert not any(module.training for module in made.network.modules())
    assert len(Subject.make(ARCHITECTURE, SKELETON, "cpu", None, 0, 1).images) == 1
