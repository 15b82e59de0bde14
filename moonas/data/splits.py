"""Splits: four disjoint parts, fixed by the study's seed; stratified, or by a hash of each image's name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from moonas.errors import UsageError
from moonas.seeds import stream
from moonas.study.data import training_fractions


class Split(NamedTuple):
    """Indices of each part, (n,) int64; `test` counts in the official test set where there is one, else in the one pool."""

    train_w: Tensor
    train_alpha: Tensor
    valid: Tensor
    test: Tensor


def split(
    labels: Tensor,
    test_labels: Tensor | None,
    shares: Sequence[int],
    seed: int,
    images: int | None = None,
    fractions: Mapping[str, float] | None = None,
    names: Sequence[str] | None = None,
) -> Split:
    """Parts of the sizes `shares` = (train_w, train_alpha, valid, test), each in a stratified random order.

    labels: (n,) int64 of the one pool, or of the official training set where `test_labels` are those of an official test set.
    images: keep only so many of the first three parts together, and of the test part the same fraction; what is kept is a subset of
    the whole split.
    fractions: {part: how much of the training images of each class it gets}; a part that is not named keeps its share.
    names: of the images, for parts by hash: the part of an image follows from its name and the seed alone, so that further images
    move no other one. `shares` and `fractions` are then proportions that hold on average; otherwise they hold within every class.
    Raises UsageError where there are fewer images, or where a part would hold fewer images than there are classes.
    """
    generator = torch.Generator().manual_seed(stream(seed, "split"))
    if names is None:
        parts = _stratified(labels, test_labels, shares, fractions, generator)
    else:
        places = torch.tensor([stream(seed, "part", name) / 2**63 for name in names], dtype=torch.float64)
        parts = _by_place(labels, test_labels, shares, fractions, places, generator)
    return Split(*_first(parts, images, classes=len(labels.unique())))


def stratified_order(labels: Tensor, generator: torch.Generator) -> Tensor:
    """A random order in which every stretch holds the classes in proportion, to within an image or two of each.

    labels: (n,) int64. Returns (n,) indices.
    """
    return _spread(torch.randperm(len(labels), generator=generator), labels)


def apportion(shares: Sequence[int], total: int) -> list[int]:
    """Whole numbers in the proportions of `shares` that add up to `total`, by largest remainder."""
    whole, rest = zip(*(divmod(share * total, sum(shares)) for share in shares), strict=True)
    by_remainder = sorted(range(len(shares)), key=lambda index: -rest[index])
    extra = set(by_remainder[: total - sum(whole)])
    return [size + (index in extra) for index, size in enumerate(whole)]


def _stratified(
    labels: Tensor,
    test_labels: Tensor | None,
    shares: Sequence[int],
    fractions: Mapping[str, float] | None,
    generator: torch.Generator,
) -> list[Tensor]:
    *train, test = shares
    order = stratified_order(labels, generator)
    if test_labels is None:
        pool, tested = order.split([sum(train), test])
    else:
        pool, tested = order, stratified_order(test_labels, generator)
    if fractions is None:
        return [*pool.split(train), tested]
    return [*_cut(pool, _places(labels[pool]), training_fractions(shares, fractions)), tested]


def _by_place(
    labels: Tensor,
    test_labels: Tensor | None,
    shares: Sequence[int],
    fractions: Mapping[str, float] | None,
    places: Tensor,
    generator: torch.Generator,
) -> list[Tensor]:
    """places: (n,) in [0, 1), each image's own; the test part, where it is carved out of the pool, takes the last of them."""
    order = torch.argsort(places)
    if test_labels is None:
        end = 1 - shares[3] / sum(shares)
        pool, tested = order[places[order] < end], _spread(order[places[order] >= end], labels)
    else:
        end, pool, tested = 1.0, order, stratified_order(test_labels, generator)
    parts = _cut(pool, places[pool] / end, training_fractions(shares, fractions or {}))
    return [*(_spread(part, labels) for part in parts), tested]


def _cut(pool: Tensor, places: Tensor, fractions: tuple[float, float, float]) -> list[Tensor]:
    """`train_w` from the beginning of [0, 1), `train_alpha` after it; `valid` from the end, whatever the others get."""
    w, alpha, valid = fractions
    return [pool[places < w], pool[(places >= w) & (places < w + alpha)], pool[places >= max(w + alpha, 1 - valid)]]


def _first(parts: list[Tensor], images: int | None, classes: int) -> list[Tensor]:
    """As many of each part as `images` asks for. Raises UsageError where the result would be too small."""
    sizes = [len(part) for part in parts]
    pool = sum(sizes[:3])
    asked = f"data: parts of {', '.join(map(str, sizes))} images are" if images is None else f"data.images: {images} is"
    if images is not None and images <= pool:
        sizes = [*apportion(sizes[:3], images), round(sizes[3] * images / pool)]
    if (images or 0) > pool or min(sizes) < classes:
        fewest = "each of the four parts needs at least one per class"
        raise UsageError(f"{asked} not possible: there are {pool} training images, and {fewest} ({classes})")
    return [part[:size] for part, size in zip(parts, sizes, strict=True)]


def _spread(shuffled: Tensor, labels: Tensor) -> Tensor:
    """The indices `shuffled`, reordered so that every stretch holds the classes in proportion; those of a class keep their order.

    The images of a class are spread evenly over [0, 1]; the result is the order of these places.
    """
    grouped = shuffled[torch.argsort(labels[shuffled], stable=True)]
    return grouped[torch.argsort(_places(labels[grouped]), stable=True)]


def _places(labels: Tensor) -> Tensor:
    """(n,) float64 in (0, 1): how far along each image stands among those of its class."""
    grouped, counts = torch.argsort(labels, stable=True), torch.bincount(labels)
    rank = torch.empty_like(labels)
    rank[grouped] = torch.arange(len(labels)) - (counts.cumsum(0) - counts)[labels[grouped]]
    return (rank + 0.5).double() / counts[labels]
