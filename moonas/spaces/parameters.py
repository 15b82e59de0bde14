"""An architecture as choices by name: the parameters of a trial that names its architecture itself.

Where every edge stays with one operation, an edge is one choice: `cell.0>1` (from node 0 to node 1). Where a node keeps a few of
its edges, which these are is a choice, `normal.3.inputs` with values such as `0+2`, and each has an operation, `normal.3.first` and
`normal.3.second`, in the order of the predecessors.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from itertools import combinations

from moonas.architecture import Architecture
from moonas.spaces.space import CellGroup, Option, Slot, Space, chosen_edges

PLACES = ("first", "second", "third", "fourth")


@lru_cache(maxsize=8)
def _slots(space: Space) -> tuple[Slot, ...]:
    """Kept, for a space lists thousands of options anew each time that it is asked."""
    return tuple(space.slots())


@lru_cache(maxsize=8)
def parameters(space: Space) -> Mapping[str, tuple[str, ...]]:
    """The choices that make up an architecture, each with the values it can take."""
    found: dict[str, tuple[str, ...]] = {}
    for slot in _slots(space):
        group = space.groups[slot.group]
        operations = tuple(group.operations[column] for column in group.selectable)
        if group.kept is None:
            found |= dict.fromkeys(_edges(slot), operations)
        else:
            found[_inputs(slot)] = tuple(map(_joined, combinations(_predecessors(slot, group), group.kept)))
            found |= dict.fromkeys(_places(slot, group.kept), operations)
    return {name: values for name, values in found.items() if len(values) > 1}


def architecture_of(space: Space, choices: Mapping[str, str]) -> Architecture:
    """The architecture that these choices name; what leaves no choice may be absent.

    Raises ArchitectureError where the space does not contain it: not every combination need belong to it.
    """
    architecture = space.architecture([_option(slot, space.groups[slot.group], choices) for slot in _slots(space)])
    space.check(architecture)
    return architecture


def choices_of(space: Space, architecture: Architecture) -> dict[str, str]:
    """The inverse of `architecture_of`: a value for every one of `parameters`."""
    chosen = chosen_edges(architecture)
    found: dict[str, str] = {}
    for slot in _slots(space):
        group = space.groups[slot.group]
        if group.kept is None:
            operations = {(predecessor, node): operation for node, predecessor, operation in chosen[slot.group]}
            found |= {name: operations.get(edge, "none") for name, edge in _edges(slot).items()}
        else:
            own = sorted(edge for edge in chosen[slot.group] if edge[0] == _node(slot))
            found[_inputs(slot)] = _joined([predecessor for _, predecessor, _ in own])
            found |= dict(zip(_places(slot, group.kept), [operation for _, _, operation in own], strict=True))
    return {name: found[name] for name in parameters(space)}


def _option(slot: Slot, group: CellGroup, choices: Mapping[str, str]) -> Option:
    operations = [group.operations[column] for column in group.selectable]
    if group.kept is None:
        return tuple((node, predecessor, choices.get(name, operations[0])) for name, (predecessor, node) in _edges(slot).items())
    only = _joined(_predecessors(slot, group)[: group.kept])
    inputs = map(int, choices.get(_inputs(slot), only).split("+"))
    places = _places(slot, group.kept)
    return tuple((_node(slot), source, choices.get(place, operations[0])) for source, place in zip(inputs, places, strict=True))


def _edges(slot: Slot) -> dict[str, tuple[int, int]]:
    """The edges (predecessor, node) of a slot all of whose edges stay, by the names of their choices."""
    return {f"{slot.group}.{predecessor}>{node}": (predecessor, node) for node, predecessor, _ in slot.options[0]}


def _node(slot: Slot) -> int:
    return slot.options[0][0][0]


def _predecessors(slot: Slot, group: CellGroup) -> list[int]:
    return [predecessor for predecessor, node in group.edges if node == _node(slot)]


def _inputs(slot: Slot) -> str:
    return f"{slot.group}.{_node(slot)}.inputs"


def _places(slot: Slot, kept: int) -> list[str]:
    return [f"{slot.group}.{_node(slot)}.{place}" for place in PLACES[:kept]]


def _joined(predecessors: list[int] | tuple[int, ...]) -> str:
    return "+".join(map(str, predecessors))
