"""Random search with shared weights: the search network trains on uniformly drawn architectures, and nothing else is learned.

Each step draws one architecture of the space and trains its weights. Afterwards architectures drawn uniformly within a budget are
judged with the shared weights. The baseline of Li and Talwalkar, UAI 2019, arXiv:1902.07638. Our own choices: one architecture a
step, batch norm's running statistics left alone, and the optimizer's settings, which are those of DARTS.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from moonas.data.dataset import Part
from moonas.inner.handlers.handler import Handler
from moonas.inner.method import Method, StepOutcomes
from moonas.inner.supernets.supernet import Path, Supernet
from moonas.networks.descent import cosine, descend, judge, load_optimizer_state, optimizer_state, set_lr, sgd
from moonas.spaces.space import Space
from moonas.study.method_settings import RandomSharedConfig


class RandomShared(Method):
    def __init__(self, net: Supernet, space: Space, config: RandomSharedConfig, handler: Handler, seed: int) -> None:
        self.net, self.space, self.config = net, space, config
        self.epochs, self.batch = config.epochs, config.batch
        self.slots = space.slots()
        self.generator = torch.Generator().manual_seed(seed)
        self.optimizer = sgd(net.weights(), config.weight_lr, config.weight_momentum, config.weight_decay, gaps=True)

    def step(self, train: Part, valid: Part, epoch: int) -> StepOutcomes:
        """Train the weights of one architecture on `train`."""
        set_lr(self.optimizer, cosine(epoch, self.epochs, self.config.weight_lr, self.config.weight_lr_min))
        drawn = [slot.options[int(torch.randint(len(slot.options), (), generator=self.generator))] for slot in self.slots]
        with self.net.frozen_statistics():
            loss, outcome = judge(self.net(train.images, Path(self.space.architecture(drawn))), train.labels)
        descend(self.optimizer, loss, self.config.weight_clip)
        return StepOutcomes(outcome, None)

    def probabilities(self) -> dict[str, Tensor]:
        """Even among the operations that an edge can have."""
        even = {name: torch.zeros(group.shape) for name, group in self.space.groups.items()}
        for name, group in self.space.groups.items():
            even[name][:, group.selectable] = 1 / len(group.selectable)
        return even

    def scores(self) -> dict[str, Tensor]:
        """All alike: nothing is learned of architectures."""
        return {name: torch.zeros(group.shape) for name, group in self.space.groups.items()}

    def state_dict(self) -> dict[str, Any]:
        return {
            "net": self.net.state_dict(),
            "generator": self.generator.get_state(),
            "optimizer": optimizer_state(self.optimizer),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.net.load_state_dict(state["net"])
        self.generator.set_state(state["generator"].cpu())
        load_optimizer_state(self.optimizer, state["optimizer"])
