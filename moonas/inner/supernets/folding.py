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
from typing import NamedTuple

import torch
from torch import Tensor

from moonas.inner.supernets.matrices import EPS, Blocks, cut, each, moments, multiply

CANCELLED = 1 / 32  # where a variance is so small a part of what it is the sum of, it is computed directly


class FoldedNorms(NamedTuple):
    """Batch norms of k times b products W d. Inputs and outputs are k matrices: the rows (M, c) of b blocks side by side.

    matrices: W, (k, b, out, in). products: W S, (k, b, out, in). variance: (k, b, out).
    """

    matrices: Tensor
    products: Tensor
    variance: Tensor

    @classmethod
    def of(cls, matrices: Tensor, inputs: Sequence[Tensor]) -> FoldedNorms:
        """inputs: centred."""
        blocks = cut(inputs, matrices.shape[1])
        covariance = moments([(d, d) for column in blocks for d in column]).unflatten(0, matrices.shape[:2])
        products = matrices @ covariance
        variance = (products * matrices).sum(3)
        bound = (matrices.square() @ covariance.diagonal(dim1=2, dim2=3)[..., None])[..., 0]
        cancelled = variance < CANCELLED * bound
        if cancelled.any():
            for k, b in cancelled.any(2).nonzero().tolist():
                d = blocks[k][b]
                y = d.to(matrices.dtype) @ matrices[k, b].t()
                products[k, b], variance[k, b] = moments([(y, d)])[0], y.var(0, correction=0)
        return cls(matrices, products, variance)

    def relu(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """ReLU of every norm: k matrices."""
        folded = self._folded(None, inputs[0].dtype)
        columns = cut(inputs, len(folded[0]))
        return [multiply(column, [m.t() for m in own]).relu_() for column, own in zip(columns, folded, strict=True)]

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
        correlation = moments(pairs).view_as(self.matrices)
        s = (self.variance + EPS).rsqrt()
        q = s * (self.matrices * correlation).sum(3)
        sq = (s * q)[..., None]
        d_matrices, d_inputs = None, []
        if with_inputs:
            kind, scaled = inputs[0].dtype, s if weight is None else weight * s
            folded = self._folded(weight, kind)
            centring = each((self.matrices.transpose(2, 3) @ ((scaled[..., None] * sq) * self.matrices)).to(kind))
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
        return each(((s if weight is None else weight * s)[..., None] * self.matrices).to(kind))
