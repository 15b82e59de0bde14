"""A data set, split into its four parts."""

from __future__ import annotations

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

from moonas.data.augment import Augment, augment
from moonas.data.parts import AnyPart, Part
from moonas.data.source import AnySource, Source
from moonas.data.splits import split
from moonas.errors import DataError
from moonas.registry import load_object
from moonas.seeds import canonical_json
from moonas.study.data import DATA, DataConfig, DataEntry, classes, input_shape
from moonas.study.validation import settings_of


@dataclass(frozen=True, kw_only=True)
class Data:
    """Four disjoint parts. Search uses `train_w` and `train_alpha`; `train` is both, without a copy.

    Batches and labels are on the device; so are the images of sets that fit, while those of others are read from their files.
    black: (c,), what a pixel of value 0 became by the normalisation.
    checksum: of the whole source, whatever part or size is used.
    """

    train: AnyPart
    train_w: AnyPart
    train_alpha: AnyPart
    valid: AnyPart
    test: AnyPart
    input_shape: tuple[int, int, int]
    classes: int
    augment: Augment
    black: Tensor
    checksum: str

    def batches(self, part: AnyPart, size: int, *, seed: int, augmented: bool = True) -> Iterator[Part]:
        """One pass over `part` in random order: as few batches of at most `size` as can be, of nearly equal size.

        Equal sizes, our own choice, use every image in every epoch and leave no tiny last batch to batch norm.
        seed: fixes order and augmentation.
        """
        generator = torch.Generator(part.labels.device).manual_seed(seed)
        order = torch.randperm(len(part), generator=generator, device=part.labels.device)
        groups = order.tensor_split(math.ceil(len(part) / size))
        for batch in part.read(groups, seed if augmented else None):
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
    load, config = load_object(entry.load), settings_of(entry.config, options)
    source: AnySource = load(root) if entry.config is DataConfig else load(root, config)
    return _prepare(source, entry, options["name"], config, seed, device)


def _prepare(source: AnySource, entry: DataEntry, name: str, settings: DataConfig, seed: int, device: str) -> Data:
    _check(source, entry, name, settings)
    parts = split(source.labels, source.test_labels, entry.shares, seed, settings.images, settings.fractions, source.names)
    shape = input_shape(name, settings)
    opened = source.open(parts, shape, device)
    searched, trained = len(parts.train_w), len(parts.train_w) + len(parts.train_alpha)
    return Data(
        train=opened.pool.at(slice(trained)),
        train_w=opened.pool.at(slice(searched)),
        train_alpha=opened.pool.at(slice(searched, trained)),
        valid=opened.pool.at(slice(trained, None)),
        test=opened.test,
        input_shape=shape,
        classes=classes(name, settings),
        augment=opened.augment,
        black=opened.black,
        checksum=source.checksum,
    )


def _check(source: AnySource, entry: DataEntry, name: str, settings: DataConfig) -> None:
    expected = sum(entry.shares[:3]) + (entry.shares[3] if source.test_labels is None else 0)
    if source.names is None and len(source.labels) != expected:
        raise DataError(f"{name}: expected {expected} images, found {len(source.labels)}")
    if source.names is None and source.test_labels is not None and len(source.test_labels) != entry.shares[3]:
        raise DataError(f"{name}: expected {entry.shares[3]} test images, found {len(source.test_labels)}")
    if isinstance(source, Source):
        shape = tuple(source.images.shape[1:])
        if len(source.images) != len(source.labels):
            raise DataError(f"{name}: {len(source.images)} images have {len(source.labels)} labels")
        if shape != (entry.input_shape or shape) or int(source.labels.max()) >= classes(name, settings):
            raise DataError(f"{name}: the images or labels are not those of {name} (shape {shape})")
