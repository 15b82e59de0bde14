"""Some of the edges that leave one state: their convolutions computed side by side, by one autograd function."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from moonas.inner.supernets import depthwise
from moonas.inner.supernets.depthwise import Window, add_copies, copies
from moonas.inner.supernets.folding import FoldedNorms
from moonas.inner.supernets.matrices import Blocks, centre, cut, maps, rows
from moonas.inner.supernets.products import FormedNorms
from moonas.inner.supernets.statistics import Statistics
from moonas.networks.precision import explicit

NARROW = 16  # edges of fewer channels share matrix products, so that these are about so wide
aten = torch.ops.aten


class Pack:
    """Separable and dilated convolutions, the same ones on each of some edges that leave a state: [operation][edge] modules."""

    def __init__(self, separable: Sequence[Sequence[Any]], dilated: Sequence[Sequence[Any]], channels: int, stride: int) -> None:
        self.separable, self.dilated, self.channels = len(separable), len(dilated), channels
        self.edges = len((*separable, *dilated)[0])
        self.block = min(self.edges, max(1, NARROW // channels))
        self.first = Layer(_triples(separable, 1), stride, self.block) if separable else None
        self.last = Layer(_triples(separable, 5) + _triples(dilated, 1), 1, self.block)

    def mix(
        self, x: Tensor, apart: Tensor | None, dilation: int, phased: bool, weights: Tensor, statistics: Statistics
    ) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        """The mixtures of the edges, two maps for each if `phased`: of the separable and of the dilated convolutions.

        x: the state after ReLU. apart: what the dilated ones read instead; dilation: what is left of theirs.
        weights: (operations, edges), the separable ones first.
        """
        parameters = [weight for layer in (self.first, self.last) if layer for weight in layer.parameters()]
        middle = self.separable if phased else self.separable + self.dilated
        groups = [group for group in (range(middle), range(middle, len(weights))) if group]
        mixtures = PackedMixtures.apply(self, groups, dilation, statistics, weights, x, apart, *parameters)
        return (mixtures[: self.edges], mixtures[self.edges :]) if middle else ((), mixtures)

    def scales(self, weights: Tensor) -> Tensor:
        """(operations, edges) weights as (operations, blocks, channels of a block)."""
        return weights.repeat_interleave(self.channels, dim=1).unflatten(1, (-1, self.block * self.channels))

    def join(self, edges: Sequence[Tensor]) -> list[Tensor]:
        """The rows of blocks of the edges' maps."""
        own = [rows(x) for x in edges]
        if self.block == 1:
            return own
        return [torch.cat(own[first : first + self.block], dim=1) for first in range(0, len(own), self.block)]

    def split(self, blocks: Sequence[Tensor], like: Tensor) -> list[Tensor]:
        """The inverse of `join`."""
        return [part for block in blocks for part in maps(block, like).split(self.channels, dim=1)]


def _triples(modules: Sequence[Sequence[Any]], place: int) -> list[list[Any]]:
    """[operation][edge] (depthwise convolution, pointwise convolution, batch norm), from `place` on."""
    return [[tuple(module[place + part] for part in range(3)) for module in edges] for edges in modules]


class Pass(NamedTuple):
    """What a layer's forward pass leaves for the backward pass: k kernels, batch norms, and the k maps that these read.

    Folded norms read the depthwise results, centred; formed ones, where no weight gets a gradient, the pointwise ones.
    """

    kernels: Sequence[Tensor]
    results: Sequence[Tensor]
    norms: FoldedNorms | FormedNorms

    @property
    def rows(self) -> list[Tensor]:
        return [rows(result) for result in self.results]

    def flat(self) -> list[Tensor]:
        return [*self.kernels, *self.results, *self.norms]

    @classmethod
    def restored(cls, kind: type[FoldedNorms | FormedNorms], flat: Sequence[Tensor]) -> Pass:
        k = len(flat[-1])
        return cls(flat[:k], flat[k : 2 * k], kind(*flat[2 * k :]))


