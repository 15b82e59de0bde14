"""A data set as its loader returns it, before it is split."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from moonas.data.augment import Augment
from moonas.data.parts import AnyPart, Part, Scale
from moonas.data.splits import Split


class Opened(NamedTuple):
    """The images of a split.

    pool: those of the first three parts, one part after another. test: those of the test part. augment: for images of their size.
    black: (c,), what a pixel of value 0 became by the normalisation.
    """

    pool: AnyPart
    test: AnyPart
    augment: Augment
    black: Tensor


class AnySource(Protocol):
    """What a loader may return: a `Source`, or a `moonas.data.files.FileSource`."""

    @property
    def labels(self) -> Tensor: ...
    @property
    def test_labels(self) -> Tensor | None: ...
    @property
    def names(self) -> Sequence[str] | None: ...
    @property
    def checksum(self) -> str: ...
    def open(self, parts: Split, shape: tuple[int, int, int], device: str) -> Opened: ...


@dataclass(frozen=True, kw_only=True)
class Source:
    """A data set as it was published, on the CPU.

    images: (n, c, h, w), uint8 from 0 to 255 or float from 0 to 1. labels: (n,) int64.
    test_images, test_labels: the official test set; None where the test part is carved out of the one pool.
    mean, std: per channel, on the scale from 0 to 1; None where they are worked out from the training parts.
    augment: for images of this size.
    names: of the images, where their parts go by hash (`moonas.data.splits.split`); None where the parts are stratified.
    """

    images: Tensor
    labels: Tensor
    test_images: Tensor | None = None
    test_labels: Tensor | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    augment: Augment
    names: Sequence[str] | None = None

    @property
    def checksum(self) -> str:
        """SHA-256 of all images and labels, in hexadecimal."""
        tensors = [self.images, self.labels, self.test_images, self.test_labels]
        sha = hashlib.sha256()
        for tensor in tensors:
            if tensor is not None:
                sha.update(tensor.contiguous().numpy().tobytes())
        return sha.hexdigest()

    def open(self, parts: Split, shape: tuple[int, int, int], device: str) -> Opened:
        """The images of `parts`, resized where `shape` = (c, h, w) is not their own."""
        chosen, trained = torch.cat(parts[:3]), len(parts.train_w) + len(parts.train_alpha)
        test_images = self.images if self.test_images is None else self.test_images
        test_labels = self.labels if self.test_labels is None else self.test_labels
        images, held_out = _resized(self.images[chosen], shape), _resized(test_images[parts.test], shape)
        scale = self._scale(images[:trained])
        pad = round(self.augment.pad * shape[1] / self.images.shape[2])
        return Opened(
            pool=Part(scale(images).to(device), self.labels[chosen].to(device)),
            test=Part(scale(held_out).to(device), test_labels[parts.test].to(device)),
            augment=replace(self.augment, pad=pad),
            black=scale.black.to(device),
        )

    def _scale(self, training: Tensor) -> Scale:
        if self.mean is not None and self.std is not None:
            return Scale(torch.tensor(self.mean), torch.tensor(self.std))
        exact = training.double()
        return Scale(exact.mean((0, 2, 3)).float(), exact.std((0, 2, 3), correction=0).float())


def _resized(images: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """float32 from 0 to 1, resized by antialiased bilinear interpolation where `shape` = (c, h, w) is another."""
    scaled = images.float() / 255 if images.dtype == torch.uint8 else images.float()
    if tuple(images.shape[1:]) == shape:
        return scaled
    return functional.interpolate(scaled, size=shape[1:], mode="bilinear", antialias=True)
