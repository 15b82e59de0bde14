"""All edges that leave one state of a cell: their mixtures computed together."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from moonas.inner.supernets.packs import NARROW, Pack
from moonas.inner.supernets.pooling import PooledNorm
from moonas.inner.supernets.products import MixedNorm
from moonas.inner.supernets.statistics import Statistics
from moonas.inner.supernets.sums import Remaining, Sums
from moonas.networks.dropout import Dropout
from moonas.networks.operations import FactorizedReduce, split_phases
from moonas.study.operations import OPERATIONS

CACHED = 2**17  # numbers in a map, half a MB in float32: edges are packed until their maps would outgrow a core's cache
_LOADS = {f"moonas.networks.operations:{name}": name for name in ("separable", "dilated", "max_pool", "avg_pool", "skip")}


class Kinds(NamedTuple):
    """Columns of a space's operations by how they are computed; `none` is in no list."""

    separable: list[int]
    dilated: list[int]
    pools: list[int]
    skips: list[int]
    others: list[int]


def kinds_of(names: Sequence[str]) -> Kinds:
    kinds: dict[str | None, list[int]] = {}
    for column, name in enumerate(names):
        if name != "none":
            kinds.setdefault(_LOADS.get(OPERATIONS[name].load), []).append(column)
    pools = kinds.get("max_pool", []) + kinds.get("avg_pool", [])
    return Kinds(kinds.get("separable", []), kinds.get("dilated", []), pools, kinds.get("skip", []), kinds.get(None, []))


class Plan(NamedTuple):
    """Which operations of a fan remain, and who computes them. Operations by column, edges by number.

    pools, reductions: (operation, edges) pairs, these being skips at stride 2. light: (edge, operations) pairs, whose maps are
    weighted as they are. packs: (operations, edges, pack). places: in a flat (edges, operations), of the weights that light ones,
    packs and reductions take, in this order, `sizes` at a time.
    """

    pools: list[tuple[int, list[int]]]
    light: list[tuple[int, list[int]]]
    packs: list[tuple[list[int], list[int], Pack]]
    reductions: list[tuple[int, list[int]]]
    places: Tensor
    sizes: list[int]


