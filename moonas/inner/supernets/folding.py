"""A 1x1 convolution and its batch norm as one matrix.

Let d be the M = images x pixels rows of a map, less their mean mu. Batch norm of y = W (d + mu) needs y's mean W mu and variance
only, and the latter follows from the rows' covariance S = d^T d / M: v = diag(W S W^T). So y is never formed: with
s = 1 / sqrt(v + eps) the normalised output is d (s W)^T, and a weighted sum of several is a sum of matrix products. Backwards, with
the gradient g of the sum, less its mean, which has no effect as no output has a mean:

    G = g^T d / M;  q = s rowsum(W G);  gradient of the weight w: M q, per channel
    of W: M w s (G - s q W S);  of d: g (w s W) - d W^T diag(w s^2 q) W

Our own derivation. Maps are (n, c, h, w), channels last; where they are bfloat16, means, covariances and all that follows from them
are float32 and only the products with maps are not. None of these functions can be differentiated twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from moonas.networks.precision import explicit, wide

EPS = 1e-5  # of every batch norm here: torch's default
CANCELLED = 1 / 32  # where a variance is so small a part of what it is the sum of, it is computed directly
CHUNK = 512  # moments are sums of sums over at most about so many rows, which lose less to rounding than one
aten = torch.ops.aten
Blocks = Sequence[Sequence[Tensor]]  # k times b matrices of rows


def rows(x: Tensor) -> Tensor:
    """(n, c, h, w) as (n * h * w, c)."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def maps(matrix: Tensor, like: Tensor) -> Tensor:
    """The inverse of `rows`: (n * h * w, c) as (n, c, h, w), with the n, h and w of `like`."""
    count, _, height, width = like.shape
    return matrix.view(count, height, width, -1).permute(0, 3, 1, 2)


def centre(matrix: Tensor) -> Tensor:
    """Take from rows their mean, in place, and return that."""
    mean = _mean(matrix)
    matrix.sub_(mean)
    return mean


def centred(matrix: Tensor) -> Tensor:
    """Rows less their mean."""
    return (matrix - _mean(matrix)).to(matrix.dtype)


def _mean(matrix: Tensor) -> Tensor:
    return matrix.mean(0, dtype=wide(matrix.dtype))


def cut(matrices: Sequence[Tensor], count: int) -> Blocks:
    """Views of matrices as `count` blocks of columns each."""
    return [(matrix,) if count == 1 else matrix.chunk(count, dim=1) for matrix in matrices]


