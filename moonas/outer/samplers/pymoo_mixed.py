"""What pymoo's algorithms are given: the study's parameters as a vector of variables, and only designs that can be tried."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from math import comb, exp, log
from typing import Any

import numpy as np

from moonas.outer.plan import Design
from moonas.outer.samplers.parameters import Parameters
from moonas.seeds import canonical_json
from moonas.study.ranges import Range

TRIES = 1000  # random draws until one is a design that keeps to the constraints, as far as they are known
Vector = dict[str, Any]  # a value for every parameter of any method: the place of a choice, the logarithm of a "log" one


class Variables:
    """Every parameter of any trial, as pymoo varies them. Those that the method of a design does not have count for nothing."""

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters

    @cached_property
    def ranges(self) -> dict[str, Range]:
        return {name: values for name, values in self.parameters.ranges.items() if len(values.values) > 1}

    def pymoo(self) -> dict[str, Any]:
        """pymoo's own description of each."""
        from pymoo.core.variable import Choice, Integer, Real

        def variable(values: Range) -> Any:
            if values.kind == "choice":
                return Choice(options=list(range(len(values.values))))
            low, high = values.values
            if values.kind == "int":
                return Integer(bounds=(low, high))
            return Real(bounds=(log(low), log(high)) if values.kind == "log" else (low, high))

        return {name: variable(values) for name, values in self.ranges.items()}

    def design(self, vector: Vector) -> Design:
        """Raises AssertionError where the vector is no design: `draw` and `Fitting` let none such pass."""
        design = self._try(vector)
        assert design is not None
        return design

    def vector(self, design: Design, carried: Mapping[str, Any]) -> Vector:
        """The inverse of `design`, with what it carried along."""
        chosen = self.parameters.values(design)
        found = {name: _place(values, chosen[name]) for name, values in self.ranges.items() if name in chosen}
        return {**carried, **found}

    def whole(self, design: Design, carried: Mapping[str, Any]) -> Vector:
        """`vector` with a value for every variable: the first there is where the design has none and carried none."""
        return {name: _place(values, values.values[0]) for name, values in self.ranges.items()} | self.vector(design, carried)

    def plain(self, vector: Vector) -> Vector:
        """The same in Python's own numbers."""
        kinds = {"choice": int, "int": int, "log": float, "uniform": float}
        return {name: kinds[values.kind](vector[name]) for name, values in self.ranges.items()}

    def name(self, vector: Vector) -> str | None:
        """A text that vectors of the same design share; None where a vector is none, or is known to miss a constraint."""
        design = self._try(vector)
        if design is None or self.parameters.violation(design):
            return None
        return canonical_json(design.to_params())

    def draw(self, count: int, rng: np.random.Generator) -> list[Vector]:
        """Random vectors that are designs; of those that miss a constraint, whatever is drawn, the one that misses it least."""
        return [self._draw(rng) for _ in range(count)]

    def _draw(self, rng: np.random.Generator) -> Vector:
        vectors = ({name: _drawn(values, rng) for name, values in self.ranges.items()} for _ in range(TRIES))
        return self.parameters.fitting((vector, self._try(vector)) for vector in vectors)

    def _try(self, vector: Vector) -> Design | None:
        return self.parameters.design(lambda name, values: _value(values, vector[name]) if name in vector else values.values[0])


def _value(values: Range, place: Any) -> Any:
    if values.kind == "choice":
        return values.values[int(place)]
    if values.kind == "int":
        return int(place)
    low, high = values.values
    return min(max(exp(place) if values.kind == "log" else float(place), low), high)


def _place(values: Range, value: Any) -> Any:
    if values.kind == "choice":
        return values.values.index(value)
    if values.kind == "log":
        low, high = (log(end) for end in values.values)
        return min(max(log(value), low), high)
    return value


def _drawn(values: Range, rng: np.random.Generator) -> Any:
    if values.kind == "choice":
        return int(rng.integers(len(values.values)))
    low, high = values.values
    if values.kind == "int":
        return int(rng.integers(low, high + 1))
    return float(rng.uniform(log(low), log(high)) if values.kind == "log" else rng.uniform(low, high))


