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
        self._near: dict[tuple[int, int], np.ndarray] = {}

    @cached_property
    def all(self) -> list[Chosen]:
        """Every architecture within the bounds, in the order of the slots' options; for small spaces."""
        return self._fitting(list(product(*(range(len(slot.slot.options)) for slot in self.slots))))

    def around(self, parents: Sequence[Chosen], count: int, seed: int) -> list[Chosen]:
        """About `count` distinct architectures within the bounds, none of them a parent; fewer where the space has no more.

        Half differ from a parent in one edge or two, a quarter cross two parents, taking each slot from either, and the rest are
        random, uniform within each stretch of the metric. Without parents, all are random.
        """
        rng = np.random.default_rng(seed)
        found: dict[Chosen, None] = {}
        if parents:
            found |= dict.fromkeys(self._neighbour(parents[int(rng.integers(len(parents)))], rng) for _ in range(count // 2))
            found |= dict.fromkeys(self._cross(parents, rng) for _ in range(count // 4))
        known = set(parents)
        kept = dict.fromkeys(self._fitting([chosen for chosen in found if chosen not in known]))
        for index in range(count - len(kept) if self.stretches else 0):
            drawn = tuple(self.stretches[index % len(self.stretches)].draw(rng))
            if drawn not in known:
                kept[drawn] = None
        return list(kept)

    def architecture(self, chosen: Chosen) -> Architecture:
        """The architecture that takes these options."""
        return self.choices.architecture(chosen)

    def chosen(self, architecture: Architecture) -> Chosen | None:
        """The option of every slot that makes up an architecture of the space; None where the slots leave it out."""
        edges = chosen_edges(architecture)
        found = [
            options.get(frozenset(edge for edge in edges[slot.slot.group] if edge[0] in nodes and edge[2] != "none"))
            for slot, (nodes, options) in zip(self.slots, self._options, strict=True)
        ]
        return None if None in found else tuple(option for option in found if option is not None)

    def costs(self, chosen: Sequence[Chosen]) -> np.ndarray:
        """(n, metrics) int64: exact costs, in the order of the table's metrics."""
        options = np.array(chosen, dtype=np.int64).reshape(len(chosen), len(self.slots))
        return sum((slot.costs[column] for slot, column in zip(self.slots, options.T, strict=True)), self.choices.table.fixed)

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
            near = self._next_to(place, changed[place])
            changed[place] = int(rng.choice(near)) if len(near) else changed[place]
        return tuple(changed)

    def _next_to(self, slot: int, option: int) -> np.ndarray:
        """The options of a slot that differ from one in a single edge."""
        if (slot, option) not in self._near:
            places = self.slots[slot].places
            shared = (places[:, :, None] == places[option]).any(axis=2).sum(axis=1)
            self._near[slot, option] = np.flatnonzero(shared == places.shape[1] - 1)
        return self._near[slot, option]

    def _cross(self, parents: Sequence[Chosen], rng: np.random.Generator) -> Chosen:
        one, other = (parents[place] for place in rng.integers(len(parents), size=2))
        return tuple(mine if first else yours for mine, yours, first in zip(one, other, rng.random(len(one)) < 0.5, strict=True))

    def _fitting(self, chosen: list[Chosen]) -> list[Chosen]:
        """Those within the bounds."""
        if not self.bounds or not chosen:
            return chosen
        costs = dict(zip(self.choices.table.metrics, self.costs(chosen).T, strict=True))
        fits = np.ones(len(chosen), dtype=bool)
        for metric, bound in self.bounds.items():
            fits &= (costs[metric] >= bound.get("lower", -np.inf)) & (costs[metric] <= bound.get("upper", np.inf))
        return [one for one, fitting in zip(chosen, fits, strict=True) if fitting]
