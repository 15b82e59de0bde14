"""A data set as tensors on the device, split into its four parts."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from moonas.data.augment import Augment, augment
from moonas.data.splits import split
from moonas.errors import DataError
from moonas.registry import load_object
from moonas.seeds import canonical_json
from moonas.study.data import DATA, DataEntry


@dataclass(frozen=True, kw_only=True)
class Source:
    """A data set as it was published, on the CPU.

    images: (n, c, h, w), uint8 from 0 to 255 or float from 0 to 1. labels: (n,) int64.
    test_images, test_labels: the official test set; None where the test part is carved out of the one pool.
    mean, std: per channel, on the scale from 0 to 1; None where they are worked out from the training parts.
    augment: for images of this size.
    """

    images: Tensor
    labels: Tensor
    test_images: Tensor | None = None
    test_labels: Tensor | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    augment: Augment

    @property
    def checksum(self) -> str:
        """SHA-256 of all images and labels, in hexadecimal."""
        tensors = [self.images, self.labels, self.test_images, self.test_labels]
        sha = hashlib.sha256()
        for tensor in tensors:
            if tensor is not None:
                sha.update(tensor.contiguous().numpy().tobytes())
        return sha.hexdigest()


@dataclass(frozen=True)
class Part:
    """images: (n, c, h, w) float32, normalised. labels: (n,) int64. A batch has the same form."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def at(self, chosen: Any) -> Part:
        """The images and labels that an index tensor or a slice selects."""
        return Part(self.images[chosen], self.labels[chosen])


@dataclass(frozen=True, kw_only=True)
class Data:
    """Four disjoint parts on the device. Search uses `train_w` and `train_alpha`; `train` is both, in one piece of memory.

    black: (c,), what a pixel of value 0 became by the normalisation.
    checksum: of the whole source, whatever part or size is used.
    """

    train: Part
    train_w: Part
    train_alpha: Part
    valid: Part
    test: Part
    input_shape: tuple[int, int, int]
    classes: int
    augment: Augment
    black: Tensor
    checksum: str

    def batches(self, part: Part, size: int, *, seed: int, augmented: bool = True) -> Iterator[Part]:
        """One pass over `part` in random order: as few batches of at most `size` as can be, of nearly equal size.

        Equal sizes, our own choice, use every image in every epoch and leave no tiny last batch to batch norm.
        seed: fixes order and augmentation.
        """
        generator = torch.Generator(part.labels.device).manual_seed(seed)
        order = torch.randperm(len(part), generator=generator, device=part.labels.device)
        for chosen in order.tensor_split(math.ceil(len(part) / size)):
            batch = part.at(chosen)
            yield Part(augment(batch.images, self.augment, self.black, generator), batch.labels) if augmented else batch


def load_data(settings: Mapping[str, Any], seed: int, device: str | torch.device = "cpu", root: str | None = None) -> Data:
    """The data set that `{"name": ..., "size": ..., "images": ...}` describes, split by the study's seed, on `device`.

    root: the folder of downloaded data sets; else the environment's MOONAS_DATA, else ~/.cache/moonas/data.
    The last one loaded is kept, for the tasks that a process runs one after another.
    Raises UnknownNameError, DataError where the set is missing or damaged, UsageError where it has too few images.
    """
    return _load(canonical_json(dict(settings)), seed, str(device), str(data_root(root)))


def data_root(root: str | None = None) -> Path:
    """The absolute folder that downloaded data sets are looked for in."""
    chosen = root or os.environ.get("MOONAS_DATA") or Path.home() / ".cache" / "moonas" / "data"
    return Path(chosen).expanduser().resolve()


@lru_cache(maxsize=1)
def _load(settings: str, seed: int, device: str, root: str) -> Data:
    options = json.loads(settings)
    entry = DATA[options["name"]]
    source: Source = load_object(entry.load)(root)
    return _prepare(source, entry, options, seed, device)


def _prepare(source: Source, entry: DataEntry, options: Mapping[str, Any], seed: int, device: str) -> Data:
    name, size = options["name"], options.get("size")
    _check(source, entry, name)
    parts = split(source.labels, source.test_labels, entry.shares, seed, options.get("images"))
    test_images = source.images if source.test_images is None else source.test_images
    test_labels = source.labels if source.test_labels is None else source.test_labels
    chosen = torch.cat(parts[:3])
    images, held_out = _resized(source.images[chosen], size), _resized(test_images[parts.test], size)
    labels = source.labels[chosen]
    searched, trained = len(parts.train_w), len(parts.train_w) + len(parts.train_alpha)
    mean, std = _moments(source, images[:trained])

    def normalised(raw: Tensor) -> Tensor:
        return ((raw - mean.view(-1, 1, 1)) / std.view(-1, 1, 1)).to(device)

    pool = Part(normalised(images), labels.to(device))
    channels, height, width = images.shape[1:]
    return Data(
        train=pool.at(slice(trained)),
        train_w=pool.at(slice(searched)),
        train_alpha=pool.at(slice(searched, trained)),
        valid=pool.at(slice(trained, None)),
        test=Part(normalised(held_out), test_labels[parts.test].to(device)),
        input_shape=(channels, height, width),
        classes=entry.classes,
        augment=Augment(round(source.augment.pad * height / source.images.shape[2]), source.augment.flip),
        black=(-mean / std).to(device),
        checksum=source.checksum,
    )


def _check(source: Source, entry: DataEntry, name: str) -> None:
    expected = sum(entry.shares[:3]) + (entry.shares[3] if source.test_labels is None else 0)
    if len(source.labels) != expected or len(source.images) != expected:
        raise DataError(f"{name}: expected {expected} images, found {len(source.images)} with {len(source.labels)} labels")
    if tuple(source.images.shape[1:]) != entry.input_shape or int(source.labels.max()) >= entry.classes:
        raise DataError(f"{name}: the images or labels are not those of {name} (shape {tuple(source.images.shape[1:])})")


def _resized(images: Tensor, size: int | None) -> Tensor:
    """float32 from 0 to 1, resized by antialiased bilinear interpolation where a size is given."""
    scaled = images.float() / 255 if images.dtype == torch.uint8 else images.float()
    return functional.interpolate(scaled, size=(size, size), mode="bilinear", antialias=True) if size else scaled


def _moments(source: Source, training: Tensor) -> tuple[Tensor, Tensor]:
    if source.mean is not None and source.std is not None:
        return torch.tensor(source.mean), torch.tensor(source.std)
    exact = training.double()
    return exact.mean((0, 2, 3)).float(), exact.std((0, 2, 3), correction=0).float()
