"""Descending on a loss: what every training shares, derived networks and searches alike."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from moonas.errors import NonFiniteLossError

CHECK_EVERY = 50  # steps between two looks at the loss: each one makes a GPU wait


class Outcome(NamedTuple):
    """What a network made of a batch, on the device: summed cross-entropy, correct answers, and how many images."""

    loss_sum: Tensor
    correct: Tensor
    images: int


class Tally:
    """Mean loss and accuracy over batches, added up on the device.

    what: named in the message of the NonFiniteLossError that `add`, every 50 batches, and `means` raise at a NaN or an infinity.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self.batches = self.images = 0
        self.loss: Tensor | float = 0.0
        self.correct: Tensor | float = 0.0

    def add(self, outcome: Outcome) -> None:
        self.batches += 1
        self.images += outcome.images
        self.loss = self.loss + outcome.loss_sum.double()
        self.correct = self.correct + outcome.correct
        if self.batches % CHECK_EVERY == 0:
            self.means()

    def means(self) -> tuple[float, float]:
        """(mean loss, accuracy as a fraction of 1). Raises NonFiniteLossError."""
        loss = float(self.loss) / self.images
        if not math.isfinite(loss):
            raise NonFiniteLossError(f"the {self.what} loss became {loss}; a smaller learning rate may help")
        return loss, float(self.correct) / self.images


def judge(logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> tuple[Tensor, Outcome]:
    """The mean cross-entropy, to be differentiated, and the outcome, detached. logits: (n, classes); labels: (n,)."""
    loss = functional.cross_entropy(logits, labels, label_smoothing=label_smoothing)
    correct = (logits.detach().argmax(1) == labels).sum()
    return loss, Outcome(loss.detach() * len(labels), correct, len(labels))


def descend(optimizer: torch.optim.Optimizer, loss: Tensor, clip: float) -> None:
    """One step down `loss`, the gradient's norm over all parameters of the optimizer clipped to `clip`."""
    optimizer.zero_grad()
    loss.backward()
    take_step(optimizer, clip)


def take_step(optimizer: torch.optim.Optimizer, clip: float) -> None:
    """One step along the gradients that are there, their norm clipped to `clip`."""
    torch.nn.utils.clip_grad_norm_([parameter for group in optimizer.param_groups for parameter in group["params"]], clip)
    optimizer.step()


def sgd(
    parameters: Iterable[Tensor], lr: float, momentum: float, decay: float, *, nesterov: bool = False, gaps: bool = False
) -> torch.optim.SGD:
    """gaps: parameters may go without a gradient, and then stay as they are; torch's fused form fails when they get their first."""
    return torch.optim.SGD(parameters, lr=lr, momentum=momentum, weight_decay=decay, nesterov=nesterov, fused=not gaps)


def momentum_buffers(optimizer: torch.optim.SGD, parameters: Iterable[Tensor]) -> list[Tensor] | None:
    """The momentum of each parameter, zeros for one that has had no gradient yet; None before the first step."""
    if not optimizer.state:
        return None
    return [optimizer.state[p]["momentum_buffer"] if p in optimizer.state else torch.zeros_like(p) for p in parameters]


def cosine(epoch: int, epochs: int, highest: float, lowest: float = 0.0) -> float:
    """The learning rate of an epoch, from `highest` at epoch 0 along half a cosine towards `lowest` at `epochs`."""
    return lowest + (highest - lowest) * (1 + math.cos(math.pi * epoch / epochs)) / 2


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = lr


def optimizer_state(optimizer: torch.optim.Optimizer) -> dict[str, dict[str, Any]]:
    """Buffers by the number of their parameter, as text; learning rates are functions of the epoch and not saved."""
    return {str(number): buffers for number, buffers in optimizer.state_dict()["state"].items()}


def load_optimizer_state(optimizer: torch.optim.Optimizer, state: dict[str, dict[str, Any]]) -> None:
    buffers = {int(number): dict(values) for number, values in state.items()}
    optimizer.load_state_dict({"state": buffers, "param_groups": optimizer.state_dict()["param_groups"]})


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """torch's global CPU generator at `seed` inside the block, and as it was afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
