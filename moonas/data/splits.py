"""Stratified splits: four disjoint parts, fixed by the study's seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from moonas.errors import UsageError
from moonas.seeds import stream


class Split(NamedTuple):
    """Indices of each part, (n,) int64; `test` counts in the official test set where there is one, else in the one pool."""

    train_w: Tensor
    train_alpha: Tensor
    valid: Tensor
    test: Tensor


def split(labels: Tensor, test_labels: Tensor | None, shares: Sequence[int], seed: int, images: int | None = None) -> Split:
    """Stratified parts of the sizes `shares` = (train_w, train_alpha, valid, test), in random order.

    labels: (n,) int64 of the one pool, or of the official training set where `test_labels` are those of an official test set.
    images: keep only so many of the first three parts together, and of the test part the same fraction; what is kept is a subset of
    the whole split. Raises UsageError where there are fewer, or where a part would hold fewer images than there are classes.
    """
    generator = torch.Generator().manual_seed(stream(seed, "split"))
    *train, test = shares
    order = stratified_order(labels, generator)
    if test_labels is None:
        parts = list(order.split([*train, test]))
    else:
        parts = [*order.split(train), stratified_order(test_labels, generator)]
    if images is not None:
        pool, classes = sum(train), len(labels.unique())
        sizes = [*apportion(train, images), round(test * images / pool)]
        if images > pool or min(sizes) < classes:
            fewest = "each of the four parts needs at least one per class"
            raise UsageError(f"data.images: {images} is not possible: there are {pool} training images, and {fewest} ({classes})")
        parts = [part[:size] for part, size in zip(parts, sizes, strict=True)]
    return Split(*parts)


def stratified_order(labels: Tensor, generator: torch.Generator) -> Tensor:
    """A random order in which every stretch holds the classes in proportion, to within an image or two of each.

    labels: (n,) int64. Returns (n,) indices. The images of a class, in random order, are spread evenly over [0, 1]; the result is
    the order of these places.
    """
    shuffled = torch.randperm(len(labels), generator=generator)
    grouped = shuffled[torch.argsort(labels[shuffled], stable=True)]
    classes, counts = labels[grouped], torch.bincount(labels)
    rank = torch.arange(len(labels)) - (counts.cumsum(0) - counts)[classes]
    place = (rank + 0.5).double() / counts[classes]
    return grouped[torch.argsort(place, stable=True)]


def apportion(shares: Sequence[int], total: int) -> list[int]:
    """Whole numbers in the proportions of `shares` that add up to `total`, by largest remainder."""
    whole, rest = zip(*(divmod(share * total, sum(shares)) for share in shares), strict=True)
    by_remainder = sorted(range(len(shares)), key=lambda index: -rest[index])
    extra = set(by_remainder[: total - sum(whole)])
    return [size + (index in extra) for index, size in enumerate(whole)]
