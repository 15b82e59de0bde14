"""Images in files: held in memory where they fit, else read whenever they are needed."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from moonas.data.augment import Augment
from moonas.data.folders import ClassFolders
from moonas.data.parts import Part, Scale
from moonas.data.reading import Job, Reader, read_all
from moonas.data.source import Opened
from moonas.data.splits import Split

IN_MEMORY = 2 * 2**30  # bytes of normalised float32 images that a process may hold; our own choice
PIECE = 4 * 2**20  # bytes that a reading process hands over at once


@dataclass(frozen=True, kw_only=True)
class FileSource:
    """Class folders on disk.

    test: an official test set; None where the test part is carved out of the one pool.
    crop: whether training images are cut out at random as they are read (see `Reader`), so that of `augment` only `flip` counts.
    by_name: the part of an image follows from a hash of its name, so that added images move no other.
    mean, std: per channel, on the scale from 0 to 1.
    """

    train: ClassFolders
    test: ClassFolders | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    crop: bool
    augment: Augment
    by_name: bool

    @property
    def labels(self) -> Tensor:
        return self.train.labels

    @property
    def test_labels(self) -> Tensor | None:
        return None if self.test is None else self.test.labels

    @property
    def names(self) -> Sequence[str] | None:
        return self.train.names if self.by_name else None

    @property
    def checksum(self) -> str:
        """SHA-256 over the names and sizes of all files, in hexadecimal."""
        digests = [folders.digest() for folders in (self.train, self.test) if folders]
        return hashlib.sha256("".join(digests).encode()).hexdigest()

    def open(self, parts: Split, shape: tuple[int, int, int], device: str) -> Opened:
        """The images of `parts` at `shape` = (c, size, size). Raises DataError where one that is read at once cannot be decoded."""
        channels, size, _ = shape
        reader = Reader(channels, size, self.crop, self.augment.flip)
        scale = Scale(torch.tensor(self.mean), torch.tensor(self.std)).to(device)
        whole, whole_test = (FilePart.of(folders, reader, scale, device) for folders in (self.train, self.test or self.train))
        pool, test = whole.at(torch.cat(parts[:3])), whole_test.at(parts.test)
        fits = 4 * channels * size**2 * (len(pool) + len(test)) <= IN_MEMORY and not self.crop
        return Opened(
            pool=pool.in_memory() if fits else pool,
            test=test.in_memory() if fits else test,
            augment=Augment() if self.crop else self.augment,
            black=scale.black,
        )


@dataclass(frozen=True)
class FilePart:
    """A part whose images lie in files.

    paths: (n,) of text. labels: (n,) int64, on the device of the batches. reader: what makes images of the files.
    """

    paths: np.ndarray
    labels: Tensor
    reader: Reader
    scale: Scale

    @classmethod
    def of(cls, folders: ClassFolders, reader: Reader, scale: Scale, device: str) -> FilePart:
        paths = np.array([f"{folders.root}/{name}" for name in folders.names], dtype=object)
        return cls(paths, folders.labels.to(device), reader, scale)

    def __len__(self) -> int:
        return len(self.labels)

    def at(self, chosen: Any) -> FilePart:
        """The images that an index tensor or a slice selects; nothing is read."""
        paths = self.paths[chosen.cpu().numpy() if isinstance(chosen, Tensor) else chosen]
        return FilePart(paths, self.labels[chosen], self.reader, self.scale)

    def read(self, groups: Iterable[Any], seed: int | None = None) -> Iterator[Part]:
        """A batch for each index tensor or slice, one after another; later ones are read while one is in use.

        seed: of the random crops, where the reader makes any; the middle of the images without one. Raises DataError.
        """
        chosen = [self.at(group) for group in groups]
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        pieces = read_all(self.reader, (job for part in chosen for job in part._jobs(generator)))
        for part in chosen:
            images = np.concatenate(list(islice(pieces, math.ceil(len(part) / self._piece))))
            yield Part(self.scale(torch.from_numpy(images).to(part.labels.device).float() / 255), part.labels)

    def in_memory(self) -> Part:
        """The same part, its images read once and for all. Raises DataError."""
        batches = self.read(torch.arange(len(self)).split(512))
        return Part(torch.cat([batch.images for batch in batches]), self.labels)

    @property
    def _piece(self) -> int:
        """Images of one job."""
        return max(1, min(64, PIECE // (self.reader.channels * self.reader.size**2)))

    def _jobs(self, generator: torch.Generator | None) -> list[Job]:
        """What is to be read, with a seed for each image where there is a generator to draw it from."""
        drawn = generator and torch.randint(2**63 - 1, (len(self),), generator=generator).tolist()
        images = list(zip(self.paths, drawn or [None] * len(self), strict=True))
        return [images[start : start + self._piece] for start in range(0, len(images), self._piece)]
