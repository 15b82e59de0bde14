"""Random: every architecture within the budget is equally likely. No supernet and no data, the baseline of every search."""

from __future__ import annotations

import json
from functools import lru_cache

import numpy as np

from moonas.architecture import Architecture
from moonas.seeds import canonical_json, stream
from moonas.skeleton import Skeleton
from moonas.spaces.costs import cost_table
from moonas.spaces.sampling import FeasibleSet
from moonas.spaces.space import make_space
from moonas.specs import SearchSpec


class Random:
    """Proposes the architecture that the spec's seed and replicate draw."""

    def __init__(self, spec: SearchSpec) -> None:
        self.spec = spec

    def propose(self) -> Architecture:
        """Costs are those at the final skeleton. Raises InfeasibleError where nothing meets the budget."""
        spec = self.spec
        described = canonical_json([dict(spec.space), spec.budget, spec.predicted])
        feasible = _feasible(described, spec.final or spec.skeleton)
        return feasible.sample(np.random.default_rng(stream(spec.seed, spec.replicate, "random")))


@lru_cache(maxsize=16)
def _feasible(described: str, skeleton: Skeleton) -> FeasibleSet:
    """Counted once for all replicates. described: space, budget and predicted costs, as JSON."""
    settings, budget, predicted = json.loads(described)
    space = make_space(settings)
    return FeasibleSet(space, cost_table(space, skeleton, predicted), budget)
