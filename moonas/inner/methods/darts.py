"""DARTS, first order: logits on the validation loss, weights on the training loss, in turns.

Source: Liu et al., ICLR 2019, arXiv:1806.09055, and its published code. Our own choices: running statistics of batch norm see the
training batches only, and the validation half is gone through in random order again and again instead of drawn with replacement.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from moonas.data.dataset import Part
from moonas.inner.handlers.handler import Handler
from moonas.inner.method import StepOutcomes
from moonas.inner.supernets.supernet import Mixture, Supernet
from moonas.inner.updates import adam, descend_logits, small_logits, softmax
from moonas.networks.descent import Outcome, cosine, descend, judge, load_optimizer_state, optimizer_state, resting, set_lr, sgd
from moonas.spaces.space import Space
from moonas.study.methods import DartsConfig


class Darts:
    """alpha: {group: (edges, operations)} logits."""

    def __init__(self, net: Supernet, space: Space, config: DartsConfig, handler: Handler, seed: int) -> None:
        self.net, self.config, self.handler = net, config, handler
        self.epochs, self.batch = config.epochs, config.batch
        self.weights = list(net.weights())
        self.alpha = small_logits(space, seed, self.weights[0].device)
        self.weight_optimizer = sgd(self.weights, config.weight_lr, config.weight_momentum, config.weight_decay)
        self.alpha_optimizer = adam(
            self.alpha.values(), config.alpha_lr, config.alpha_beta1, config.alpha_beta2, config.alpha_decay
        )

    def step(self, train: Part, valid: Part, epoch: int) -> StepOutcomes:
        """Update alpha on `valid` (after warm-up), then the weights on `train`."""
        set_lr(self.weight_optimizer, cosine(epoch, self.epochs, self.config.weight_lr, self.config.weight_lr_min))
        valid_outcome = self.step_alpha(valid) if epoch >= self.config.warmup_epochs else None
        return StepOutcomes(self.step_weights(train), valid_outcome)

    def step_alpha(self, batch: Part) -> Outcome:
        mixture = softmax(self.alpha)
        with resting(self.weights), self.net.frozen_statistics():
            loss, outcome = judge(self.net(batch.images, Mixture(mixture)), batch.labels)
        descend_logits(self.alpha_optimizer, loss + self.handler.loss(mixture), list(self.alpha.values()))
        return outcome

    def step_weights(self, batch: Part) -> Outcome:
        loss, outcome = judge(self.net(batch.images, Mixture(self.probabilities())), batch.labels)
        descend(self.weight_optimizer, loss, self.config.weight_clip)
        return outcome

    def probabilities(self) -> dict[str, Tensor]:
        return {group: matrix.detach() for group, matrix in softmax(self.alpha).items()}

    def scores(self) -> dict[str, Tensor]:
        return {group: logits.detach().log_softmax(dim=1) for group, logits in self.alpha.items()}

    def state_dict(self) -> dict[str, Any]:
        return {
            "net": self.net.state_dict(),
            "alpha": {group: logits.detach() for group, logits in self.alpha.items()},
            "weight_optimizer": optimizer_state(self.weight_optimizer),
            "alpha_optimizer": optimizer_state(self.alpha_optimizer),
        }

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.net.load_state_dict(state["net"])
        for group, logits in self.alpha.items():
            logits.copy_(state["alpha"][group])
        load_optimizer_state(self.weight_optimizer, state["weight_optimizer"])
        load_optimizer_state(self.alpha_optimizer, state["alpha_optimizer"])
