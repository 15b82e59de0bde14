"""Our own sampler: what is known before any training is used exactly, and only the rest is learned.

The model stands in `moonas.outer.surrogate`, what it chooses among in `moonas.outer.samplers.pools`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from moonas.front.dominance import non_dominated
from moonas.outer.plan import Design, Plan
from moonas.outer.samplers.parameters import Parameters
from moonas.outer.samplers.pools import Facts, Pool, candidates_of, random_design, source_of
from moonas.outer.samplers.sampler import Draw, History
from moonas.outer.surrogate.features import Columns
from moonas.outer.surrogate.proposal import Objectives, Observations, Proposer, basis
from moonas.seeds import stream
from moonas.study.objectives import best_value, worst_value


class MoonasSampler:
    """See `moonas.outer.surrogate.proposal`: the largest expected gain of hypervolume, exact in what is known.

    Draws that failed or were pruned are not repeated. Of constraints only those on costs that are known beforehand are looked at.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan, objectives, methods = plan, plan.config.objectives, plan.config.methods
        named = all(method.named for method in methods)
        known = [named and o.metric in plan.spans and bool(plan.space.groups) for o in objectives]
        learned = [o.metric for o, is_known in zip(objectives, known, strict=True) if not is_known]
        self.objectives = Objectives(
            known=np.array(known),
            ideal=np.array([best_value(o, plan.spans) for o in objectives]),
            reference=np.array([worst_value(o, plan.spans) or 0.0 for o in objectives]),
            of_function=learned == ["accuracy"] and [method.name for method in methods] == ["direct"],
        )
        self.source = source_of(plan, self.objectives)
        self.proposer = Proposer(self.objectives, Columns())
        self._facts: dict[str, Facts] = {}  # of the designs drawn so far, each looked at once

    def propose(self, history: History, index: int) -> tuple[Design, Mapping[str, Any]]:
        """The design of the largest expected gain; a random one where every candidate is taken."""
        listed = self.source.listed
        draws = [history.draw(number) for number in range(index)]
        seed = stream(self.plan.config.seed, "ask", index)
        done = [draw for draw in draws if draw.values is not None]
        facts = [self._of(draw) for draw in done]
        waiting = [self._of(draw) for draw in draws if draw.values is None and draw.state in ("WAITING", "RUNNING")]
        values = np.array([draw.values for draw in done], dtype=float).reshape(-1, len(self.objectives.known))
        resting = [facts[place] for place in basis(values)]
        pool = listed or self._made(done, values, resting, seed)
        drawn = {self._of(draw).key for draw in draws}
        taken = np.array([key in drawn for key in pool.keys], dtype=bool)
        repeats = np.full(len(done), float(self.plan.config.replicates))
        observed = Observations(pool.rows(resting), values, [fact.function for fact in facts], repeats)
        pending = candidates_of(waiting, pool.columns, self.objectives)
        self.proposer.columns = pool.columns
        chosen = self.proposer.propose(observed, pending, pool.candidates, taken, seed)
        if chosen is None:
            return random_design(Parameters(self.plan), np.random.default_rng(seed)), {}
        return self.source.design(pool.keys[chosen]), {}

    def _made(self, done: Sequence[Draw], values: np.ndarray, resting: Sequence[Facts], seed: int) -> Pool:
        """Candidates from what the draws so far have shown."""
        columns = Columns()
        columns.rows([fact.features for fact in resting])  # they come first: what they have is what is learned
        good = [done[place].design for place in _good(values)]
        return Pool.of(self.source.made(good, seed), columns, self.objectives)

    def _of(self, draw: Draw) -> Facts:
        key = draw.design.key
        if key not in self._facts:
            self._facts[key] = self.source.facts(draw.design)
        return self._facts[key]


def _good(values: np.ndarray) -> list[int]:
    """The draws on the front; those on the second one too where these are few."""
    first = non_dominated(values)
    if first.sum() < 5 and not first.all():
        rest = np.flatnonzero(~first)
        first[rest[non_dominated(values[rest])]] = True
    return np.flatnonzero(first).tolist()
