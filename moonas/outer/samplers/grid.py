"""Grid: every method, at each grid point of its open settings, at every budget and size that fit, for every replicate."""

from __future__ import annotations

from itertools import product

from moonas.outer.plan import Plan
from moonas.outer.samplers.sampler import History, Proposal


class Grid:
    """Replicates are outermost: a sweep stopped early has seen every corner once rather than one corner often."""

    def __init__(self, plan: Plan) -> None:
        settings = {
            method.label: [
                dict(zip(method.open, values, strict=True)) for values in product(*(r.grid() for r in method.open.values()))
            ]
            for method in plan.config.methods
        }
        designs = list(plan.designs(settings))
        self.proposals = [Proposal(design, replicate) for replicate in range(plan.config.replicates) for design in designs]
        self.most = plan.config.trials
        self.total = min(len(self.proposals), self.most or len(self.proposals))
        self._next = 0

    def ask(self, history: History) -> Proposal | None:
        """The first combination that no trial has; a study that was extended goes on with the new ones.

        A trial that the user chose counts among `trials`, and stands for a combination of the grid where it is one.
        """
        while self._next < len(self.proposals) and (self.most is None or len(history.trials) < self.most):
            proposal = self.proposals[self._next]
            self._next += 1
            if not history.has(proposal.design, proposal.replicate):
                return proposal
        return None
