"""Maps as matrices of rows, one row a pixel of an image; their means and products.

Maps are (n, c, h, w), channels last. Means and sums of bfloat16 maps are float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd

import torch
from torch import Tensor

from moonas.networks.precision import wide

EPS = 1e-5  # of every batch norm here: torch's default
CHUNK = 512  # moments are sums of sums over at most about so many rows, which lose less to rounding than one
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
    own = mean(matrix)
    matrix.sub_(own)
    return own


def centred(matrix: Tensor) -> Tensor:
    """Rows less their mean."""
    return (matrix - mean(matrix)).to(matrix.dtype)


def mean(matrix: Tensor) -> Tensor:
    return matrix.mean(0, dtype=wide(matrix.dtype))


def cut(matrices: Sequence[Tensor], count: int) -> Blocks:
    """Views of matrices as `count` blocks of columns each."""
    return [(matrix,) if count == 1 else matrix.chunk(count, dim=1) for matrix in matrices]


def each(x: Tensor) -> list[tuple[Tensor, ...]]:
    """The slices of the first two dimensions."""
    return [part.unbind() for part in x.unbind()]


def multiply(blocks: Sequence[Tensor], factors: Sequence[Tensor]) -> Tensor:
    """The products of b blocks (M, in) with as many factors (in, out), side by side."""
    if len(blocks) == 1:
        return blocks[0] @ factors[0]
    result = blocks[0].new_empty(len(blocks[0]), sum(factor.shape[1] for factor in factors))
    for block, factor, out in zip(blocks, factors, result.chunk(len(blocks), dim=1), strict=True):
        torch.mm(block, factor, out=out)
    return result


def moments(pairs: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """For each pair of rows (M, p) and (M, q) the mean (p, q) of their products."""
    (count, p), q = pairs[0][0].shape, pairs[0][1].shape[1]
    chunks, kind = gcd(count, 1 << (count // CHUNK).bit_length()), wide(pairs[0][0].dtype)
    sums = pairs[0][0].new_empty(len(pairs), chunks, p, q, dtype=kind)
    for (a, b), out in zip(pairs, sums.unbind(), strict=True):
        torch.bmm(a.to(kind).view(chunks, -1, p).transpose(1, 2), b.to(kind).view(chunks, -1, q), out=out)
    return sums.sum(1).div_(count)