class Norms(NamedTuple):
    """Batch norms of k times b products W d. Inputs and outputs are k matrices: the rows (M, c) of b blocks side by side.

    matrices: W, (k, b, out, in). products: W S, (k, b, out, in). variance: (k, b, out).
    """

    matrices: Tensor
    products: Tensor
    variance: Tensor

    @classmethod
    def of(cls, matrices: Tensor, inputs: Sequence[Tensor]) -> Norms:
        """inputs: centred."""
        blocks = cut(inputs, matrices.shape[1])
        covariance = _moments([(d, d) for column in blocks for d in column]).unflatten(0, matrices.shape[:2])
        products = matrices @ covariance
        variance = (products * matrices).sum(3)
        bound = (matrices.square() @ covariance.diagonal(dim1=2, dim2=3)[..., None])[..., 0]
        cancelled = variance < CANCELLED * bound
        if cancelled.any():
            for k, b in cancelled.any(2).nonzero().tolist():
                d = blocks[k][b]
                y = d.to(matrices.dtype) @ matrices[k, b].t()
                products[k, b], variance[k, b] = _moments([(y, d)])[0], y.var(0, correction=0)
        return cls(matrices, products, variance)

    def relu(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """ReLU of every norm: k matrices."""
        folded, results = self._folded(None, inputs[0].dtype), []
        for matrices, column in zip(folded, cut(inputs, len(folded[0])), strict=True):
            results.append(column[0].new_empty(len(column[0]), self.variance[0].numel()))
            for d, matrix, out in zip(column, matrices, *cut(results[-1:], len(column)), strict=True):
                torch.mm(d, matrix.t(), out=out)
            results[-1].relu_()
        return results

    def mix(self, weight: Tensor, inputs: Sequence[Tensor], groups: Sequence[range]) -> list[Tensor]:
        """For each group of maps, and each block, the sum of weight * norm: matrices (M, out). weight: (k, b, out)."""
        folded = self._folded(weight, inputs[0].dtype)
        columns, totals = cut(inputs, len(folded[0])), []
        for group in groups:
            for b in range(len(folded[0])):
                totals.append(columns[group[0]][b] @ folded[group[0]][b].t())
                for k in group[1:]:
                    totals[-1].addmm_(columns[k][b], folded[k][b].t())
        return totals

    def gradients(
        self, weight: Tensor | None, inputs: Sequence[Tensor], outer: Blocks, with_matrices: bool, with_inputs: bool
    ) -> tuple[Tensor, Tensor | None, list[Tensor]]:
        """Gradients of weight (k, b, out), of W, and of the k inputs, the last two where wanted.

        weight: None for 1. outer: k times b gradients of the weighted norms, centred.
        """
        columns, count = cut(inputs, self.matrices.shape[1]), len(inputs[0])
        pairs = [pair for own in zip(outer, columns, strict=True) for pair in zip(*own, strict=True)]
        correlation = _moments(pairs).view_as(self.matrices)
        s = (self.variance + EPS).rsqrt()
        q = s * (self.matrices * correlation).sum(3)
        sq = (s * q)[..., None]
        d_matrices, d_inputs = None, []
        if with_inputs:
            kind, scaled = inputs[0].dtype, s if weight is None else weight * s
            folded = self._folded(weight, kind)
            centring = _each((self.matrices.transpose(2, 3) @ ((scaled[..., None] * sq) * self.matrices)).to(kind))
            for k, column in enumerate(columns):
                d_inputs.append(torch.empty_like(inputs[k]))
                for b, out in enumerate(cut(d_inputs[-1:], len(column))[0]):
                    torch.mm(outer[k][b], folded[k][b], out=out).addmm_(column[b], centring[k][b], alpha=-1)
        if with_matrices:
            scaled = s if weight is None else weight * s
            d_matrices = correlation.addcmul_(sq, self.products, value=-1).mul_((count * scaled)[..., None])
        return count * q, d_matrices, d_inputs

    def _folded(self, weight: Tensor | None, kind: torch.dtype) -> list[tuple[Tensor, ...]]:
        """w s W of each norm."""
        s = (self.variance + EPS).rsqrt()
        return _each(((s if weight is None else weight * s)[..., None] * self.matrices).to(kind))


def _moments(pairs: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """For each pair of rows (M, p) and (M, q) the mean (p, q) of their products."""
    (count, p), q = pairs[0][0].shape, pairs[0][1].shape[1]
    chunks, kind = gcd(count, 1 << (count // CHUNK).bit_length()), wide(pairs[0][0].dtype)
    sums = pairs[0][0].new_empty(len(pairs), chunks, p, q, dtype=kind)
    for (a, b), out in zip(pairs, sums.unbind(), strict=True):
        torch.bmm(a.to(kind).view(chunks, -1, p).transpose(1, 2), b.to(kind).view(chunks, -1, q), out=out)
    return sums.sum(1).div_(count)


def _each(x: Tensor) -> list[tuple[Tensor, ...]]:
    """The slices of the first two dimensions."""
    return [column.unbind() for column in x.unbind()]


class MixedNorm(Function):
    """weight * batch_norm(W map), or of ReLU of the map where `activate`. Called as `(weight, W, activate, map)`.

    weight: (out,); W: (out, in). Returns that, and mean and variance of W map. What the backward pass needs of the map is computed
    again there, so that maps which others keep as well are kept once.
    """

    @staticmethod
    @explicit
    def forward(ctx: Any, weight: Tensor, matrix: Tensor, activate: bool, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        d = rows(x.relu() if activate else x.clone(memory_format=torch.channels_last))
        mean = matrix @ centre(d)
        norms = Norms.of(matrix[None, None], [d])
        ctx.activate = activate
        ctx.save_for_backward(weight, x, *norms)
        ctx.mark_non_differentiable(mean, norms.variance)
        return maps(norms.mix(weight, [d], [range(1)])[0], x), mean, norms.variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        weight, x, *norms = ctx.saved_tensors
        _, needs_matrix, _, needs_x = ctx.needs_input_grad
        d = rows(x.relu() if ctx.activate else x.clone(memory_format=torch.channels_last))
        centre(d)
        d_weight, d_matrix, d_rows = Norms(*norms).gradients(weight, [d], [[centred(rows(gradient))]], needs_matrix, needs_x)
        d_x = maps(d_rows[0], x) if needs_x else None
        if d_x is not None and ctx.activate:
            d_x = aten.threshold_backward(d_x, x, 0)
        return d_weight[0, 0], None if d_matrix is None else d_matrix[0, 0], None, d_x