class Layer:
    """k operations on each edge of a pack, each a depthwise and a pointwise convolution and a batch norm.

    triples: [operation][edge] of these modules. block: edges that share a matrix product.
    """

    def __init__(self, triples: Sequence[Sequence[Any]], stride: int, block: int) -> None:
        self.triples, self.stride, self.block = triples, stride, block
        self.edges = len(triples[0])

    def parameters(self) -> list[Tensor]:
        """The depthwise weights, edge by edge for each operation, then the pointwise ones."""
        return [triple[part].weight for part in (0, 1) for edges in self.triples for triple in edges]

    def forward(
        self, parameters: tuple[Tensor, ...], inputs: Sequence[Tensor], dilations: Sequence[int], statistics: Statistics
    ) -> Pass:
        """inputs: one wide map for each operation; those without their own read the last."""
        half = len(parameters) // 2
        kind = inputs[-1].dtype
        kernels = [torch.cat(parameters[first : first + self.edges]).to(kind) for first in range(0, half, self.edges)]
        results = []
        for number, (kernel, dilation) in enumerate(zip(kernels, dilations, strict=True)):
            window = Window(kernel.shape[3], self.stride, dilation)
            result = depthwise.convolve(inputs[min(number, len(inputs) - 1)], kernel, window)
            results.append(result.contiguous(memory_format=torch.channels_last))
        flat = [rows(result) for result in results]
        matrices = self._diagonal(torch.stack(parameters[half:]).flatten(2))
        means = matrices @ torch.stack([centre(d) for d in flat]).view(*matrices.shape[:2], -1, 1)
        norms: FoldedNorms | FormedNorms
        if any(parameter.requires_grad for parameter in parameters):
            norms = FoldedNorms.of(matrices, flat)
        else:
            flat = FormedNorms.form(matrices, flat)
            norms = FormedNorms.of(matrices, flat)
            results = [maps(y, result) for y, result in zip(flat, results, strict=True)]
        owners = [norm for edges in self.triples for _, _, norm in edges]
        statistics.add(owners, means, norms.variance, len(flat[0]))
        return Pass(kernels, results, norms)

    def backward(
        self,
        done: Pass,
        scales: Tensor | None,
        outer: Blocks,
        inputs: Sequence[Tensor],
        dilations: Sequence[int],
        needs_inputs: Sequence[bool],
        needs_parameters: bool,
    ) -> tuple[Tensor, list[Tensor | None], list[Tensor]]:
        """Gradients of scales, inputs and parameters. outer: see `FoldedNorms.gradients`."""
        deeper = needs_parameters or any(needs_inputs)
        d_scales, d_matrices, d_rows = done.norms.gradients(scales, done.rows, outer, needs_parameters, deeper)
        d_inputs: list[Tensor | None] = [None] * len(inputs)
        d_parameters: list[Tensor] = []
        for number, (d_row, result, kernel) in enumerate(zip(d_rows, done.results, done.kernels, strict=False)):
            place, window = min(number, len(inputs) - 1), Window(kernel.shape[3], self.stride, dilations[number])
            g, x, before = maps(d_row, result), inputs[place], d_inputs[place]
            if needs_inputs[place]:
                d_input = depthwise.input_gradient(g, x, kernel, window)
                d_inputs[place] = d_input if before is None else before.add_(d_input)
            if needs_parameters:
                d_kernel = depthwise.weight_gradient(g, x, kernel, window).to(d_scales.dtype)
                d_parameters += d_kernel.split(len(d_kernel) // self.edges)
        if d_matrices is not None:
            d_parameters += self._own(d_matrices)[..., None, None].unbind()
        return d_scales, d_inputs, d_parameters

    def _diagonal(self, own: Tensor) -> Tensor:
        """The matrices (k * edges, out, in) of single edges as those of blocks, (k, blocks, block * out, block * in)."""
        own = own.unflatten(0, (len(self.triples), -1, self.block))
        if self.block == 1:
            return own[:, :, 0]
        matrices = own.new_zeros(*own.shape[:4], self.block, own.shape[4])
        matrices.diagonal(dim1=2, dim2=4).copy_(own.movedim(2, 4))
        return matrices.flatten(4).flatten(2, 3)

    def _own(self, matrices: Tensor) -> Tensor:
        """The inverse of `_diagonal`."""
        if self.block > 1:
            matrices = matrices.unflatten(3, (self.block, -1)).unflatten(2, (self.block, -1)).diagonal(dim1=2, dim2=4).movedim(4, 2)
        return matrices.reshape(-1, *matrices.shape[-2:])


class PackedMixtures(Function):
    """See `Pack.mix`. Called with groups of operations that are summed together. Cannot be differentiated twice."""

    @staticmethod
    @explicit
    def forward(
        ctx: Any,
        pack: Pack,
        groups: Sequence[range],
        dilation: int,
        statistics: Statistics,
        weights: Tensor,
        x: Tensor,
        apart: Tensor | None,
        *parameters: Tensor,
    ) -> tuple[Tensor, ...]:
        mids: list[Tensor] = []
        saved: list[Tensor] = []
        split = 0
        if pack.first is not None:
            split = 2 * pack.separable * pack.edges
            first = pack.first.forward(parameters[:split], [copies(x, pack.edges)], [1] * pack.separable, statistics)
            mids = [maps(mid, first.results[0]) for mid in first.norms.relu(first.rows)]
            saved = first.flat()
        inputs = mids if apart is None else [*mids, copies(apart, pack.edges)]
        dilations = [1] * pack.separable + [dilation] * pack.dilated
        last = pack.last.forward(parameters[split:], inputs, dilations, statistics)
        totals, like = last.norms.mix(pack.scales(weights), last.rows, groups), last.results
        ctx.pack, ctx.groups, ctx.dilations, ctx.kind = pack, groups, dilations, type(last.norms)
        ctx.save_for_backward(weights, x, apart, *mids, *last.flat(), *saved)
        each = len(totals) // len(groups)
        return tuple(
            part
            for number, group in enumerate(groups)
            for part in pack.split(totals[number * each : (number + 1) * each], like[group[0]])
        )

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        pack = ctx.pack
        weights, x, apart, *saved = ctx.saved_tensors
        _, _, _, _, _, needs_x, needs_apart, *needs = ctx.needs_input_grad
        needs_parameters = any(needs)
        mids, saved = saved[: pack.separable], saved[pack.separable :]
        size = 2 * len(weights) + len(ctx.kind._fields)
        inputs = mids if apart is None else [*mids, copies(apart, pack.edges)]
        needs_inputs = [needs_x or needs_parameters] * len(mids) + ([] if apart is None else [needs_apart])
        joined = [pack.join(gradients[first : first + pack.edges]) for first in range(0, len(gradients), pack.edges)]
        outer = [blocks for group, blocks in zip(ctx.groups, joined, strict=True) for _ in group]
        d_scales, d_inputs, d_parameters = pack.last.backward(
            Pass.restored(ctx.kind, saved[:size]),
            pack.scales(weights),
            outer,
            inputs,
            ctx.dilations,
            needs_inputs,
            needs_parameters,
        )
        d_x = None
        if any(needs_inputs[: len(mids)]):
            first, hidden = Pass.restored(ctx.kind, saved[size:]), []
            for d_mid, mid in zip(d_inputs, mids, strict=False):
                hidden.append(rows(aten.threshold_backward(d_mid, mid, 0)))
                centre(hidden[-1])
            _, (d_x,), d_first = pack.first.backward(
                first,
                None,
                cut(hidden, first.norms.matrices.shape[1]),
                [copies(x, pack.edges)],
                [1] * pack.separable,
                [needs_x],
                needs_parameters,
            )
            d_parameters = d_first + d_parameters
        d_weights = d_scales.view(*weights.shape, pack.channels).sum(2)
        d_apart = add_copies(d_inputs[-1], pack.edges) if needs_apart else None
        d_x = None if d_x is None else add_copies(d_x, pack.edges)
        return *[None] * 4, d_weights, d_x, d_apart, *(d_parameters or [None] * len(needs))
