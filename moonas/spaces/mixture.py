"""What a search's architecture parameters say after an epoch, as JSON data: what a database keeps for people to look at.

{group: {"operations": (edges, operations), "edges": (edges,)}}: the probability of every operation of an edge, null for one that
the search has dropped, and, where a method learns that too, how much each edge counts. Three decimals.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from moonas.spaces.space import Space

DECIMALS = 3

JsonMixture = dict[str, dict[str, Any]]


class GroupMixture(NamedTuple):
    """operations: (edges, operations), NaN for an operation that was dropped. edges: (edges,), None where all count alike."""

    operations: np.ndarray
    edges: np.ndarray | None


def mixture_to_json(probabilities: Mapping[str, Any], scores: Mapping[str, Any], edges: Mapping[str, Any] | None) -> JsonMixture:
    """The mixture of a method's arrays, of anything that has `tolist`; scores of -inf tell what was dropped."""
    return {
        group: {
            "operations": [
                [None if score == -math.inf else round(value, DECIMALS) for value, score in zip(*rows, strict=True)]
                for rows in zip(matrix.tolist(), scores[group].tolist(), strict=True)
            ],
            **({} if edges is None else {"edges": [round(value, DECIMALS) for value in edges[group].tolist()]}),
        }
        for group, matrix in probabilities.items()
    }


def mixture_from_json(space: Space, data: Mapping[str, Any]) -> dict[str, GroupMixture]:
    """What `mixture_to_json` wrote of a search over `space`, group by group. Raises ValueError for anything else."""
    if list(data) != list(space.groups):
        raise ValueError(f"a mixture of {', '.join(space.groups)} was expected, not of {', '.join(data)}")
    found = {}
    for name, group in space.groups.items():
        edges = data[name].get("edges")
        read = GroupMixture(
            np.array(data[name]["operations"], dtype=float), None if edges is None else np.array(edges, dtype=float)
        )
        if read.operations.shape != group.shape or (read.edges is not None and read.edges.shape != group.shape[:1]):
            raise ValueError(f"the mixture of {name} has another number of edges or operations than the space")
        found[name] = read
    return found
