"""Training one derived network from scratch, and judging it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from moonas.data.dataset import Data
from moonas.data.parts import AnyPart
from moonas.networks.descent import Tally, cosine, descend, judge, load_optimizer_state, optimizer_state, seeded, set_lr, sgd
from moonas.networks.network import build
from moonas.seeds import stream
from moonas.specs import EvaluateSpec
from moonas.study.protocols import ShortConfig

EVALUATION_BATCH = 500


@torch.no_grad()
def evaluate_accuracy(network: nn.Module, part: AnyPart, forward: Callable[[Tensor], Tensor] | None = None) -> tuple[float, float]:
    """(mean cross-entropy, accuracy as a fraction of 1) on all images of `part`, in evaluation mode.

    forward: how the network is called, where not by the images alone. Raises NonFiniteLossError.
    """
    network.eval()
    tally = Tally("evaluation")
    for batch in part.read(slice(start, start + EVALUATION_BATCH) for start in range(0, len(part), EVALUATION_BATCH)):
        tally.add(judge((forward or network)(batch.images), batch.labels)[1])
    return tally.means()


class Training:
    """Protocol `short`: the final network, a few epochs from scratch on both training parts, judged on `valid` after each.

    Resumable: all randomness follows from the spec and the epoch, so that a state taken between two epochs is all there is.
    """

    def __init__(self, spec: EvaluateSpec, config: ShortConfig, data: Data, device: str | torch.device = "cpu") -> None:
        self.config, self.data = config, data
        self.epochs = config.epochs
        self.parts = (spec.seed, spec.architecture.key, spec.skeleton.key, dict(spec.protocol), spec.replicate)
        with seeded(stream(*self.parts, "weights")):
            self.network = build(spec.architecture, spec.skeleton).to(device)
        self.network.drop_path.generator = torch.Generator(device)
        self.optimizer = sgd(
            self.network.parameters(), config.lr, config.momentum, config.weight_decay, nesterov=config.momentum > 0
        )

    def run_epoch(self, epoch: int) -> dict[str, float]:
        """Train one epoch. Returns train_loss, train_accuracy, valid_loss, valid_accuracy. Raises NonFiniteLossError."""
        config, drop_path = self.config, self.network.drop_path
        set_lr(self.optimizer, cosine(epoch, config.epochs, config.lr))
        drop_path.probability = config.drop_path * epoch / config.epochs
        assert drop_path.generator is not None
        drop_path.generator.manual_seed(stream(*self.parts, "drop path", epoch))
        self.network.train()
        tally = Tally("training")
        for batch in self.data.batches(self.data.train, config.batch, seed=stream(*self.parts, "batches", epoch)):
            loss, outcome = judge(self.network(batch.images), batch.labels, config.label_smoothing)
            descend(self.optimizer, loss, config.clip)
            tally.add(outcome)
        train_loss, train_accuracy = tally.means()
        valid_loss, valid_accuracy = evaluate_accuracy(self.network, self.data.valid)
        return {
            "train_loss": train_loss,
            "train_accuracy": train_accuracy,
            "valid_loss": valid_loss,
            "valid_accuracy": valid_accuracy,
        }

    def snapshot(self) -> dict[str, Any]:
        """What is reported after an epoch beside its metrics: nothing."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        return {"network": self.network.state_dict(), "optimizer": optimizer_state(self.optimizer)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        load_optimizer_state(self.optimizer, state["optimizer"])

    def result(self) -> dict[str, float]:
        """accuracy and loss on `valid`, test_accuracy on `test`. Raises NonFiniteLossError."""
        loss, accuracy = evaluate_accuracy(self.network, self.data.valid)
        return {"accuracy": accuracy, "test_accuracy": evaluate_accuracy(self.network, self.data.test)[1], "loss": loss}