def algorithm_of(
    name: str, settings: Mapping[str, Any], variables: Variables, objectives: int, constrained: bool, generations: int, seed: int
) -> Any:
    """The algorithm called `name`, set up. generations: how many there will be, which `rvea` wants to know.

    Each variable of an offspring mutates with probability one over their number, as is usual: pymoo's mating of mixed variables
    looks at each choice alone and would change half of them.
    """
    from pymoo.config import Config
    from pymoo.core.mixed import MixedVariableMating
    from pymoo.core.population import Population
    from pymoo.core.problem import Problem
    from pymoo.core.variable import Choice, Integer, Real
    from pymoo.operators.mutation.pm import PM
    from pymoo.operators.mutation.rm import ChoiceRandomMutation
    from pymoo.operators.repair.rounding import RoundingRepair
    from pymoo.termination import get_termination

    Config.warnings["not_compiled"] = False
    described = variables.pymoo()
    rate = 1 / max(1, len(described))
    first = Population.new(X=variables.draw(settings["population_size"], np.random.default_rng(seed)))
    algorithm = _made(name, settings, objectives, sampling=first, eliminate_duplicates=_fitting(variables))
    algorithm.mating = MixedVariableMating(
        selection=algorithm.mating.selection,
        mutation={
            Real: PM(prob_var=rate),
            Integer: PM(prob_var=rate, vtype=float, repair=RoundingRepair()),
            Choice: ChoiceRandomMutation(prob_var=rate),
        },
        eliminate_duplicates=algorithm.eliminate_duplicates,
    )
    problem = Problem(vars=described, n_obj=objectives, n_ieq_constr=int(constrained))
    algorithm.setup(problem, seed=seed, termination=get_termination("n_gen", generations))
    return algorithm


def _made(name: str, settings: Mapping[str, Any], objectives: int, **common: Any) -> Any:
    size = settings["population_size"]
    if name == "nsga2":
        from pymoo.algorithms.moo.nsga2 import NSGA2

        return NSGA2(pop_size=size, **common)
    if name == "smsemoa":
        from pymoo.algorithms.moo.sms import SMSEMOA

        return SMSEMOA(pop_size=size, **common)
    if name == "spea2":
        from pymoo.algorithms.moo.spea2 import SPEA2, SPEA2Survival

        return SPEA2(pop_size=size, survival=SPEA2Survival(normalize=True), **common)
    if name == "agemoea2":
        from pymoo.algorithms.moo.age2 import AGEMOEA2

        return AGEMOEA2(pop_size=size, **common)
    directions = _directions(objectives, size)
    if name == "unsga3":
        from pymoo.algorithms.moo.unsga3 import UNSGA3

        return UNSGA3(directions, pop_size=size, selection=_repeatable_tournament(), **common)
    from pymoo.algorithms.moo.rvea import RVEA

    return RVEA(directions, pop_size=size, alpha=settings["alpha"], adapt_freq=settings["adapt_freq"], **common)


def _directions(objectives: int, size: int) -> np.ndarray:
    """Reference directions after Das and Dennis: as many as there are with at most one for each of a population."""
    from pymoo.util.ref_dirs import get_reference_directions

    if objectives == 1:
        return np.ones((1, 1))
    parts = max((p for p in range(1, size) if comb(p + objectives - 1, objectives - 1) <= size), default=1)
    return get_reference_directions("das-dennis", objectives, n_partitions=parts)


def _fitting(variables: Variables) -> Any:
    """What drops offspring that are no design, miss a known constraint, or are there already; pymoo then mates again."""
    from pymoo.core.duplicate import DuplicateElimination

    def name_of(person: Any) -> str | None:
        if not person.has("name"):
            person.set("name", variables.name(person.X))
        return person.get("name")

    class Fitting(DuplicateElimination):
        def _do(self, pop: Any, other: Any, is_duplicate: np.ndarray) -> np.ndarray:
            seen = {None, *(name_of(person) for person in (() if other is None else other))}
            for index, person in enumerate(pop):
                name = name_of(person)
                is_duplicate[index] = name in seen
                if other is None:
                    seen.add(name)
            return is_duplicate

    return Fitting()


def _repeatable_tournament() -> Any:
    """U-NSGA-III's own, but for two that miss the constraints alike: pymoo 0.6 draws between those without a seed."""
    from pymoo.algorithms.moo.unsga3 import comp_by_rank_and_ref_line_dist
    from pymoo.operators.selection.tournament import TournamentSelection

    def compare(pop: Any, pairs: np.ndarray, random_state: np.random.Generator, **others: Any) -> np.ndarray:
        winners = comp_by_rank_and_ref_line_dist(pop, pairs, random_state=random_state, **others)
        drawn = random_state.integers(2, size=len(pairs))
        misses = pop.get("CV")[:, 0][pairs]
        alike = (misses[:, 0] == misses[:, 1]) & (misses[:, 0] > 0)
        winners[alike, 0] = pairs[alike, drawn[alike]]
        return winners

    return TournamentSelection(func_comp=compare)
