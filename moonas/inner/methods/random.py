"""Random: every architecture within the budget is equally likely. No supernet and no data, the baseline of every search."""

from __future__ import annotations

import numpy as np

from moonas.architecture import Architecture
from moonas.seeds import stream
from moonas.spaces.costs import cost_table
from moonas.spaces.sampling import sample_uniform
from moonas.spaces.space import make_space
from moonas.specs import SearchSpec


class Random:
    """Proposes the architecture that the spec's seed and replicate draw."""

    def __init__(self, spec: SearchSpec) -> None:
        self.spec = spec

    def propose(self) -> Architecture:
        """Costs are those at the final skeleton. Raises InfeasibleError where nothing meets the budget."""
        spec = self.spec
        space = make_space(spec.space)
        table = cost_table(space, spec.final or spec.skeleton, spec.predicted)
        return sample_uniform(space, table, spec.budget, np.random.default_rng(stream(spec.seed, spec.replicate, "random")))
