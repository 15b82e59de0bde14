"""One inner search: data, supernet, method and handler joined, epoch by epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

import torch
from torch import Tensor

from moonas.data.dataset import Data, Part
from moonas.inner.expected_cost import ExpectedCost
from moonas.inner.method import Method
from moonas.inner.supernets.fused import FusedSupernet
from moonas.networks.descent import Tally, seeded
from moonas.registry import load_object
from moonas.seeds import stream
from moonas.spaces.costs import cost_table
from moonas.spaces.decode import Decoder
from moonas.spaces.space import make_space
from moonas.specs import SearchSpec
from moonas.study.methods import HANDLERS, METHODS
from moonas.study.sections import Performance
from moonas.study.validation import settings_of


class Search:
    """A gradient search by its spec.

    Resumable: all randomness follows from the spec and the epoch, so that a state taken between two epochs is all there is.
    Streams depend on the study's seed and the replicate alone, so that equal replicates pair across methods and budgets.
    """

    def __init__(self, spec: SearchSpec, data: Data, device: str | torch.device = "cpu") -> None:
        self.spec, self.data = spec, data
        self.space = make_space(spec.space)
        method, handler = METHODS[spec.method["name"]], HANDLERS[spec.handler["name"]]
        with seeded(stream(spec.seed, spec.replicate, "weights")):
            self.net = FusedSupernet(self.space, spec.skeleton).to(device)
        self.net.set_performance(settings_of(Performance, spec.performance))
        budget_handler = load_object(handler.load)(
            settings_of(handler.config, spec.handler), self.space, spec.final, spec.budget, device
        )
        alpha_seed = stream(spec.seed, spec.replicate, "architecture")
        self.method: Method = load_object(method.load)(
            self.net, self.space, settings_of(method.config, spec.method), budget_handler, alpha_seed
        )
        self.epochs = self.method.epochs
        table = cost_table(self.space, spec.final or spec.skeleton)
        self.decoder = Decoder(self.space, table)
        self.expected_cost = ExpectedCost(self.space, table.columns(["params"]), device)

    def run_epoch(self, epoch: int) -> dict[str, float]:
        """One pass over `train_w`, with as many batches of `train_alpha`.

        Returns train_loss and train_accuracy; valid_loss and valid_accuracy of the mixture on the `train_alpha` batches as they
        come, absent in warm-up; entropy, the mean over edges in nats; skips, the skip connections in the normal cell decoded
        without bounds; expected_params, at the final skeleton where the search knows it, else at its own.
        Raises NonFiniteLossError.
        """
        spec, data = self.spec, self.data
        self.net.train()
        train, valid = Tally("training"), Tally("architecture")
        seed = stream(spec.seed, spec.replicate, "train batches", epoch)
        valid_batches = self._endless(data.train_alpha, epoch)
        for batch in data.batches(data.train_w, self.method.batch, seed=seed):
            outcomes = self.method.step(batch, next(valid_batches), epoch)
            train.add(outcomes.train)
            if outcomes.valid is not None:
                valid.add(outcomes.valid)
        metrics = dict(zip(("train_loss", "train_accuracy"), train.means(), strict=True))
        if valid.images:
            metrics |= zip(("valid_loss", "valid_accuracy"), valid.means(), strict=True)
        return metrics | self._health()

    def scores(self) -> dict[str, list[list[float]]]:
        """{group: (edges, operations)} as nested lists."""
        return {group: matrix.tolist() for group, matrix in self.method.scores().items()}

    def snapshot(self) -> dict[str, Any]:
        """What is reported after an epoch beside its metrics."""
        return {"scores": self.scores()}

    def state_dict(self) -> dict[str, Any]:
        return self.method.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.method.load_state_dict(state)

    def result(self) -> dict[str, Any]:
        """The final scores, and by group the operations that their columns stand for."""
        return {"scores": self.scores(), "operations": {name: list(group.operations) for name, group in self.space.groups.items()}}

    def _endless(self, part: Part, epoch: int) -> Iterator[Part]:
        for turn in count():
            seed = stream(self.spec.seed, self.spec.replicate, "architecture batches", epoch, turn)
            yield from self.data.batches(part, self.method.batch, seed=seed)

    def _health(self) -> dict[str, float]:
        probabilities = self.method.probabilities()
        scores = {group: matrix.cpu().numpy() for group, matrix in self.method.scores().items()}
        normal = self.decoder.decode(scores).architecture.groups["normal"]
        return {
            "entropy": mean_entropy(probabilities),
            "skips": float(sum(operation == "skip_connect" for _, _, operation in normal)),
            "expected_params": float(self.expected_cost(probabilities)),
        }


def mean_entropy(probabilities: Mapping[str, Tensor]) -> float:
    """Of the operations' distribution, in nats, averaged over the edges of all groups."""
    return float(torch.cat([torch.special.entr(matrix).sum(dim=1) for matrix in probabilities.values()]).mean())
