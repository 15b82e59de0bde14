"""PARSEC: a distribution over cells and the shared weights, learned together from sampled cells, one in memory at a time.

Each step draws K cells from the distribution and weighs them by how well they explain a batch: omega_k is proportional to
exp(l_k / tau), with l_k the log-likelihood of the whole batch. Weights and logits both ascend the omega-weighted gradient, the
logits without any backward pass. Batch norm uses the batch's statistics throughout.
Source: Casale, Gordon, Fusi 2019, arXiv:1902.05116; cost term and number of cells by entropy: Yan et al., CVPR 2021 (FP-NAS).
Our own choices: the temperature tau, as low as the effective number of cells allows; the optimizers' settings; logits that learn on
images the weights do not train on; running statistics of batch norm left alone.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from moonas.data.dataset import Part
from moonas.errors import NonFiniteLossError
from moonas.inner.distribution import CellDistribution
from moonas.inner.handlers.handler import CellHandler
from moonas.inner.method import Method, StepOutcomes
from moonas.inner.supernets.supernet import Path, Supernet
from moonas.inner.updates import adam, step_logits
from moonas.networks.descent import Outcome, cosine, judge, load_optimizer_state, optimizer_state, set_lr, sgd, take_step
from moonas.spaces.space import Space
from moonas.study.method_settings import ParsecConfig

NEGLIGIBLE = 1e-3  # cells of a smaller weight are not trained
TINY = 1e-30


class Parsec(Method):
    """distribution: over the cells of `space`, its logits are phi."""

    def __init__(self, net: Supernet, space: Space, config: ParsecConfig, handler: CellHandler, seed: int) -> None:
        self.net, self.config, self.handler = net, config, handler
        self.epochs, self.batch = config.epochs, config.batch
        self.weights = list(net.weights())
        self.distribution = CellDistribution(space, self.weights[0].device)
        self.start_entropy = float(self.distribution.entropies().sum())
        if config.warm_start is not None and config.warm_start.distribution is not None:  # none while a file is only timed
            self.distribution.start_from(config.warm_start.distribution, config.warm_start.uniform)
        self.generator = torch.Generator().manual_seed(seed)
        self.weight_optimizer = sgd(self.weights, config.weight_lr, config.weight_momentum, config.weight_decay, gaps=True)
        self.logit_optimizer = adam([self.distribution.logits], config.logit_lr, config.logit_beta1, config.logit_beta2, 0.0)
        self.seen: list[tuple[float, float, int]] = []  # temperature, effective cells and cells of each estimate of an epoch

    def step(self, train: Part, valid: Part, epoch: int) -> StepOutcomes:
        """Update the logits on `valid` (after warm-up; single level: on `train`), then the weights on `train`."""
        config = self.config
        set_lr(self.weight_optimizer, cosine(epoch, self.epochs, config.weight_lr, config.weight_lr_min))
        learns = epoch >= config.warmup_epochs
        if config.single_level:
            choices, omega, outcome = self._estimate(train, config.weight_samples)
            self._train(train, choices, omega)
            if learns:
                self._move(choices, omega)
            return StepOutcomes(outcome, None)
        moved = None
        if learns:
            choices, omega, moved = self._estimate(valid, config.samples)
            self._move(choices, omega)
        choices, omega, outcome = self._estimate(train, config.weight_samples)
        self._train(train, choices, omega)
        return StepOutcomes(outcome, moved)

    @torch.no_grad()
    def _estimate(self, batch: Part, most: int) -> tuple[Tensor, Tensor, Outcome]:
        """Cells drawn for one batch, (k, factors), their weights (k,), which add up to 1, and the outcome of all on average."""
        choices = self.distribution.draw(self._count(most), self.generator)
        with self.net.frozen_statistics():
            judged = [judge(self._logits(batch, choice), batch.labels) for choice in choices]
        likelihoods = torch.stack([-outcome.loss_sum.double() for _, outcome in judged]).cpu()
        lowest = max(2.0, len(choices) / 4) if self.config.tempering == "effective-samples" else 0.0
        omega, temperature = posterior_weights(likelihoods, lowest)
        self.seen.append((temperature, float(1 / omega.square().sum()), len(choices)))
        mean_loss = torch.stack([outcome.loss_sum for _, outcome in judged]).mean()
        mean_correct = torch.stack([outcome.correct for _, outcome in judged]).double().mean()
        return choices, omega, Outcome(mean_loss, mean_correct, len(batch))

    def _train(self, batch: Part, choices: Tensor, omega: Tensor) -> None:
        """One weight step along the sum of omega * gradient; weights that no cell uses stay as they are, momentum included."""
        kept = omega.where(omega >= NEGLIGIBLE, 0.0)
        kept = kept / kept.sum()
        self.weight_optimizer.zero_grad()
        with self.net.frozen_statistics():
            for choice, weight in zip(choices, kept.tolist(), strict=True):
                if weight:
                    (weight * judge(self._logits(batch, choice), batch.labels)[0]).backward()
        take_step(self.weight_optimizer, self.config.weight_clip)

    def _move(self, choices: Tensor, omega: Tensor) -> None:
        """One step of the logits up the likelihood, and down the budget's excess."""
        excess = torch.tensor([self.handler.excess(self.distribution.cell(choice.tolist())) for choice in choices]).double()
        weights = omega - self.handler.strength * excess / excess.sum() if excess.any() else omega
        step_logits(self.logit_optimizer, [self.distribution.logits], [-self.distribution.gradient(choices, weights)])

    def _logits(self, batch: Part, choice: Tensor) -> Tensor:
        return self.net(batch.images, Path(self.distribution.cell(choice.tolist())))

    def _count(self, most: int) -> int:
        """As many cells as the study says; fewer as the entropy falls, where it is adaptive, but never below two."""
        if not self.config.adaptive:
            return most
        return max(2, round(most * float(self.distribution.entropies().sum()) / self.start_entropy))

    def probabilities(self) -> dict[str, Tensor]:
        """Of the operations of an edge, given that the edge is drawn."""
        tables = self.distribution.expected_edges()
        return {name: torch.from_numpy(table / table.sum(axis=1, keepdims=True)) for name, table in tables.items()}

    def shares(self) -> dict[str, Tensor]:
        """{group: (edges,)}: how often an edge is drawn on average."""
        return {name: torch.from_numpy(table.sum(axis=1)) for name, table in self.distribution.expected_edges().items()}

    def scores(self) -> dict[str, Tensor]:
        """log of how often an edge is drawn with an operation; an operation that is never drawn is left at a tiny number."""
        tables = self.distribution.expected_edges()
        return {name: torch.from_numpy(table).clamp_min(TINY).log() for name, table in tables.items()}

    def slot_scores(self) -> list[list[float]] | None:
        """Where a node draws two edges, scores are those of pairs of edges, which do not add up over edges."""
        if all(group.kept is None for group in self.distribution.space.groups.values()):
            return None
        return [scores.tolist() for scores in self.distribution.slot_scores()]

    def metrics(self) -> dict[str, float]:
        """Of the epoch that ended: mean temperature, effective number of cells and number of cells; entropy of a factor in nats."""
        temperature, effective, cells = torch.tensor(self.seen, dtype=torch.float64).mean(dim=0).tolist()
        self.seen = []
        entropy = float(self.distribution.entropies().mean())
        return {"temperature": temperature, "effective_cells": effective, "cells": cells, "factor_entropy": entropy}

    def leaves(self) -> dict[str, Any]:
        """What later searches may start from."""
        return {"distribution": self.distribution.to_json()}

    def start_from(self, left: Any) -> None:
        self.distribution.start_from(left)

    def state_dict(self) -> dict[str, Any]:
        return {
            "net": self.net.state_dict(),
            "logits": self.distribution.logits.detach(),
            "generator": self.generator.get_state(),
            "weight_optimizer": optimizer_state(self.weight_optimizer),
            "logit_optimizer": optimizer_state(self.logit_optimizer),
        }

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.net.load_state_dict(state["net"])
        self.distribution.logits.copy_(state["logits"])
        self.generator.set_state(state["generator"].cpu())
        load_optimizer_state(self.weight_optimizer, state["weight_optimizer"])
        load_optimizer_state(self.logit_optimizer, state["logit_optimizer"])


def posterior_weights(likelihoods: Tensor, lowest: float) -> tuple[Tensor, float]:
    """omega (k,), proportional to exp(l / tau), and tau: the smallest one from 1 on at which 1 / sum(omega^2) reaches `lowest`.

    likelihoods: (k,) log-likelihoods; one that is not finite gets no weight. Raises NonFiniteLossError where none is finite.
    """
    finite = likelihoods.where(likelihoods.isfinite(), -torch.inf)
    if not finite.isfinite().any():
        raise NonFiniteLossError("the loss of every sampled cell became NaN or infinite; a smaller learning rate may help")
    lowest = min(lowest, 0.999 * int(finite.isfinite().sum()))

    def at(temperature: float) -> tuple[Tensor, bool]:
        omega = (finite / temperature).softmax(dim=0)
        return omega, float(1 / omega.square().sum()) >= lowest

    omega, enough = at(1.0)
    if enough:
        return omega, 1.0
    low, high = 0.0, 1.0  # of log tau
    while not at(math.exp(high))[1]:
        low, high = high, 2 * high
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if at(math.exp(middle))[1] else (middle, high)
    return at(math.exp(high))[0], math.exp(high)
