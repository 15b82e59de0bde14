"""PC-DARTS: first-order DARTS on 1/K of the channels, with learned factors of whole edges.

Source: Xu et al., ICLR 2020, arXiv:1907.05737, and its published code; `moonas.study.partial` says what is of the journal version.
Our own choices: running statistics of batch norm see the training batches only, and the validation half is gone through in random
order again and again instead of drawn with replacement.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from moonas.data.dataset import Part
from moonas.inner.handlers.handler import Handler
from moonas.inner.method import Method, StepOutcomes
from moonas.inner.supernets.supernet import Mixture, Supernet
from moonas.inner.updates import (
    adam,
    copy_logits,
    log_softmax_by_node,
    logits_to_json,
    resting,
    small_logits,
    softmax,
    step_logits,
)
from moonas.networks.descent import Outcome, cosine, descend, judge, load_optimizer_state, optimizer_state, set_lr, sgd
from moonas.seeds import stream
from moonas.spaces.space import Space
from moonas.study.method_settings import PCDartsConfig


class PCDarts(Method):
    """alpha: {group: (edges, operations)} logits. beta: {group: (edges,)} logits, of each edge among those into its node."""

    def __init__(self, net: Supernet, space: Space, config: PCDartsConfig, handler: Handler, seed: int) -> None:
        self.net, self.space, self.config, self.handler = net, space, config, handler
        self.epochs, self.batch = config.epochs, config.batch
        self.weights = list(net.weights())
        device = self.weights[0].device
        self.alpha = small_logits(space, seed, device)
        self.beta = small_logits(space, stream(seed, "edges"), device, per_edge=True)
        self.logits = [*self.alpha.values(), *self.beta.values()]
        self.weight_optimizer = sgd(self.weights, config.weight_lr, config.weight_momentum, config.weight_decay)
        self.alpha_optimizer = adam(self.logits, config.alpha_lr, config.alpha_beta1, config.alpha_beta2, config.alpha_decay)
        self.seed, self.passes = seed, 0

    def step(self, train: Part, valid: Part, epoch: int) -> StepOutcomes:
        """Update alpha and beta on `valid` (after warm-up), then the weights on `train`."""
        set_lr(self.weight_optimizer, self.weight_lr(epoch))
        valid_outcome = None
        if epoch >= self.config.warmup_epochs:
            valid_outcome = self.step_alpha(valid)
            self.handler.after_step(self.alpha, self.alpha_optimizer, epoch, self.epochs)
        return StepOutcomes(self.step_weights(train), valid_outcome)

    def weight_lr(self, epoch: int) -> float:
        """A cosine, in the first epochs times a ramp."""
        ramp = min(1.0, (epoch + 1) / self.config.weight_ramp_epochs) if self.config.weight_ramp_epochs else 1.0
        return ramp * cosine(epoch, self.epochs, self.config.weight_lr, self.config.weight_lr_min)

    def step_alpha(self, batch: Part) -> Outcome:
        self.passes += 1
        with resting(self.weights):
            loss, outcome = self._loss(batch)
        gradients = torch.autograd.grad(loss + self.handler.loss(softmax(self.alpha)), self.logits)
        step_logits(self.alpha_optimizer, self.logits, gradients, self.config.alpha_clip)
        return outcome

    def step_weights(self, batch: Part) -> Outcome:
        self.passes += 1
        with torch.no_grad():
            mixture = self._mixture()
        loss, outcome = judge(self.net(batch.images, mixture), batch.labels)
        descend(self.weight_optimizer, loss, self.config.weight_clip)
        return outcome

    def architecture_loss(self, batch: Part) -> tuple[Callable[[], Tensor], list[Tensor]]:
        def loss() -> Tensor:
            with resting(self.weights):
                return self._loss(batch)[0]

        return loss, self.logits

    def _loss(self, batch: Part) -> tuple[Tensor, Outcome]:
        """Of the mixture as it stands, the running statistics left alone."""
        with self.net.frozen_statistics():
            return judge(self.net(batch.images, self._mixture()), batch.labels)

    def _mixture(self) -> Mixture:
        factors = {group: logs.exp() for group, logs in log_softmax_by_node(self.beta, self.space).items()}
        return Mixture(softmax(self.alpha), factors, draw=stream(self.seed, "channels", self.passes))

    def probabilities(self) -> dict[str, Tensor]:
        return {group: matrix.detach() for group, matrix in softmax(self.alpha).items()}

    @torch.no_grad()
    def edge_weights(self) -> dict[str, Tensor]:
        """softmax of beta over the edges into a node."""
        return {group: logs.exp() for group, logs in log_softmax_by_node(self.beta, self.space).items()}

    @torch.no_grad()
    def scores(self) -> dict[str, Tensor]:
        edges = log_softmax_by_node(self.beta, self.space)
        return {group: logits.log_softmax(dim=1) + edges[group][:, None] for group, logits in self.alpha.items()}

    def leaves(self) -> dict[str, Any]:
        return {"logits": logits_to_json({"alpha": self.alpha, "beta": self.beta})}

    def start_from(self, left: Any) -> None:
        copy_logits(left, {"alpha": self.alpha, "beta": self.beta})

    def state_dict(self) -> dict[str, Any]:
        return {
            "net": self.net.state_dict(),
            "alpha": {group: logits.detach() for group, logits in self.alpha.items()},
            "beta": {group: logits.detach() for group, logits in self.beta.items()},
            "weight_optimizer": optimizer_state(self.weight_optimizer),
            "alpha_optimizer": optimizer_state(self.alpha_optimizer),
            "passes": self.passes,
        }

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.net.load_state_dict(state["net"])
        for name, leaves in (("alpha", self.alpha), ("beta", self.beta)):
            for group, logits in leaves.items():
                logits.copy_(state[name][group])
        load_optimizer_state(self.weight_optimizer, state["weight_optimizer"])
        load_optimizer_state(self.alpha_optimizer, state["alpha_optimizer"])
        self.passes = state["passes"]
