"""DARTS, first and second order: logits on the validation loss, weights on the training loss, in turns.

Source: Liu et al., ICLR 2019, arXiv:1806.09055, and its published code. Our own choices: running statistics of batch norm see the
training batches only, and the validation half is gone through in random order again and again instead of drawn with replacement.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from moonas.data.dataset import Part
from moonas.inner.handlers.handler import Handler
from moonas.inner.method import Method, StepOutcomes
from moonas.inner.supernets.supernet import Mixture, Supernet
from moonas.inner.updates import adam, copy_logits, logits_to_json, second_order_gradient, small_logits, softmax, step_logits
from moonas.networks.descent import (
    Outcome,
    cosine,
    descend,
    judge,
    load_optimizer_state,
    momentum_buffers,
    optimizer_state,
    resting,
    set_lr,
    sgd,
)
from moonas.spaces.space import Space
from moonas.study.method_settings import DartsConfig


class Darts(Method):
    """alpha: {group: (edges, operations)} logits."""

    def __init__(self, net: Supernet, space: Space, config: DartsConfig, handler: Handler, seed: int) -> None:
        self.net, self.config, self.handler = net, config, handler
        self.epochs, self.batch = config.epochs, config.batch
        self.weights = list(net.weights())
        self.alpha = small_logits(space, seed, self.weights[0].device)
        self.logits = list(self.alpha.values())
        self.weight_optimizer = sgd(self.weights, config.weight_lr, config.weight_momentum, config.weight_decay)
        self.alpha_optimizer = adam(self.logits, config.alpha_lr, config.alpha_beta1, config.alpha_beta2, config.alpha_decay)

    def step(self, train: Part, valid: Part, epoch: int) -> StepOutcomes:
        """Update alpha on `valid` (after warm-up), then the weights on `train`."""
        set_lr(self.weight_optimizer, cosine(epoch, self.epochs, self.config.weight_lr, self.config.weight_lr_min))
        valid_outcome = None
        if epoch >= self.config.warmup_epochs:
            valid_outcome = self.step_alpha(train, valid)
            self.handler.after_step(self.alpha, self.alpha_optimizer, epoch, self.epochs)
        return StepOutcomes(self.step_weights(train), valid_outcome)

    def step_alpha(self, train: Part, valid: Part) -> Outcome:
        """Update alpha on `valid`; the second order looks one weight step on `train` ahead."""
        if self.config.order == 2:
            gradients, outcome = self._second_order(train, valid)
        else:
            with resting(self.weights):
                loss, outcome = self._loss(valid)
            gradients = list(torch.autograd.grad(loss + self.handler.loss(softmax(self.alpha)), self.logits))
        step_logits(self.alpha_optimizer, self.logits, gradients)
        return outcome

    def _second_order(self, train: Part, valid: Part) -> tuple[list[Tensor], Outcome]:
        outcomes = []

        def valid_loss() -> Tensor:
            loss, outcome = self._loss(valid)
            outcomes.append(outcome)
            return loss + self.handler.loss(softmax(self.alpha))

        exact = self.config.hessian == "exact"
        with self.net.twice_differentiable() if exact else nullcontext():
            gradients = second_order_gradient(
                lambda: self._loss(train)[0],
                valid_loss,
                self.logits,
                self.weights,
                self.weight_optimizer.param_groups[0]["lr"],
                momentum=self.config.weight_momentum,
                buffers=momentum_buffers(self.weight_optimizer, self.weights),
                decay=self.config.weight_decay,
                radius=None if exact else 0.01,
            )
        return gradients, outcomes[0]

    def _loss(self, batch: Part) -> tuple[Tensor, Outcome]:
        """Of the mixture as it stands, the running statistics left alone."""
        with self.net.frozen_statistics():
            return judge(self.net(batch.images, Mixture(softmax(self.alpha))), batch.labels)

    def step_weights(self, batch: Part) -> Outcome:
        loss, outcome = judge(self.net(batch.images, Mixture(self.probabilities())), batch.labels)
        descend(self.weight_optimizer, loss, self.config.weight_clip)
        return outcome

    def architecture_loss(self, batch: Part) -> tuple[Callable[[], Tensor], list[Tensor]]:
        def loss() -> Tensor:
            with resting(self.weights):
                return self._loss(batch)[0]

        return loss, self.logits

    def probabilities(self) -> dict[str, Tensor]:
        return {group: matrix.detach() for group, matrix in softmax(self.alpha).items()}

    def scores(self) -> dict[str, Tensor]:
        return {group: logits.detach().log_softmax(dim=1) for group, logits in self.alpha.items()}

    def leaves(self) -> dict[str, Any]:
        return {"logits": logits_to_json({"alpha": self.alpha})}

    def start_from(self, left: Any) -> None:
        copy_logits(left, {"alpha": self.alpha})

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
