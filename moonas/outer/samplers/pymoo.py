"""pymoo's algorithms by name: generations of draws, replayed from the first.

Blank and Deb 2020, doi:10.1109/ACCESS.2020.2990567. Survival and mating are pymoo's own; see `pymoo_mixed.py` for what they are
given: variables of several kinds, and only designs that can be tried.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from math import ceil
from typing import Any

import numpy as np

from moonas.outer.plan import Design, Plan
from moonas.outer.samplers.parameters import Parameters
from moonas.outer.samplers.pymoo_mixed import Variables, algorithm_of
from moonas.outer.samplers.sampler import Draw, History
from moonas.seeds import stream
from moonas.study.objectives import best_value, worst_value


class PymooSampler:
    """Hands out a generation draw by draw, and closes it when all of its draws are finished.

    While some of the last generation still run, there is nothing to hand out: what is asked does not depend on who finishes first.
    A sampler made anew replays the study's generations from the first, with the parameters that were really tried. Stored with a
    draw: its generation, and the parameters that its method does not have but its offspring may inherit (`carried`).
    """

    def __init__(self, plan: Plan) -> None:
        self.plan, self.variables = plan, Variables(Parameters(plan))
        self.size = plan.config.sampler.settings.population_size
        self.generation = 0
        self._offspring: list[dict[str, Any]] = []

    def propose(self, history: History, index: int) -> tuple[Design, Mapping[str, Any]] | None:
        """The next of the present generation; None while the one before is not finished."""
        while index >= self.size * (self.generation + 1):
            first = self.size * self.generation
            draws = [history.draw(number) for number in range(first, first + self.size)]
            if any(draw.state == "RUNNING" for draw in draws):
                return None
            self._close(draws)
        if not self._offspring:
            self._offspring = self._ask()
        vector = self._offspring[index - self.size * self.generation]
        design = self.variables.design(vector)
        carried = {name: value for name, value in vector.items() if name not in self.variables.vector(design, {})}
        return design, {"generation": self.generation, **({"carried": carried} if carried else {})}

    @cached_property
    def _algorithm(self) -> Any:
        config = self.plan.config
        settings = asdict(config.sampler.settings)
        generations = ceil((config.trials or 1) / config.replicates / self.size)
        seed = stream(config.seed, "ask") % 2**32
        name = config.sampler.name.removeprefix("pymoo:")
        return algorithm_of(name, settings, self.variables, len(config.objectives), bool(config.constraints), generations, seed)

    def _ask(self) -> list[dict[str, Any]]:
        """The vectors of the next generation."""
        self._algorithm.random_state = self._rng("ask")
        infills = self._algorithm.ask()
        found = [] if infills is None else [self.variables.plain(vector) for vector in infills.get("X")]
        missing = self.size - len(found)  # where mating finds nothing new, as in a space that is used up
        return found + self.variables.draw(missing, self._algorithm.random_state)

    def _close(self, draws: Sequence[Draw]) -> None:
        """Tell the algorithm of a whole generation."""
        from pymoo.core.population import Population

        if not self._algorithm.is_initialized and not self._offspring:
            self._ask()  # sets the algorithm up; what later generations were asked, a replay need not work out again
        vectors = [self.variables.whole(draw.design, draw.attributes.get("carried", {})) for draw in draws]
        values, violations = self._objectives(draws), self._violations(draws)
        told = Population.new(X=vectors)
        for person, found, violation in zip(told, values, violations, strict=True):
            person.set("F", found)
            person.set("G", np.array([violation] if self.plan.config.constraints else []))
            person.set("H", np.array([]))
            person.evaluated.update(("F", "G", "H"))
        self._algorithm.random_state = self._rng("tell")
        with np.errstate(divide="ignore", invalid="ignore"):  # what some algorithms do where all values of an objective are equal
            self._algorithm.tell(infills=told)
        self.generation, self._offspring = self.generation + 1, []

    def _rng(self, purpose: str) -> np.random.Generator:
        """One for each purpose in each generation."""
        return np.random.default_rng(stream(self.plan.config.seed, purpose, self.generation))

    def _objectives(self, draws: Sequence[Draw]) -> np.ndarray:
        """Those of each draw, as places between the best (0) and the worst (1) that count; of a failed one, as bad as any."""
        scaled = [self._scaled(draw.values) for draw in draws if draw.values is not None]
        worst = np.max([np.ones(len(self.plan.config.objectives)), *scaled], axis=0)
        return np.array([worst if draw.values is None else self._scaled(draw.values) for draw in draws])

    def _violations(self, draws: Sequence[Draw]) -> list[float]:
        """How far each draw misses the constraints; a failed one by more than any."""
        known = [draw.violation for draw in draws if draw.violation is not None]
        return [max(known, default=0.0) + 1.0 if draw.violation is None else draw.violation for draw in draws]

    def _scaled(self, values: Sequence[float]) -> np.ndarray:
        objectives, spans = self.plan.config.objectives, self.plan.spans
        best = np.array([best_value(objective, spans) for objective in objectives])
        worst = np.array([worst_value(objective, spans) or 0.0 for objective in objectives])
        return (np.array(values) - best) / (worst - best)
