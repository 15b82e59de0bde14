"""A distribution over cells: independent categorical choices, whose logits are learned.

Where a node keeps two edges, each of its two branches draws an input and, whatever the input, an operation other than `none`. Where
every edge stays, each edge draws an operation. Two branches may draw the same input.
Source: Casale et al. 2019, arXiv:1902.05116. That the operation does not depend on the input is our own reading of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from moonas.architecture import Architecture, Edge
from moonas.errors import UsageError
from moonas.spaces.space import CellGroup, Space, assemble


@dataclass(frozen=True)
class Branch:
    """One edge that is drawn: into `node` of a group. inputs: its predecessors, one where there is no choice."""

    group: str
    node: int
    inputs: tuple[int, ...]
    operations: tuple[str, ...]


def branches_of(name: str, group: CellGroup) -> list[Branch]:
    operations = tuple(group.operations[column] for column in group.selectable)
    if group.kept is None:
        return [Branch(name, node, (predecessor,), operations) for predecessor, node in group.edges]
    inputs = {node: tuple(predecessor for predecessor, end in group.edges if end == node) for node in group.nodes}
    return [Branch(name, node, inputs[node], operations) for node in group.nodes for _ in range(group.kept)]


class CellDistribution:
    """logits: (factors, widest), a leaf; a row past its factor's own width counts for nothing.

    Every branch with a choice of inputs has a factor for them, and every branch one for its operations. At first all are uniform.
    """

    def __init__(self, space: Space, device: str | torch.device = "cpu") -> None:
        self.space = space
        self.branches = [branch for name, group in space.groups.items() for branch in branches_of(name, group)]
        widths: list[int] = []
        self.places: list[tuple[int | None, int]] = []  # of each branch: the rows of its input and operation factors
        for branch in self.branches:
            inputs = None
            if len(branch.inputs) > 1:
                inputs = len(widths)
                widths.append(len(branch.inputs))
            self.places.append((inputs, len(widths)))
            widths.append(len(branch.operations))
        columns = torch.arange(max(widths))
        self.open = (columns < torch.tensor(widths)[:, None]).to(device)
        self.logits = torch.zeros(len(widths), max(widths), device=device, requires_grad=True)

    def probabilities(self) -> Tensor:
        """(factors, widest), detached; 0 past a factor's width."""
        return self.logits.detach().masked_fill(~self.open, -torch.inf).softmax(dim=1)

    def entropies(self) -> Tensor:
        """(factors,) in nats."""
        return torch.special.entr(self.probabilities()).sum(dim=1)

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """(count, factors) choices. generator: on the CPU, so that every device draws the same."""
        return torch.multinomial(self.probabilities().cpu(), count, replacement=True, generator=generator).t()

    def gradient(self, choices: Tensor, weights: Tensor) -> Tensor:
        """sum over k of weights[k] * gradient of log p(choices[k]) by the logits. choices: (count, factors); weights: (count,)."""
        weights = weights.to(self.logits)
        drawn = torch.zeros_like(self.logits).scatter_add_(
            1, choices.t().to(self.logits.device), weights.expand(len(self.logits), -1)
        )
        return drawn - weights.sum() * self.probabilities()

    def cell(self, choice: Sequence[int]) -> Architecture:
        """What one row of `draw` stands for: an edge for each branch, two alike where they drew alike."""
        groups: dict[str, list[Edge]] = {name: [] for name in self.space.groups}
        for branch, (inputs, operations) in zip(self.branches, self.places, strict=True):
            predecessor = branch.inputs[0 if inputs is None else choice[inputs]]
            groups[branch.group].append((branch.node, predecessor, branch.operations[choice[operations]]))
        return assemble(self.space, groups)

    def edges(self) -> list[np.ndarray]:
        """Of each branch, the probability of every (edge, operation) of its group: (edges, operations), adding up to 1."""
        probabilities, found = self.probabilities().double().cpu().numpy(), []
        for branch, (inputs, operations) in zip(self.branches, self.places, strict=True):
            group = self.space.groups[branch.group]
            rows = [group.edges.index((predecessor, branch.node)) for predecessor in branch.inputs]
            of_inputs = np.ones(1) if inputs is None else probabilities[inputs, : len(rows)]
            table = np.zeros(group.shape)
            table[np.ix_(rows, group.selectable)] = np.outer(of_inputs, probabilities[operations, : len(branch.operations)])
            found.append(table)
        return found

    def expected_edges(self) -> dict[str, np.ndarray]:
        """{group: (edges, operations)}: how often each is drawn, in a cell, on average."""
        total = {name: np.zeros(group.shape) for name, group in self.space.groups.items()}
        for branch, table in zip(self.branches, self.edges(), strict=True):
            total[branch.group] += table
        return total

    def slot_scores(self) -> list[np.ndarray]:
        """The log-probability of every option of every slot of the space, over the orders in which its branches may draw it."""
        by_place: dict[tuple[str, int], list[np.ndarray]] = {}
        for branch, table in zip(self.branches, self.edges(), strict=True):
            by_place.setdefault((branch.group, branch.node), []).append(table)
        found = []
        for slot in self.space.slots():
            group = self.space.groups[slot.group]
            places = np.array([[group.place(edge) for edge in option] for option in slot.options])
            tables = by_place[slot.group, slot.options[0][0][0]]
            if len(tables) == 1:
                found.append(np.log(tables[0][tuple(places[:, 0].T)]))
                continue
            first, second = (tables[0][tuple(places[:, turn].T)] for turn in (0, 1))
            other_first, other_second = (tables[1][tuple(places[:, turn].T)] for turn in (0, 1))
            found.append(np.log(first * other_second + second * other_first))
        return found

    def to_json(self) -> dict[str, Any]:
        """{"space": the branches that it is over, "logits": a list for each factor}."""
        rows = [row[mask].tolist() for row, mask in zip(self.logits.detach().cpu(), self.open.cpu(), strict=True)]
        return {"branches": _described(self.branches), "logits": rows}

    @torch.no_grad()
    def start_from(self, data: Mapping[str, Any], uniform: float = 0.0) -> None:
        """Take over what `to_json` wrote, mixed with a share of the uniform distribution. Raises UsageError for other cells."""
        if data["branches"] != _described(self.branches):
            raise UsageError("warm_start: the distribution is over other cells: nodes, operations and groups must be the same")
        for row, mask, values in zip(self.logits, self.open, data["logits"], strict=True):
            row[mask] = torch.tensor(values, device=row.device)
        if uniform:
            even = self.open / self.open.sum(dim=1, keepdim=True)
            mixed = (1 - uniform) * self.probabilities() + uniform * even
            self.logits.copy_(mixed.log().masked_fill(~self.open, 0.0))


def _described(branches: Sequence[Branch]) -> list[list[Any]]:
    return [[branch.group, branch.node, list(branch.inputs), list(branch.operations)] for branch in branches]
