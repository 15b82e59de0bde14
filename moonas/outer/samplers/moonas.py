"""Our own sampler: what is known before any training is used exactly, and only the rest is learned.

The model stands in `moonas.outer.surrogate`; here a study becomes candidates for it. Where every trial names its architecture in a
small space, the candidates are all architectures at all sizes. Else they are made anew for each draw: in half of them a few
parameters of a good design are changed, a quarter cross two good ones, and the rest are random.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from moonas.architecture import Architecture
from moonas.front.dominance import non_dominated
from moonas.outer.plan import Design, Plan, Size
from moonas.outer.samplers.parameters import Parameters
from moonas.outer.samplers.sampler import Draw, History
from moonas.outer.surrogate.candidates import Generator
from moonas.outer.surrogate.features import Columns, Features, cell_features, parameter_features
from moonas.outer.surrogate.proposal import Candidates, Objectives, Observations, Proposer
from moonas.seeds import canonical_json, stream
from moonas.spaces.parameters import choices_of
from moonas.study.objectives import best_value, minimised, worst_value
from moonas.study.ranges import Range

MADE = 1000  # candidates of a draw where not all are listed
CHANGED = 2  # parameters, at most, in which a neighbour differs
TRIES, DRAWS = 20, 1000  # for a child, and for a random design, until one keeps to the constraints


@dataclass(frozen=True)
class Pool:
    """Some designs as the model takes them. keys: what tells each from all others."""

    designs: Sequence[Design]
    keys: Sequence[str]
    columns: Columns
    candidates: Candidates


class MoonasSampler:
    """See `moonas.outer.surrogate.proposal`: the largest expected gain of hypervolume, exact in what is known.

    Draws that failed or were pruned are not repeated. Of constraints only those on costs that are known beforehand are looked at.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan, self.parameters = plan, Parameters(plan)
        objectives = plan.config.objectives
        methods = plan.config.methods
        named = all(method.named for method in methods)
        known = [named and o.metric in plan.spans and bool(plan.space.groups) for o in objectives]
        learned = [o.metric for o, is_known in zip(objectives, known, strict=True) if not is_known]
        self.objectives = Objectives(
            known=np.array(known),
            ideal=np.array([best_value(o, plan.spans) for o in objectives]),
            reference=np.array([worst_value(o, plan.spans) or 0.0 for o in objectives]),
            of_function=learned == ["accuracy"] and all(method.name == "direct" for method in methods),
        )
        self.proposer = Proposer(self.objectives, Columns())
        self._features: dict[str, Features] = {}

    def propose(self, history: History, index: int) -> tuple[Design, Mapping[str, Any]]:
        """The design of the largest expected gain; a random one where every candidate is taken."""
        draws = [history.draw(number) for number in range(index)]
        seed = stream(self.plan.config.seed, "ask", index)
        pool = self._all or self._made(draws, seed)
        self.proposer.columns = pool.columns
        done = [draw for draw in draws if draw.values is not None]
        waiting = [draw.design for draw in draws if draw.values is None and draw.state in ("WAITING", "RUNNING")]
        drawn = {self._key(draw.design) for draw in draws}
        taken = np.array([key in drawn for key in pool.keys], dtype=bool)
        repeats = np.full(len(done), float(self.plan.config.replicates))
        values = np.array([draw.values for draw in done], dtype=float).reshape(-1, len(self.objectives.known))
        rows, functions = self._rows(pool.columns, [draw.design for draw in done]), [self._function(d.design) for d in done]
        observed = Observations(rows, values, functions, repeats)
        pending = self._candidates(pool.columns, waiting)
        chosen = self.proposer.propose(observed, pending, pool.candidates, taken, seed)
        return (self._random(np.random.default_rng(seed)) if chosen is None else pool.designs[chosen]), {}

    # Candidates

    @cached_property
    def _generators(self) -> dict[Size, Generator]:
        """Of a study whose trials do nothing but name architectures; empty for any other."""
        (method, *others) = self.plan.config.methods
        if others or method.name != "direct":
            return {}
        bounds = self.plan.bounds({})
        return {size: Generator(self.plan.space, self.plan.table(size), bounds) for size in self.plan.sizes}

    @cached_property
    def _all(self) -> Pool | None:
        """Every design, where trials do nothing but name an architecture of a small space."""
        generators = self._generators
        if not generators or len(generators) > 1 or not all(generator.few for generator in generators.values()):
            return None
        found = [self._naming(size, one) for size, generator in generators.items() for one in generator.all]
        return self._pool(found, Columns())

    def _made(self, draws: Sequence[Draw], seed: int) -> Pool:
        """Candidates from what the draws so far have shown."""
        done = [draw for draw in draws if draw.values is not None]
        columns = Columns()
        self._rows(columns, [draw.design for draw in done])  # those observed come first: what they have is what is learned
        good = [done[place].design for place in _good(done)]
        found = self._architectures(good, seed) if self._generators else self._designs(good, np.random.default_rng(seed))
        return self._pool(list({self._key(design): design for design in found}.values()), columns)

    def _architectures(self, good: Sequence[Design], seed: int) -> list[Design]:
        """Around the good ones of every size."""
        found = []
        for size, generator in self._generators.items():
            parents = [self.plan.architecture(design) for design in good]
            found += [self._naming(size, one) for one in generator.around(parents, MADE // len(self._generators), seed)]
        return found

    def _naming(self, size: Size, architecture: Architecture) -> Design:
        return Design(self.plan.config.methods[0].label, {}, *size, {}, choices_of(self.plan.space, architecture))

    def _designs(self, good: Sequence[Design], rng: np.random.Generator) -> list[Design]:
        found = []
        for number in range(MADE):
            parents = [good[place] for place in rng.integers(len(good), size=2)] if good else []
            child = self._child(parents, number % 4 == 2, rng) if parents and number % 4 < 3 else None
            found.append(child or self._random(rng))
        return found

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

    def _random(self, rng: np.random.Generator) -> Design:
        """Of those that miss a constraint, whatever is drawn, the one that misses it least."""
        designs = (self.parameters.design(partial(_given, {}, rng)) for _ in range(DRAWS))
        return self.parameters.fitting((design, design) for design in designs if design is not None)

    # What the model sees

    def _pool(self, designs: list[Design], columns: Columns) -> Pool:
        candidates = self._candidates(columns, designs)
        return Pool(designs, [self._key(design) for design in designs], columns, candidates)

    def _candidates(self, columns: Columns, designs: Sequence[Design]) -> Candidates:
        known = np.full((len(designs), len(self.objectives.known)), np.nan)
        if self.objectives.known.any():
            objectives = [o for o, is_known in zip(self.plan.config.objectives, self.objectives.known, strict=True) if is_known]
            for row, design in enumerate(designs):
                known[row, self.objectives.known] = minimised(objectives, self.plan.known_costs(design))
        return Candidates(self._rows(columns, designs), known, [self._function(design) for design in designs])

    def _rows(self, columns: Columns, designs: Sequence[Design]) -> np.ndarray:
        return columns.rows([self._described(design) for design in designs])

    def _described(self, design: Design) -> Features:
        """The parameters of a design, and instead of its choices the ways through the cells that they make up."""
        key = self._key(design)
        if key not in self._features:
            values = {name: value for name, value in self.parameters.values(design).items() if name not in design.choices}
            cells = cell_features(self.plan.architecture(design)) if design.choices else {}
            self._features[key] = {**parameter_features(values, self.parameters.ranges), **cells}
        return self._features[key]

    def _function(self, design: Design) -> str:
        """What tells designs apart that cannot have the same accuracy; the same function at another size has another."""
        if not self.objectives.of_function:
            return self._key(design)
        return f"{self.plan.space.function_key(self.plan.architecture(design))} {design.channels} {design.cells}"

    def _key(self, design: Design) -> str:
        return canonical_json(design.to_params())


def _good(done: Sequence[Draw]) -> list[int]:
    """The draws on the front; those on the second one too where these are few."""
    if not done:
        return []
    values = np.array([draw.values for draw in done], dtype=float)
    first = non_dominated(values)
    if first.sum() < 5 and not first.all():
        rest = np.flatnonzero(~first)
        first[rest[non_dominated(values[rest])]] = True
    return np.flatnonzero(first).tolist()


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
