"""TND-NAS: weights by descent on mixtures, logits by rewards of sampled networks, in three stages of fewer operations each.

Source: Lyu et al. 2021, arXiv:2111.03892, and the first author's published notes; stages and dropout are those of P-DARTS (Chen et
al., ICCV 2019). Our own choices: equal samples share a forward pass; sampled networks run without dropout; where not every training
step has an architecture step, steps are counted anew in each epoch.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from moonas.architecture import Architecture
from moonas.data.dataset import Part
from moonas.inner.handlers.handler import RewardHandler
from moonas.inner.method import MakeNet, Method, StepOutcomes
from moonas.inner.rewards import advantages, draw, exploration_ratios, policy_gradient, strongest
from moonas.inner.supernets.supernet import Mixture, Path
from moonas.inner.updates import adam, copy_logits, logits_to_json, small_logits, step_logits
from moonas.networks.descent import Outcome, cosine, descend, judge, load_optimizer_state, optimizer_state, set_lr, sgd
from moonas.seeds import stream
from moonas.spaces.space import Space
from moonas.study.method_settings import TndNasConfig

STAGES = 3
DROPOUT_FALL = 0.2  # P-DARTS: after the warm-up, dropout falls by the factor exp(-0.2) each epoch
Sample = dict[str, Tensor]  # {group: (edges,) columns of operations}


class TndNas(Method):
    """The present stage's: net; alpha, {group: (edges, operations)} logits; remaining, of the same shape, bool."""

    def __init__(self, make_net: MakeNet, space: Space, config: TndNasConfig, handler: RewardHandler, seed: int) -> None:
        self.make_net, self.space, self.config, self.handler, self.seed = make_net, space, config, handler, seed
        self.epochs, self.batch = STAGES * config.epochs, config.batch
        # by slot, its group and edges: how the space puts an architecture together
        self.slots = [(slot.group, [(node, p) for node, p, _ in slot.options[0]]) for slot in space.slots()]
        self.earlier: list[dict[str, Tensor]] = []  # scores at the end of each stage so far
        self.rewards: list[float] = []  # of the epoch's samples
        self.first: dict[str, Tensor] = {}  # alpha at the end of the first stage, once that is over
        self._enter(0, {name: torch.ones(group.shape, dtype=torch.bool) for name, group in space.groups.items()})

    def step(self, train: Part, valid: Part, epoch: int) -> StepOutcomes:
        """Update alpha on `valid` (after the stage's warm-up, every so many steps), then the weights on `train`."""
        if epoch != self._epoch:
            self._begin(epoch)
        due = epoch % self.config.epochs >= self.config.warmup_epochs and self._steps % self.config.every == 0
        self._steps += 1
        valid_outcome = self.step_alpha(valid) if due else None
        return StepOutcomes(self.step_weights(train), valid_outcome)

    @torch.no_grad()
    def step_alpha(self, batch: Part) -> Outcome:
        """Draw networks, reward each by its accuracy on `batch` and its costs, and move alpha. Returns all outcomes together."""
        config = self.config
        probabilities = {group: matrix.cpu().double() for group, matrix in self.probabilities().items()}
        samples = [self._draw(probabilities) for _ in range(config.samples)]
        architectures = [self._architecture(sample) for sample in samples]
        outcomes = {architecture: self._judge(architecture, batch) for architecture in dict.fromkeys(architectures)}
        exponent = getattr(config, f"gamma_{self.stage + 1}")
        tightness = getattr(config, f"reference_{self.stage + 1}")
        rewards = [self.handler.of(float(outcomes[a].correct) / len(batch), a, exponent, tightness) for a in architectures]
        self.rewards += rewards
        gains = advantages(torch.tensor(rewards, dtype=torch.float64)) * self._ratios(probabilities, samples)
        ascent = [
            policy_gradient(probabilities[group], torch.stack([sample[group] for sample in samples]), gains).to(logits)
            for group, logits in self.alpha.items()
        ]
        length = torch.linalg.vector_norm(torch.stack([gradient.norm() for gradient in ascent]))
        shrink = (config.alpha_clip / (length + 1e-6)).clamp(max=1.0)  # as torch's clip_grad_norm_
        step_logits(self.alpha_optimizer, list(self.alpha.values()), [-shrink * gradient for gradient in ascent])
        drawn = [outcomes[architecture] for architecture in architectures]
        loss, correct = sum(one.loss_sum for one in drawn), sum(one.correct for one in drawn)
        return Outcome(torch.as_tensor(loss), torch.as_tensor(correct), len(batch) * len(drawn))

    def step_weights(self, batch: Part) -> Outcome:
        mixture = Mixture(self.probabilities(), remaining=self.remaining if self.stage else None)
        loss, outcome = judge(self.net(batch.images, mixture), batch.labels)
        descend(self.weight_optimizer, loss, self.config.weight_clip)
        return outcome

    def probabilities(self) -> dict[str, Tensor]:
        return {group: matrix.exp() for group, matrix in self.scores().items()}

    def scores(self) -> dict[str, Tensor]:
        return {
            group: logits.detach().masked_fill(~self.remaining[group].to(logits.device), -math.inf).log_softmax(dim=1)
            for group, logits in self.alpha.items()
        }

    def metrics(self) -> dict[str, float]:
        """The stage, from 1 on, and the mean reward of the epoch's samples, where there were any."""
        rewards, self.rewards = self.rewards, []
        mean = {"reward": sum(rewards) / len(rewards)} if rewards else {}
        return {"stage": float(self.stage + 1), **mean}

    def earlier_scores(self) -> list[dict[str, Tensor]]:
        return self.earlier[::-1]

    def leaves(self) -> dict[str, Any]:
        """Of the first stage, which alone chooses among all operations."""
        return {"logits": logits_to_json({"alpha": self.first or self.alpha})}

    def start_from(self, left: Any) -> None:
        """The first stage does, our own choice; the others begin as ever, with those operations that it leaves."""
        copy_logits(left, {"alpha": self.alpha})

    def state_dict(self) -> dict[str, Any]:
        return {
            "stage": self.stage,
            "remaining": self.remaining,
            "earlier": self.earlier,
            "first": self.first,
            "net": self.net.state_dict(),
            "alpha": {group: logits.detach() for group, logits in self.alpha.items()},
            "weight_optimizer": optimizer_state(self.weight_optimizer),
            "alpha_optimizer": optimizer_state(self.alpha_optimizer),
        }

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.earlier, self.first = state["earlier"], state["first"]
        self._enter(state["stage"], state["remaining"])
        self.net.load_state_dict(state["net"])
        for group, logits in self.alpha.items():
            logits.copy_(state["alpha"][group])
        load_optimizer_state(self.weight_optimizer, state["weight_optimizer"])
        load_optimizer_state(self.alpha_optimizer, state["alpha_optimizer"])

    # Stages

    def _enter(self, stage: int, remaining: dict[str, Tensor]) -> None:
        """Fresh weights, logits and optimizers, for the operations that remain."""
        config = self.config
        self.stage, self.remaining = stage, remaining
        self.net = self.make_net(stage=stage, deeper=stage * config.deepen)
        weights = list(self.net.weights())
        device = weights[0].device
        self.alpha = small_logits(self.space, stream(self.seed, "stage", stage), device)
        self.weight_optimizer = sgd(weights, config.weight_lr, config.weight_momentum, config.weight_decay)
        self.alpha_optimizer = adam(
            self.alpha.values(), config.alpha_lr, config.alpha_beta1, config.alpha_beta2, config.alpha_decay
        )
        self.net.skip_dropout.generator = torch.Generator(device)
        self.samples = torch.Generator()
        self._epoch, self._steps = -1, 0

    def _leave(self) -> None:
        """Drop the weakest operations of every edge and enter the next stage."""
        probabilities, share = self.probabilities(), getattr(self.config, f"keep_{self.stage + 1}")
        self.earlier = [*self.earlier, self.scores()]
        self.first = self.first or {group: logits.detach() for group, logits in self.alpha.items()}
        remaining = {
            name: strongest(probabilities[name].cpu(), self.remaining[name], kept_count(share, len(group.operations)))
            for name, group in self.space.groups.items()
        }
        self._enter(self.stage + 1, remaining)

    def _begin(self, epoch: int) -> None:
        """What changes from epoch to epoch: the stage, learning rate, dropout, and the streams of random numbers."""
        config = self.config
        stage, own = divmod(epoch, config.epochs)
        while self.stage < stage:
            self._leave()
        self._epoch, self._steps = epoch, 0
        set_lr(self.weight_optimizer, cosine(own, config.epochs, config.weight_lr, config.weight_lr_min))
        dropout = self.net.skip_dropout
        dropout.probability = skip_dropout(getattr(config, f"dropout_{stage + 1}"), own, config.warmup_epochs, config.epochs)
        assert dropout.generator is not None
        dropout.generator.manual_seed(stream(self.seed, "dropout", epoch))
        self.samples.manual_seed(stream(self.seed, "samples", epoch))

    # Samples

    def _draw(self, probabilities: dict[str, Tensor]) -> Sample:
        uniformly = self.config.explore > float(torch.rand((), generator=self.samples, dtype=torch.float64))
        return {group: draw(matrix, self.samples, uniformly) for group, matrix in probabilities.items()}

    def _architecture(self, sample: Sample) -> Architecture:
        chosen = {
            (name, node, predecessor): group.operations[int(column)]
            for name, group in self.space.groups.items()
            for (predecessor, node), column in zip(group.edges, sample[name], strict=True)
        }
        options = [tuple((node, p, chosen[name, node, p]) for node, p in edges) for name, edges in self.slots]
        return self.space.architecture(options)

    def _judge(self, architecture: Architecture, batch: Part) -> Outcome:
        """Normalised by the batch: the running statistics are those of mixtures, and are left alone."""
        with self.net.frozen_statistics():
            return judge(self.net(batch.images, Path(architecture)), batch.labels)[1]

    def _ratios(self, probabilities: dict[str, Tensor], samples: list[Sample]) -> Tensor:
        log_probabilities = [
            sum(matrix.gather(1, sample[group][:, None]).log().sum() for group, matrix in probabilities.items())
            for sample in samples
        ]
        log_uniform = -sum(float(left.sum(dim=1).log().sum()) for left in self.remaining.values())
        return exploration_ratios(
            torch.stack([torch.as_tensor(log) for log in log_probabilities]), log_uniform, self.config.explore
        )


def kept_count(share: float, operations: int) -> int:
    """How many operations of an edge a share of them is: rounded up, two at least, so that one other than `none` is left."""
    return max(2, math.ceil(round(share * operations, 9)))


def skip_dropout(start: float, epoch: int, warmup: int, epochs: int) -> float:
    """P-DARTS's dropout in an epoch of a stage: falling linearly in the warm-up, then anew from `start`, exponentially."""
    if epoch < warmup:
        return start * (epochs - epoch - 1) / epochs
    return start * math.exp(-DROPOUT_FALL * (epoch - warmup))
