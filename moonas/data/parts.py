"""One part of a data set, and how its images are normalised."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor


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

    def read(self, groups: Iterable[Any], seed: int | None = None) -> Iterator[Part]:
        """A batch for each index tensor or slice, one after another. seed: of what is drawn while reading, here nothing."""
        return map(self.at, groups)


class AnyPart(Protocol):
    """What a part offers wherever its images lie: in memory (`Part`), or in files (`moonas.data.files.FilePart`)."""

    @property
    def labels(self) -> Tensor: ...
    def __len__(self) -> int: ...
    def at(self, chosen: Any) -> AnyPart: ...
    def read(self, groups: Iterable[Any], seed: int | None = None) -> Iterator[Part]: ...


@dataclass(frozen=True)
class Scale:
    """The normalisation. mean, std: (c,), on the scale from 0 to 1."""

    mean: Tensor
    std: Tensor

    def __call__(self, images: Tensor) -> Tensor:
        """Normalised. images: (n, c, h, w), float32 from 0 to 1."""
        return (images - self.mean.view(-1, 1, 1)) / self.std.view(-1, 1, 1)

    @property
    def black(self) -> Tensor:
        """(c,), what a pixel of value 0 becomes."""
        return -self.mean / self.std

    def to(self, device: str) -> Scale:
        return Scale(self.mean.to(device), self.std.to(device))