class Fan:
    """The edges from node `source`. candidates: [edge][operation] modules; edges: (predecessor, node) of each."""

    def __init__(
        self,
        candidates: Sequence[Sequence[Any]],
        names: Sequence[str],
        edges: Sequence[tuple[int, int]],
        source: int,
        channels: int,
        stride: int,
        skip_dropout: Dropout,
    ) -> None:
        self.candidates, self.names, self.source, self.channels, self.stride = candidates, names, source, channels, stride
        self.skip_dropout = skip_dropout
        self.nodes = {number: node for number, (predecessor, node) in enumerate(edges) if predecessor == source}
        self.kinds = kinds_of(names)
        self._plans: dict[Any, Plan] = {}

    def spread(self, x: Tensor, sums: Sums) -> None:
        """Give each target node the terms of its edge."""
        plan, cut, statistics = self._plan(x, sums.remaining), Activated(x, self.stride), sums.statistics
        weights = iter(sums.weights.flatten().index_select(0, plan.places).split(plan.sizes))
        shared = {column: self._pool(x, column, edges, statistics) for column, edges in plan.pools}
        for edge, columns in plan.light:
            terms = [shared[column] if column in shared else self._own(edge, column, x) for column in columns]
            sums.weighted[self.nodes[edge]].append((next(weights), terms))
        for columns, edges, pack in plan.packs:
            apart = cut.dilated if pack.dilated else None
            own = next(weights).view(len(columns), -1)
            plain, phases = pack.mix(cut.active, apart, cut.dilation, cut.phased, own, statistics)
            for collected, mixtures in ((sums.maps, plain), (sums.phases, phases)):
                for edge, mixture in zip(edges, mixtures, strict=False):
                    collected[self.nodes[edge]].append(mixture)
        for column, edges in plan.reductions:
            reductions = [self.candidates[edge][column] for edge in edges]
            for edge, part in zip(edges, self._reduce(cut, reductions, next(weights), statistics), strict=True):
                sums.maps[self.nodes[edge]].append(part)

    def _own(self, edge: int, column: int, x: Tensor) -> Tensor:
        """What an edge shares with no other: an identity after dropout, or a module's value."""
        return self.skip_dropout(x) if column in self.kinds.skips else self.candidates[edge][column](x)

    def _pool(self, x: Tensor, column: int, edges: Sequence[int], statistics: Statistics) -> Tensor:
        entry = OPERATIONS[self.names[column]]
        kind, kernel = "max" if entry.load.endswith("max_pool") else "avg", entry.settings.get("kernel", 3)
        pooled, mean, variance = PooledNorm.apply(x, kind, kernel, self.stride)
        statistics.add([self.candidates[edge][column][1] for edge in edges], mean, variance, pooled.numel() // pooled.shape[1])
        return pooled

    def _reduce(
        self, cut: Activated, reductions: Sequence[FactorizedReduce], weights: Tensor, statistics: Statistics
    ) -> Sequence[Tensor]:
        """Factorized reductions of several edges, as one matrix."""
        per_channel = weights.repeat_interleave(self.channels)
        matrix = torch.cat([_matrix(module) for module in reductions])
        mixed, mean, variance = MixedNorm.apply(per_channel, matrix, False, beside_diagonal(cut.active, cut.even))
        statistics.add([module.norm for module in reductions], mean, variance, mixed.numel() // mixed.shape[1])
        return mixed.split(self.channels, dim=1)

    def _plan(self, x: Tensor, remaining: Remaining) -> Plan:
        """Worked out once for every set of remaining operations and size of a pack."""
        per_pack = len(self.nodes) if x.is_cuda else max(1, CACHED * self.stride**2 // x.numel())
        key = (*(tuple(remaining[edge]) for edge in self.nodes), per_pack, x.device)
        if key not in self._plans:
            self._plans[key] = self._planned(remaining, per_pack, x.device)
        return self._plans[key]

    def _planned(self, remaining: Remaining, per_pack: int, device: torch.device) -> Plan:
        def left(edge: int, columns: Sequence[int]) -> list[int]:
            return [column for column in columns if remaining[edge][column]]

        def edges_with(columns: Sequence[int]) -> list[tuple[int, list[int]]]:
            pairs = ((column, [edge for edge in self.nodes if left(edge, [column])]) for column in columns)
            return [(column, edges) for column, edges in pairs if edges]

        kinds = self.kinds
        as_they_are = [*kinds.pools, *(kinds.skips if self.stride == 1 else []), *kinds.others]
        light = [(edge, columns) for edge in self.nodes if (columns := left(edge, as_they_are))]
        groups: dict[tuple[tuple[int, ...], tuple[int, ...]], list[int]] = {}
        for edge in self.nodes:
            groups.setdefault((tuple(left(edge, kinds.separable)), tuple(left(edge, kinds.dilated))), []).append(edge)
        packs = [
            (
                [*separable, *dilated],
                edges,
                Pack(self._modules(separable, edges), self._modules(dilated, edges), self.channels, self.stride),
            )
            for (separable, dilated), alike in groups.items()
            if separable or dilated
            for edges in packs_of(alike, per_pack, max(1, NARROW // self.channels))
        ]
        reductions = edges_with(kinds.skips) if self.stride == 2 else []
        width = len(self.names)
        places = [[edge * width + column for column in columns] for edge, columns in light]
        places += [[edge * width + column for column in columns for edge in edges] for columns, edges, _ in packs]
        places += [[edge * width + column for edge in edges] for column, edges in reductions]
        flat = torch.tensor([place for part in places for place in part], dtype=torch.long, device=device)
        return Plan(edges_with(kinds.pools), light, packs, reductions, flat, [len(part) for part in places])

    def _modules(self, columns: Sequence[int], edges: Sequence[int]) -> list[list[Any]]:
        return [[self.candidates[edge][column] for edge in edges] for column in columns]


def packs_of(edges: list[int], per_pack: int, per_block: int) -> list[list[int]]:
    """About `per_pack` edges at a time; each pack, but a last one of what is left over, fills blocks of `per_block`."""
    whole, step = len(edges) // per_block * per_block, max(1, per_pack // per_block) * per_block
    packs = [edges[first : min(first + step, whole)] for first in range(0, whole, step)]
    return [*packs, edges[whole:]] if whole < len(edges) else packs


def prepare(module: Any, x: Tensor, statistics: Statistics) -> Tensor:
    """The preprocessing of a cell's input: ReLU, 1x1 convolution (or a factorized reduction) and batch norm."""
    reduces = isinstance(module, FactorizedReduce)
    matrix, norm = (_matrix(module), module.norm) if reduces else (module[1].weight.flatten(1), module[2])
    read = beside_diagonal(x, every_second(x)) if reduces else x
    state, mean, variance = MixedNorm.apply(None, matrix, True, read)
    statistics.add([norm], mean, variance, state.numel() // state.shape[1])
    return state


def _matrix(module: FactorizedReduce) -> Tensor:
    """The matrix (out, 2 * in) of a factorized reduction, which reads `beside_diagonal`."""
    return torch.block_diag(module.straight.weight.flatten(1), module.shifted.weight.flatten(1))


class Activated:
    """A state after ReLU, and what several operations make of it first. Everything is computed at most once.

    dilated: the input of dilated convolutions, which run as plain ones where it is `phased` or `stride` is 2.
    """

    def __init__(self, x: Tensor, stride: int) -> None:
        self.x, self.stride = x, stride
        self.phased = stride == 1 and not x.is_cuda and x.shape[2] % 2 == x.shape[3] % 2 == 0
        self.dilation = 1 if self.phased or stride == 2 else 2

    @cached_property
    def active(self) -> Tensor:
        return functional.relu(self.x)

    @cached_property
    def even(self) -> Tensor:
        return every_second(self.active)

    @cached_property
    def dilated(self) -> Tensor:
        if self.stride == 2:
            return self.even
        return split_phases(self.active) if self.phased else self.active


def every_second(x: Tensor) -> Tensor:
    """(n, c, ceil(h / 2), ceil(w / 2)): every second row and column."""
    return x[:, :, ::2, ::2].contiguous(memory_format=torch.channels_last)


def beside_diagonal(x: Tensor, even: Tensor) -> Tensor:
    """What a factorized reduction reads: the even pixels, and beside them their diagonal neighbours."""
    height, width = x.shape[2:]
    bordered = functional.pad(x, (0, width % 2, 0, height % 2))
    return torch.cat([even, bordered[:, :, 1::2, 1::2]], dim=1)
