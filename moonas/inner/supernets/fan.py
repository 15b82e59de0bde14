"""All edges that leave one state of a cell: their mixtures computed together."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from moonas.inner.supernets.depthwise import Depthwise, Window
from moonas.inner.supernets.folding import MixedNorms, NormRelu, PooledNorm
from moonas.networks.operations import FactorizedReduce, join_phases, split_phases
from moonas.study.operations import OPERATIONS

NARROW = 16  # below so many channels, the edges that leave a state are convolved as one wide map
_LOADS = {f"moonas.networks.operations:{name}": name for name in ("separable", "dilated", "max_pool", "avg_pool", "skip")}


class Statistics:
    """Means and variances of a step's batch norms, to go into their running statistics all at once."""

    def __init__(self) -> None:
        self.norms: list[nn.BatchNorm2d] = []
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
        candidates: Sequence[Sequence[nn.Module]],
        names: Sequence[str],
        edges: Sequence[tuple[int, int]],
        source: int,
        channels: int,
        stride: int,
    ) -> None:
        self.candidates, self.source, self.stride = candidates, source, stride
        self.nodes = {number: node for number, (predecessor, node) in enumerate(edges) if predecessor == source}
        self.kinds = kinds_of(names)
        self.pools = {
            column: "max" if OPERATIONS[names[column]].load.endswith("max_pool") else "avg" for column in self.kinds.pools
        }
        self.heavy = bool(self.kinds.separable or self.kinds.dilated or (stride == 2 and self.kinds.skips))
        numbers = list(self.nodes)
        self.packs = [numbers] if channels < NARROW else [[number] for number in numbers]

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
        columns, shared = [], []
        for column, kind in self.pools.items():
            pooled, mean, variance = PooledNorm.apply(x, kind, self.stride)
            statistics.add(
                [self.candidates[number][column][1] for number in self.nodes], mean, variance, pooled.numel() // pooled.shape[1]
            )
            columns, shared = [*columns, column], [*shared, pooled]
        if self.stride == 1:
            columns, shared = columns + self.kinds.skips, shared + [x] * len(self.kinds.skips)
        columns += self.kinds.others
        for number, node in self.nodes.items():
            if columns:
                others = [self.candidates[number][column](x) for column in self.kinds.others]
                light[node].append((torch.stack([weights[number, column] for column in columns]), shared + others))
        if self.heavy:
            activated = Activated(functional.relu(x), self.stride)
            for pack in self.packs:
                mixed = self._convolutions(activated, pack, weights, statistics)
                for number, part in zip(pack, mixed.split(x.shape[1], dim=1), strict=True):
                    sums[self.nodes[number]].append(part)

    def _convolutions(self, activated: Activated, pack: list[int], weights: Tensor, statistics: Statistics) -> Tensor:
        """The mixture of the pack's convolutions, side by side: (n, len(pack) * c, h, w)."""
        plain = {column: self._first_half(activated.x, pack, column, statistics) for column in self.kinds.separable}
        cut = {column: self._depthwise(activated.dilated, pack, column, -3, 1, activated.dilation) for column in self.kinds.dilated}
        if not activated.phased:
            plain, cut = plain | cut, {}
        mixtures = []
        if plain:
            mixtures.append(self._mix(plain, pack, weights, statistics))
        if cut:
            mixtures.append(join_phases(self._mix(cut, pack, weights, statistics), len(activated.x)))
        if self.stride == 2 and self.kinds.skips:
            for column in self.kinds.skips:
                mixtures.append(self._reduce(activated.diagonal, pack, column, weights, statistics))
        return sum(mixtures[1:], mixtures[0])

    def _first_half(self, x: Tensor, pack: list[int], column: int, statistics: Statistics) -> Tensor:
        """A separable convolution up to its second depthwise one."""
        d = self._depthwise(x, pack, column, 1, self.stride)
        z, mean, variance = NormRelu.apply(d, self._pointwise(pack, column, 2))
        statistics.add([self.candidates[number][column][3] for number in pack], mean, variance, d.numel() // d.shape[1])
        return self._depthwise(z, pack, column, -3)

    def _mix(self, inputs: dict[int, Tensor], pack: list[int], weights: Tensor, statistics: Statistics) -> Tensor:
        """The weighted sum over columns of the last pointwise convolution and batch norm of each."""
        matrices = torch.stack([self._pointwise(pack, column, -2) for column in inputs])
        return self._mixed_norms(inputs, matrices, pack, weights, statistics)

    def _reduce(self, diagonal: Tensor, pack: list[int], column: int, weights: Tensor, statistics: Statistics) -> Tensor:
        modules = [self.candidates[number][column] for number in pack]
        matrices = [torch.block_diag(module.straight.weight.flatten(1), module.shifted.weight.flatten(1)) for module in modules]
        return self._mixed_norms({column: diagonal}, torch.cat(matrices)[None], pack, weights, statistics)

    def _mixed_norms(
        self, inputs: dict[int, Tensor], matrices: Tensor, pack: list[int], weights: Tensor, statistics: Statistics
    ) -> Tensor:
        columns, first = list(inputs), next(iter(inputs.values()))
        per_channel = weights[pack][:, columns].t().repeat_interleave(matrices.shape[1] // len(pack), dim=1)
        mixed, mean, variance = MixedNorms.apply(per_channel, matrices, *inputs.values())
        modules = [self.candidates[number][column] for column in columns for number in pack]
        norms = [module.norm if isinstance(module, FactorizedReduce) else module[-1] for module in modules]
        statistics.add(norms, mean, variance, first.numel() // first.shape[1])
        return mixed

    def _depthwise(self, x: Tensor, pack: list[int], column: int, place: int, stride: int = 1, dilation: int = 1) -> Tensor:
        kernels = [self.candidates[number][column][place].weight for number in pack]
        weight = kernels[0] if len(pack) == 1 else torch.cat(kernels)
        return Depthwise.apply(x, weight, Window(weight.shape[3], stride, dilation))

    def _pointwise(self, pack: list[int], column: int, place: int) -> Tensor:
        matrices = [self.candidates[number][column][place].weight.flatten(1) for number in pack]
        return matrices[0] if len(pack) == 1 else torch.block_diag(*matrices)


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
