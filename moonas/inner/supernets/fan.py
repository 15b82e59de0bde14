"""All edges that leave one state of a cell: their mixtures computed together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from moonas.inner.supernets.depthwise import Depthwise, Window
from moonas.inner.supernets.folding import MixedNorms, PooledNorm
from moonas.networks.dropout import Dropout
from moonas.networks.operations import FactorizedReduce, join_phases, split_phases
from moonas.study.operations import OPERATIONS

NARROW = 16  # below so many channels, the edges that leave a state are convolved as one wide map
Packs = list[list[int]]  # numbers of edges
_LOADS = {f"moonas.networks.operations:{name}": name for name in ("separable", "dilated", "max_pool", "avg_pool", "skip")}


class Statistics:
    """Means and variances of a step's batch norms, to go into their running statistics all at once."""

    def __init__(self) -> None:
        self.norms: list[Any] = []
        self.means: list[Tensor] = []
        self.variances: list[Tensor] = []

    def add(self, norms: Sequence[nn.BatchNorm2d], mean: Tensor, variance: Tensor, count: int) -> None:
        """mean, variance (biased): one row per norm, however shaped. count: what they were taken over."""
        if norms[0].track_running_stats:
            channels = norms[0].num_features
            self.norms += norms
            self.means += mean.reshape(-1, channels).expand(len(norms), channels).unbind()
            self.variances += (variance * (count / (count - 1))).reshape(-1, channels).expand(len(norms), channels).unbind()

    @torch.no_grad()
    def update(self) -> None:
        """As torch does; every norm has the same momentum."""
        if self.norms:
            momentum = self.norms[0].momentum
            torch._foreach_lerp_([norm.running_mean for norm in self.norms], self.means, momentum)
            torch._foreach_lerp_([norm.running_var for norm in self.norms], self.variances, momentum)
            torch._foreach_add_([norm.num_batches_tracked for norm in self.norms], 1)


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
        self.candidates, self.source, self.stride, self.skip_dropout = candidates, source, stride, skip_dropout
        self.nodes = {number: node for number, (predecessor, node) in enumerate(edges) if predecessor == source}
        self.kinds = kinds_of(names)
        pools = {column: OPERATIONS[names[column]] for column in self.kinds.pools}
        self.pools = {
            column: ("max" if pool.load.endswith("max_pool") else "avg", pool.settings.get("kernel", 3))
            for column, pool in pools.items()
        }
        numbers = list(self.nodes)
        self.packs = [numbers] if channels < NARROW else [[number] for number in numbers]
        self.channels = channels

    def spread(
        self,
        x: Tensor,
        weights: Tensor,
        sums: dict[int, list[Tensor]],
        light: dict[int, list[tuple[Tensor, list[Tensor]]]],
        statistics: Statistics,
    ) -> None:
        """Give each target node the terms of its edge.

        weights: (edges, operations). sums: {node: maps to be added}. light: {node: (weights (b,), b maps) to be added}.
        """
        columns: list[int] = []
        shared: list[Tensor] = []
        for column, (kind, kernel) in self.pools.items():
            pooled, mean, variance = PooledNorm.apply(x, kind, kernel, self.stride)
            statistics.add(
                [self.candidates[number][column][1] for number in self.nodes], mean, variance, pooled.numel() // pooled.shape[1]
            )
            columns, shared = [*columns, column], [*shared, pooled]
        skips = self.kinds.skips if self.stride == 1 else []
        columns += skips + self.kinds.others
        for number, node in self.nodes.items():
            if columns:
                identities = [self.skip_dropout(x) for _ in skips]
                others = [self.candidates[number][column](x) for column in self.kinds.others]
                light[node].append((torch.stack([weights[number, column] for column in columns]), shared + identities + others))
        for packs, mixtures in self._convolutions(x, weights, statistics):
            for pack, mixture in zip(packs, mixtures, strict=True):
                for number, part in zip(pack, mixture.split(self.channels, dim=1), strict=True):
                    sums[self.nodes[number]].append(part)

    def _convolutions(self, x: Tensor, weights: Tensor, statistics: Statistics) -> Iterator[tuple[Packs, Sequence[Tensor]]]:
        """Packs of edges, and for each pack the mixture of some of its convolutions, (n, edges * c, h, w)."""
        separable, dilated, skips = self.kinds.separable, self.kinds.dilated, self.kinds.skips if self.stride == 2 else []
        if not (separable or dilated or skips):
            return
        cut = Activated(functional.relu(x), self.stride)
        inputs: dict[int, Sequence[Tensor]] = {}
        if separable:
            halves = self._depthwise([cut.x], separable, 1, self.stride)
            matrices = self._pointwise(separable, 2).flatten(0, 1)[:, None]
            *halves, mean, variance = MixedNorms.apply(torch.ones_like(matrices[..., 0]), matrices, True, *halves)
            self._count(statistics, self.packs, separable, 3, mean, variance, halves[0])
            inputs |= self._by_column(separable, self._depthwise(halves, separable, -3))
        if dilated:
            apart = self._by_column(dilated, self._depthwise([cut.dilated], dilated, -3, 1, cut.dilation))
            if cut.phased:
                mixed = self._mix(self.packs, apart, self._pointwise(dilated, -2), weights, statistics)
                yield self.packs, [join_phases(x, len(cut.x)) for x in mixed]
            else:
                inputs |= apart
        if inputs:
            yield self.packs, self._mix(self.packs, inputs, self._pointwise(list(inputs), -2), weights, statistics)
        for column in skips:
            yield [list(self.nodes)], self._reduce(cut.diagonal, column, weights, statistics)

    def _reduce(self, diagonal: Tensor, column: int, weights: Tensor, statistics: Statistics) -> Sequence[Tensor]:
        """Factorized reductions, those of all edges as one matrix."""
        matrices = [_reduction(self.candidates[number][column]) for number in self.nodes]
        return self._mix([list(self.nodes)], {column: [diagonal]}, torch.cat(matrices)[None, None], weights, statistics)

    def _mix(
        self, packs: Packs, inputs: dict[int, Sequence[Tensor]], matrices: Tensor, weights: Tensor, statistics: Statistics
    ) -> Sequence[Tensor]:
        """For each pack the weighted sum over columns of 1x1 convolution and batch norm. inputs: {column: a map for each pack}."""
        columns = list(inputs)
        chosen = torch.stack([weights[pack][:, columns].t() for pack in packs])  # (packs, columns, edges)
        per_channel = chosen.repeat_interleave(self.channels, dim=2)
        ordered = [inputs[column][place] for place in range(len(packs)) for column in columns]
        *mixed, mean, variance = MixedNorms.apply(per_channel, matrices, False, *ordered)
        self._count(statistics, packs, columns, -1, mean, variance, mixed[0])
        return mixed

    def _depthwise(
        self, inputs: Sequence[Tensor], columns: list[int], place: int, stride: int = 1, dilation: int = 1
    ) -> Sequence[Tensor]:
        """A map for each pack and column. inputs: as many, or one for all. place: of the convolution in its operation."""
        weights = []
        for pack in self.packs:
            for column in columns:
                kernels = [self.candidates[number][column][place].weight for number in pack]
                weights.append(kernels[0] if len(pack) == 1 else torch.cat(kernels))
        windows = [Window(weight.shape[3], stride, dilation) for weight in weights]
        return Depthwise.apply(windows, *inputs, *weights)

    def _by_column(self, columns: list[int], maps: Sequence[Tensor]) -> dict[int, Sequence[Tensor]]:
        return {column: maps[place :: len(columns)] for place, column in enumerate(columns)}

    def _pointwise(self, columns: list[int], place: int) -> Tensor:
        """The matrices (packs, columns, edges * c, edges * c) of 1x1 convolutions, those of a pack along a diagonal."""
        matrices = []
        for pack in self.packs:
            for column in columns:
                own = [self.candidates[number][column][place].weight.flatten(1) for number in pack]
                matrices.append(own[0] if len(pack) == 1 else torch.block_diag(*own))
        return torch.stack(matrices).unflatten(0, (len(self.packs), len(columns)))

    def _count(
        self, statistics: Statistics, packs: Packs, columns: list[int], place: int, mean: Tensor, variance: Tensor, example: Tensor
    ) -> None:
        modules = [self.candidates[number][column] for pack in packs for column in columns for number in pack]
        norms = [module.norm if isinstance(module, FactorizedReduce) else module[place] for module in modules]
        statistics.add(norms, mean, variance, example.numel() // example.shape[1])


def prepare(module: Any, x: Tensor, statistics: Statistics) -> Tensor:
    """The preprocessing of a cell's input: ReLU, 1x1 convolution (or a factorized reduction) and batch norm."""
    cut = Activated(functional.relu(x), 1)
    reduces = isinstance(module, FactorizedReduce)
    matrix, norm = (_reduction(module), module.norm) if reduces else (module[1].weight.flatten(1), module[2])
    weight = matrix.new_ones(1, 1, len(matrix))
    state, mean, variance = MixedNorms.apply(weight, matrix[None, None], False, cut.diagonal if reduces else cut.x)
    statistics.add([norm], mean, variance, state.numel() // state.shape[1])
    return state


def _reduction(module: FactorizedReduce) -> Tensor:
    """The matrix (out, 2 * in) of a factorized reduction, which reads `Activated.diagonal`."""
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
    def even(self) -> Tensor:
        """(n, c, h / 2, w / 2): every second row and column."""
        return self.x[:, :, ::2, ::2].contiguous(memory_format=torch.channels_last)

    @cached_property
    def dilated(self) -> Tensor:
        if self.stride == 2:
            return self.even
        return split_phases(self.x) if self.phased else self.x

    @cached_property
    def diagonal(self) -> Tensor:
        """What a factorized reduction reads: the even pixels, and beside them their diagonal neighbours."""
        height, width = self.x.shape[2:]
        bordered = functional.pad(self.x, (0, width % 2, 0, height % 2))
        return torch.cat([self.even, bordered[:, :, 1::2, 1::2]], dim=1)
