"""Configurations that failed are not asked again."""

from __future__ import annotations

from dataclasses import replace

from moonas.outer.plan import Plan
from moonas.outer.samplers.sampler import History, Proposal, Sampler
from moonas.seeds import stream

TRIES = 100  # random designs in place of one that failed


class NotAgain:
    """A sampler of whose proposals those that failed already are replaced, each by a random design.

    Where a hundred of them have failed too, the proposal stands: its tasks are known to fail, so its trial ends at once.
    """

    def __init__(self, plan: Plan, sampler: Sampler) -> None:
        self.plan, self.sampler, self.total = plan, sampler, sampler.total

    def ask(self, history: History) -> Proposal | None:
        proposal = self.sampler.ask(history)
        if proposal is None or proposal.replicate or not history.failed(proposal.design, 0):
            return proposal
        import numpy as np

        from moonas.outer.samplers.parameters import Parameters
        from moonas.outer.samplers.pools import random_design

        parameters = Parameters(self.plan)
        for number in range(TRIES):
            seed = stream(self.plan.config.seed, "ask", len(history.trials), "instead", number)
            design = random_design(parameters, np.random.default_rng(seed))
            if not history.failed(design, 0):
                return replace(proposal, design=design)
        return proposal
