"""What the sampler `moonas` chooses among, and what its model knows of a design: architectures, or designs of every kind."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Protocol

import numpy as np

from moonas.architecture import Architecture
from moonas.outer.plan import Design, Plan, Size
from moonas.outer.samplers.parameters import Parameters
from moonas.outer.surrogate.candidates import Chosen, Generator
from moonas.outer.surrogate.features import Columns, Features, cell_features, parameter_features
from moonas.outer.surrogate.proposal import Candidates, Objectives
from moonas.spaces.parameters import choices_of
from moonas.study.objectives import minimised
from moonas.study.ranges import Range

MADE = 1000  # candidates of a draw where not all are listed
CHANGED = 2  # parameters, at most, in which a neighbour differs
TRIES, DRAWS = 20, 1000  # for a child, and for a random design, until one keeps to the constraints


@dataclass(frozen=True)
class Facts:
    """What the model knows of a design before it runs.

    key: what tells it from all others. known: (m,) objectives, NaN where they are learned. function: as of `Candidates`.
    """

    key: Hashable
    features: Features
    known: Sequence[float]
    function: str


@dataclass(frozen=True)
class Pool:
    """Some candidates as the model takes them. columns: those of their features, behind any that stand there already."""

    keys: Sequence[Hashable]
    columns: Columns
    candidates: Candidates
    _rows: dict[Hashable, np.ndarray] = field(default_factory=dict)

    @classmethod
    def of(cls, facts: Sequence[Facts], columns: Columns, objectives: Objectives) -> Pool:
        candidates, keys = candidates_of(facts, columns, objectives), [fact.key for fact in facts]
        return cls(keys, columns, candidates, dict(zip(keys, candidates.rows, strict=True)))

    def rows(self, facts: Sequence[Facts]) -> np.ndarray:
        """(n, columns): the features of any designs, each of which is looked at once."""
        new = [fact for fact in facts if fact.key not in self._rows]
        self._rows.update(zip([fact.key for fact in new], self.columns.rows([fact.features for fact in new]), strict=True))
        found = self.columns.rows([{}] * len(facts))
        for place, fact in enumerate(facts):
            row = self._rows[fact.key]
            found[place, : len(row)] = row
        return found


def candidates_of(facts: Sequence[Facts], columns: Columns, objectives: Objectives) -> Candidates:
    """As the model takes them."""
    known = np.array([fact.known for fact in facts], dtype=float).reshape(len(facts), len(objectives.known))
    return Candidates(columns.rows([fact.features for fact in facts]), known, [fact.function for fact in facts])


class Source(Protocol):
    """Where candidates come from."""

    @property
    def listed(self) -> Pool | None:
        """All there are, where they are few."""

    def facts(self, design: Design) -> Facts:
        """What is known of a design that was drawn."""

    def made(self, good: Sequence[Design], seed: int) -> list[Facts]:
        """Some candidates: half differ a little from a good design, a quarter cross two good ones, and the rest are random."""

    def design(self, key: Any) -> Design:
        """The candidate with this key."""


def source_of(plan: Plan, objectives: Objectives) -> Source:
    """The candidates of a study."""
    names = [method.name for method in plan.config.methods]
    return Architectures(plan, objectives) if names == ["direct"] else Designs(plan, objectives)


class Architectures:
    """The candidates of a study whose trials do nothing but name an architecture: (size, option of every slot)."""

    def __init__(self, plan: Plan, objectives: Objectives) -> None:
        self.plan, self.objectives, self.ranges = plan, objectives, Parameters(plan).ranges
        bounds = plan.bounds({})
        self.generators = {size: Generator(plan.space, plan.table(size), bounds) for size in plan.sizes}
        self._listed: dict[Hashable, Facts] = {}

    @cached_property
    def listed(self) -> Pool | None:
        generators = self.generators.items()
        if len(generators) > 1 or not all(generator.few for _, generator in generators):
            return None
        found = [facts for size, generator in generators for facts in self._all_facts(size, generator.all)]
        self._listed = {facts.key: facts for facts in found}
        return Pool.of(found, Columns(), self.objectives)

    def facts(self, design: Design) -> Facts:
        size, architecture = (design.channels, design.cells), self.plan.architecture(design)
        chosen = self.generators[size].chosen(architecture)
        if (size, chosen) in self._listed:
            return self._listed[size, chosen]
        return self._facts(size, architecture, design.key if chosen is None else (size, chosen), self.plan.known_costs(design))

    def made(self, good: Sequence[Design], seed: int) -> list[Facts]:
        """See `Generator.around`; as many of every size."""
        found = []
        for size, generator in self.generators.items():
            parents = [generator.chosen(self.plan.architecture(design)) for design in good]
            expressed = [parent for parent in parents if parent is not None]
            found += self._all_facts(size, generator.around(expressed, MADE // len(self.generators), seed))
        return found

    def design(self, key: tuple[Size, Chosen]) -> Design:
        size, chosen = key
        choices = choices_of(self.plan.space, self.generators[size].architecture(chosen))
        return Design(self.plan.config.methods[0].label, {}, *size, {}, choices)

    def _all_facts(self, size: Size, found: Sequence[Chosen]) -> list[Facts]:
        generator = self.generators[size]
        metrics = generator.choices.table.metrics
        return [
            self._facts(size, generator.architecture(chosen), (size, chosen), dict(zip(metrics, costs, strict=True)))
            for chosen, costs in zip(found, generator.costs(found).tolist(), strict=True)
        ]

    def _facts(self, size: Size, architecture: Architecture, key: Hashable, costs: Mapping[str, int]) -> Facts:
        features = {**self._size_features(size), **cell_features(architecture)}
        return Facts(key, features, known_values(self.plan, self.objectives, costs), self._function(size, architecture))

    def _size_features(self, size: Size) -> Features:
        final = self.plan.config.final
        places = {"channels": final.channels.index(size[0]), "cells": final.cells.index(size[1])}
        return parameter_features(places, self.ranges)

    def _function(self, size: Size, architecture: Architecture) -> str:
        """What tells designs apart that cannot have the same accuracy; the same function at another size has another."""
        if not self.objectives.of_function:
            return ""
        return f"{self.plan.space.function_key(architecture)} {size[0]} {size[1]}"


class Designs:
    """The candidates of any other study: methods, sizes, budgets and open settings. Their keys are designs' own."""

    listed = None

    def __init__(self, plan: Plan, objectives: Objectives) -> None:
        self.plan, self.objectives, self.parameters = plan, objectives, Parameters(plan)
        self._made: dict[str, Design] = {}  # at the last draw

    def facts(self, design: Design) -> Facts:
        values = {name: value for name, value in self.parameters.values(design).items() if name not in design.choices}
        features = parameter_features(values, self.parameters.ranges)
        if design.choices:
            features |= cell_features(self.plan.architecture(design))
        costs = self.plan.known_costs(design) if self.objectives.known.any() else {}
        return Facts(design.key, features, known_values(self.plan, self.objectives, costs), "")

    def made(self, good: Sequence[Design], seed: int) -> list[Facts]:
        rng = np.random.default_rng(seed)
        found = []
        for number in range(MADE):
            parents = [good[place] for place in rng.integers(len(good), size=2)] if good else []
            child = self._child(parents, number % 4 == 2, rng) if parents and number % 4 < 3 else None
            found.append(child or random_design(self.parameters, rng))
        self._made = {design.key: design for design in found}
        return [self.facts(design) for design in self._made.values()]

    def design(self, key: str) -> Design:
        return self._made[key]

    def _child(self, parents: Sequence[Design], crosses: bool, rng: np.random.Generator) -> Design | None:
        """Two parents crossed, parameter by parameter, or the first with a few parameters drawn anew; None where nothing fits."""
        one, other = (self.parameters.values(parent) for parent in parents)
        for _ in range(TRIES):
            names = list(one)
            drawn = (
                set(rng.choice(names, size=min(len(names), int(rng.integers(1, CHANGED + 1))), replace=False)) if names else set()
            )
            mixed = {name: other[name] if name in other and rng.random() < 0.5 else one[name] for name in names}
            known = mixed if crosses else {name: value for name, value in one.items() if name not in drawn}
            design = self.parameters.design(partial(_given, known, rng))
            if design is not None and not self.parameters.violation(design):
                return design
        return None


def known_values(plan: Plan, objectives: Objectives, costs: Mapping[str, float]) -> list[float]:
    """(m,): the objectives that are known, minimised, and NaN for those that are learned."""
    found = zip(plan.config.objectives, objectives.known, strict=True)
    return [minimised([objective], costs)[0] if known else np.nan for objective, known in found]


def random_design(parameters: Parameters, rng: np.random.Generator) -> Design:
    """Of those that miss a constraint, whatever is drawn, the one that misses it least."""
    designs = (parameters.design(partial(_given, {}, rng)) for _ in range(DRAWS))
    return parameters.fitting((design, design) for design in designs if design is not None)


def _given(known: Mapping[str, Any], rng: np.random.Generator, name: str, values: Range) -> Any:
    """The known value of a parameter where it has one, else one drawn from its range."""
    if name in known:
        return known[name]
    if values.kind == "choice":
        return values.values[int(rng.integers(len(values.values)))]
    low, high = values.values
    if values.kind == "int":
        return int(rng.integers(low, high + 1))
    if values.kind == "log":
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))
    return float(rng.uniform(low, high))
