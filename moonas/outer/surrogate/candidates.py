"""Candidates of a search over architectures: all of a small space, else neighbours of good ones, crosses and random others."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise, product
from math import prod

import numpy as np

from moonas.architecture import Architecture, Edge
from moonas.errors import InfeasibleError
from moonas.spaces.choices import Choices
from moonas.spaces.costs import CostTable
from moonas.spaces.sampling import FeasibleSet
from moonas.spaces.space import Space, chosen_edges
from moonas.specs import Bounds

FEW = 20_000  # architectures that are all listed
STRETCHES = 6  # equal parts of the metric's span, from each of which equally many random ones come
CHANGES = 2  # edges, at most, in which a neighbour differs

Chosen = tuple[int, ...]  # the option of every slot


class Generator:
    """Makes candidates of one space within bounds; keep it, for what it counts and lists is counted and listed once.

    metric: the cost over which random architectures are spread. Architectures in which nothing leads from input to output are
    left out wherever the space's slots leave them out.
    """

    def __init__(self, space: Space, table: CostTable, bounds: Bounds | None = None, metric: str = "params") -> None:
        self.choices, self.bounds, self.metric = Choices(space, table), dict(bounds or {}), metric
        self.slots = self.choices.slots
        self.few = prod(len(slot.slot.options) for slot in self.slots) <= FEW

    @cached_property
    def all(self) -> list[Architecture]:
        """Every architecture within the bounds, in the order of the slots' options; for small spaces."""
        every = product(*(range(len(slot.slot.options)) for slot in self.slots))
        return [self.choices.architecture(chosen) for chosen in every if self._fits(chosen)]

    def around(self, parents: Sequence[Architecture], count: int, seed: int) -> list[Architecture]:
        """About `count` distinct architectures within the bounds, none of them a parent; fewer where the space has no more.

        Half differ from a parent in one edge or two, a quarter cross two parents, taking each slot from either, and the rest are
        random, uniform within each stretch of the metric. Without parents, all are random.
        """
        rng = np.random.default_rng(seed)
        known = [self.chosen(parent) for parent in parents]
        found: dict[Chosen, None] = {}
        if known:
            found |= dict.fromkeys(self._neighbour(known[rng.integers(len(known))], rng) for _ in range(count // 2))
            found |= dict.fromkeys(self._cross(known, rng) for _ in range(count // 4))
        kept = [chosen for chosen in found if chosen not in known and self._fits(chosen)]
        architectures = dict.fromkeys(self.choices.architecture(chosen) for chosen in kept)
        for index in range(count - len(kept) if self.stretches else 0):
            drawn = self.stretches[index % len(self.stretches)].sample(rng)
            if drawn not in parents:
                architectures[drawn] = None
        return list(architectures)

    def chosen(self, architecture: Architecture) -> Chosen:
        """The option of every slot that makes up `architecture`, which the space must contain."""
        edges = chosen_edges(architecture)
        return tuple(
            options[frozenset(edge for edge in edges[slot.slot.group] if edge[0] in nodes and edge[2] != "none")]
            for slot, (nodes, options) in zip(self.slots, self._options, strict=True)
        )

    @cached_property
    def stretches(self) -> list[FeasibleSet]:
        """The feasible architectures of each stretch that has any."""
        low, high = self.choices.reachable()[self.metric]
        bound = self.bounds.get(self.metric, {})
        ends = np.linspace(bound.get("lower", low) - 1, bound.get("upper", high), STRETCHES + 1).astype(int)
        found = []
        for below, upper in pairwise(ends):
            try:
                within = {**self.bounds, self.metric: {"lower": int(below) + 1, "upper": int(upper)}}
                found.append(FeasibleSet(self.choices.space, self.choices.table, within))
            except InfeasibleError:
                continue
        return found

    @cached_property
    def _options(self) -> list[tuple[set[int], dict[frozenset[Edge], int]]]:
        """Of every slot the nodes that it decides on, and where each set of edges stands among its options."""
        return [
            (
                {node for option in slot.slot.options for node, _, _ in option},
                {frozenset(edge for edge in option if edge[2] != "none"): place for place, option in enumerate(slot.slot.options)},
            )
            for slot in self.slots
        ]

    def _neighbour(self, chosen: Chosen, rng: np.random.Generator) -> Chosen:
        changed = list(chosen)
        for _ in range(rng.integers(1, CHANGES + 1)):
            place = int(rng.integers(len(changed)))
            places = self.slots[place].places
            shared = (places[:, :, None] == places[changed[place]]).any(axis=2).sum(axis=1)
            (near,) = np.nonzero(shared == places.shape[1] - 1)
            changed[place] = int(rng.choice(near)) if len(near) else changed[place]
        return tuple(changed)

    def _cross(self, parents: Sequence[Chosen], rng: np.random.Generator) -> Chosen:
        one, other = (parents[place] for place in rng.integers(len(parents), size=2))
        return tuple(mine if first else yours for mine, yours, first in zip(one, other, rng.random(len(one)) < 0.5, strict=True))

    def _fits(self, chosen: Chosen) -> bool:
        costs = self.choices.cost(chosen)
        return all(
            bound.get("lower", costs[metric]) <= costs[metric] <= bound.get("upper", costs[metric])
            for metric, bound in self.bounds.items()
        )
