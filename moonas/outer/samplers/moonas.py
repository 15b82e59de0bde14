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
from moonas.study.metrics import ADDITIVE, METRICS
from moonas.study.objectives import best_value, worst_value


class MoonasSampler:
    """See `moonas.outer.surrogate.proposal`: the largest expected gain of hypervolume, exact in what is known.

    Draws that failed or were pruned are not repeated. Candidates keep to constraints on costs that are known beforehand; what is
    learned counts by the chance that it keeps to its own.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan, objectives, methods = plan, plan.config.objectives, plan.config.methods
        named = all(method.named for method in methods)
        known = [named and o.metric in plan.spans and bool(plan.space.groups) for o in objectives]
        limits, metrics = _limits(plan), [o.metric for o in objectives]
        self.further = [metric for metric in limits if metric not in metrics]
        learned = [*(metric for metric, is_known in zip(metrics, known, strict=True) if not is_known), *self.further]
        columns = [*metrics, *self.further]
        self.objectives = Objectives(
            known=np.array(known),
            ideal=np.array([best_value(o, plan.spans) for o in objectives]),
            reference=np.array([worst_value(o, plan.spans) or 0.0 for o in objectives]),
            limits={columns.index(metric): ends for metric, ends in limits.items()},
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
        values = self._values(done)
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
        objectives = values[:, : len(self.objectives.known)]
        violations = np.array([draw.violation or 0.0 for draw in done])
        good = [done[place].design for place in _good(objectives, violations)]
        return Pool.of(self.source.made(good, seed), columns, self.objectives)

    def _values(self, done: Sequence[Draw]) -> np.ndarray:
        """As of `Observations`."""
        metrics = [constraint.metric for constraint in self.plan.config.constraints]
        further = [(_sign(metric), metrics.index(metric)) for metric in self.further]
        rows = [[*(draw.values or ()), *(sign * (draw.limited or ())[place] for sign, place in further)] for draw in done]
        return np.array(rows, dtype=float).reshape(len(done), len(self.objectives.known) + len(further))

    def _of(self, draw: Draw) -> Facts:
        key = draw.design.key
        if key not in self._facts:
            self._facts[key] = self.source.facts(draw.design)
        return self._facts[key]


def _limits(plan: Plan) -> dict[str, tuple[float, float]]:
    """Between which ends the constraints keep every metric that has to be learned, minimised.

    Costs that add up need no learning: candidates keep to them, or what is decoded does.
    """
    limits: dict[str, tuple[float, float]] = {}
    for constraint in plan.config.constraints:
        if constraint.metric not in ADDITIVE:
            lowest = -np.inf if constraint.lower is None else constraint.lower
            highest = np.inf if constraint.upper is None else constraint.upper
            ends = sorted(_sign(constraint.metric) * end for end in (lowest, highest))
            lower, upper = limits.get(constraint.metric, (-np.inf, np.inf))
            limits[constraint.metric] = max(lower, ends[0]), min(upper, ends[1])
    return limits


def _sign(metric: str) -> int:
    return 1 if METRICS[metric].direction == "minimize" else -1


def _good(values: np.ndarray, violations: np.ndarray) -> list[int]:
    """The draws on the front of what keeps to the constraints; those on the second one too where these are few.

    Where nothing keeps to them, those that miss them least.
    """
    if violations.all():
        return np.argsort(violations, kind="stable")[:5].tolist()
    (kept,) = np.nonzero(violations == 0.0)
    first = non_dominated(values[kept])
    if first.sum() < 5 and not first.all():
        rest = np.flatnonzero(~first)
        first[rest[non_dominated(values[kept][rest])]] = True
    return kept[first].tolist()
