"""One inner search: data, supernet, method and handler joined, epoch by epoch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import torch

from moonas.data.dataset import Data
from moonas.data.parts import AnyPart, Part
from moonas.inner.expected_cost import ExpectedCost
from moonas.inner.health import Watch, dominant_eigenvalue, strongest, vitals
from moonas.inner.method import Method
from moonas.inner.supernets.fused import FusedSupernet
from moonas.inner.supernets.supernet import Supernet
from moonas.networks.descent import Tally, seeded
from moonas.registry import load_object
from moonas.seeds import stream
from moonas.spaces.costs import cost_table
from moonas.spaces.decode import Decoder
from moonas.spaces.mixture import mixture_to_json
from moonas.spaces.scores import JsonScores, scores_to_json
from moonas.spaces.space import make_space
from moonas.specs import SearchSpec
from moonas.study.handlers import HANDLERS
from moonas.study.methods import METHODS, partial_channels
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
        self.device = device
        table = cost_table(self.space, spec.final or spec.skeleton, spec.predicted)
        budget_handler = load_object(handler.load)(
            settings_of(handler.config, spec.handler), self.space, table if spec.final else None, spec.budget, device
        )
        alpha_seed = stream(spec.seed, spec.replicate, "architecture")
        self.method: Method = load_object(method.load)(
            self._make_net if method.staged else self._make_net(),
            self.space,
            settings_of(method.config, spec.method),
            budget_handler,
            alpha_seed,
        )
        if spec.start is not None:
            self.method.start_from(spec.start["parameters"])
        self.epochs = self.method.epochs
        self.decoder = Decoder(self.space, table)
        self.expected_cost = ExpectedCost(self.space, table.columns(["params"]), device)
        self.watch = Watch(self._vitals(strongest(self.method)))

    @property
    def net(self) -> Supernet:
        """The search network, of the present stage where there are several."""
        return self.method.net

    def run_epoch(self, epoch: int) -> dict[str, float]:
        """One pass over `train_w`, with as many batches of `train_alpha`.

        Returns train_loss and train_accuracy; valid_loss and valid_accuracy of the mixture on the `train_alpha` batches as they
        come, absent in warm-up; what the method adds; the vitals of `moonas.inner.health`, costs at the final skeleton where the
        search knows it, else at its own; eigenvalue, in the epochs that measure it. Raises NonFiniteLossError.
        """
        spec, data = self.spec, self.data
        self.net.train()
        before = strongest(self.method)
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
        metrics |= self.method.metrics() | self._vitals(before) | self._eigenvalue(epoch)
        collapses = self.watch.look(epoch, metrics, {"scores": self.scores(), "slot_scores": self.method.slot_scores()})
        if collapses and self.spec.health.get("on_collapse") == "stop":
            self.epochs = epoch + 1
        return metrics

    def _vitals(self, before: list[int]) -> dict[str, float]:
        return vitals(self.space, self.decoder, self.expected_cost, self.method, before, self.spec.budget)

    def scores(self) -> JsonScores:
        """{group: (edges, operations)} as nested lists; see `moonas.spaces.scores`."""
        return scores_to_json(self.method.scores())

    def snapshot(self) -> dict[str, Any]:
        """What is reported after an epoch beside its metrics: the scores, and the mixture, None where nothing is learned."""
        scores, method = self.method.scores(), self.method
        learns = not METHODS[self.spec.method["name"]].draws
        mixture = mixture_to_json(method.probabilities(), scores, method.edge_weights()) if learns else None
        return {"scores": scores_to_json(scores), "mixture": mixture}

    def state_dict(self) -> dict[str, Any]:
        return {"method": self.method.state_dict(), "watch": self.watch.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.method.load_state_dict(state["method"])
        self.watch.state = state["watch"]

    def result(self) -> dict[str, Any]:
        """The final scores, the operations that their columns stand for, and what the method leaves to later searches.

        collapse: None, or {"epoch", "reason", "before"} with the scores before it, which are the final ones where it ended the
        search.
        """
        operations = {name: list(group.operations) for name, group in self.space.groups.items()}
        final: dict[str, Any] = {"scores": self.scores(), "slot_scores": self.method.slot_scores()}
        collapse = self.watch.state["collapse"]
        if collapse is not None and self.spec.health.get("on_collapse") == "stop":
            final = collapse["before"]
        earlier = [scores_to_json(scores) for scores in self.method.earlier_scores()]
        return {**final, "earlier": earlier, "operations": operations, "collapse": collapse, **self.method.leaves()}

    def _make_net(self, stage: int = 0, deeper: int = 0) -> FusedSupernet:
        """A search network, `deeper` cells deeper than the search skeleton; the initial weights depend on the stage."""
        spec = self.spec
        skeleton = replace(spec.skeleton, cells=spec.skeleton.cells + deeper)
        with seeded(stream(spec.seed, spec.replicate, "weights", *([stage] if stage else []))):
            net = FusedSupernet(self.space, skeleton, partial_channels(spec.method)).to(self.device)
        net.set_performance(settings_of(Performance, spec.performance))
        return net

    def _endless(self, part: AnyPart, epoch: int) -> Iterator[Part]:
        for turn in count():
            seed = stream(self.spec.seed, self.spec.replicate, "architecture batches", epoch, turn)
            yield from self.data.batches(part, self.method.batch, seed=seed)

    def _eigenvalue(self, epoch: int) -> dict[str, float]:
        """On the same validation batch every time, with the batch's own statistics."""
        every = self.spec.health.get("eigenvalue_every", 0)
        if not every or (epoch + 1) % every:
            return {}
        seed = stream(self.spec.seed, self.spec.replicate, "eigenvalue")
        batch = next(iter(self.data.batches(self.data.train_alpha, self.method.batch, seed=seed, augmented=False)))
        found = self.method.architecture_loss(batch)
        return {} if found is None else {"eigenvalue": dominant_eigenvalue(*found)}
