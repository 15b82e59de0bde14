"""The choices of a space as arrays: for every slot, what each option costs and how its score is read.

Decoding, sampling and the reachable interval all work on these arrays, so none of them knows a particular space.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from moonas.architecture import Architecture, Edge
from moonas.errors import InfeasibleError
from moonas.spaces.costs import CostTable
from moonas.spaces.space import CellGroup, Slot, Space
from moonas.specs import Bounds

# {group: (edges, operations)}, which add up over edges, or the scores of all options of each slot
Scores = Mapping[str, np.ndarray] | Sequence[np.ndarray | list[float]]


@dataclass(frozen=True)
class SlotArrays:
    """One slot. places: (options, edges of one) flat indices into a group's (edges, operations). costs: (options, metrics)."""

    slot: Slot
    places: np.ndarray
    costs: np.ndarray


class Choices:
    """The slots of `space` with their costs by `table`.

    Raises ValueError where the options of one slot differ in their number of edges.
    """

    def __init__(self, space: Space, table: CostTable) -> None:
        self.space, self.table = space, table
        flat = {name: _flat_places(group) for name, group in space.groups.items()}
        self.slots = []
        for slot in space.slots():
            places = np.array([[flat[slot.group][edge] for edge in option] for option in slot.options])
            costs = table.edges[slot.group].reshape(-1, len(table.metrics))[places].sum(axis=1)
            self.slots.append(SlotArrays(slot, places, costs))

    @property
    def groups(self) -> list[list[SlotArrays]]:
        """The slots by cell group, in order."""
        return [[slot for slot in self.slots if slot.slot.group == name] for name in self.space.groups]

    def scores(self, scores: Scores) -> list[np.ndarray]:
        """The score of every option of every slot: as given, or the sum over its edges."""
        if not isinstance(scores, Mapping):
            return [np.asarray(values, dtype=float) for values in scores]
        return [np.asarray(scores[slot.slot.group], dtype=float).ravel()[slot.places].sum(axis=1) for slot in self.slots]

    def architecture(self, chosen: Sequence[int] | np.ndarray) -> Architecture:
        """The architecture that takes option `chosen[i]` of slot i."""
        return self.space.architecture([slot.slot.options[index] for slot, index in zip(self.slots, chosen, strict=True)])

    def cost(self, chosen: Sequence[int] | np.ndarray) -> dict[str, int]:
        """The exact costs of that architecture, fixed part included."""
        total = self.table.fixed + sum(slot.costs[index] for slot, index in zip(self.slots, chosen, strict=True))
        return dict(zip(self.table.metrics, map(int, total), strict=True))

    def reachable(self) -> dict[str, tuple[int, int]]:
        """The smallest and the largest value each metric can take, all architectures considered."""
        low = self.table.fixed + sum(slot.costs.min(axis=0) for slot in self.slots)
        high = self.table.fixed + sum(slot.costs.max(axis=0) for slot in self.slots)
        return {metric: (int(low[i]), int(high[i])) for i, metric in enumerate(self.table.metrics)}

    def check_bounds(self, bounds: Bounds) -> None:
        """Raise InfeasibleError where one bound alone lies outside the reachable interval, or its ends cross."""
        for metric, (low, high) in self.reachable().items():
            bound = bounds.get(metric, {})
            lower, upper = bound.get("lower", low), bound.get("upper", high)
            if upper < low or lower > high or lower > upper:
                raise InfeasibleError(f"no architecture meets {describe(metric, bound)}: {metric} reaches from {low:,} to {high:,}")


def _flat_places(group: CellGroup) -> dict[Edge, int]:
    """Where (node, predecessor, operation) stands in the flattened (edges, operations)."""
    places = product(group.edges, group.operations)
    return {(node, predecessor, name): place for place, ((predecessor, node), name) in enumerate(places)}


def describe(metric: str, bound: Mapping[str, int]) -> str:
    """A bound as people write it: `params<=30,000`, `params>=10,000` or `10,000<=params<=30,000`."""
    if "lower" not in bound:
        return f"{metric}<={bound['upper']:,}"
    if "upper" not in bound:
        return f"{metric}>={bound['lower']:,}"
    return f"{bound['lower']:,}<={metric}<={bound['upper']:,}"
