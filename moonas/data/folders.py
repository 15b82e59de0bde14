"""Folders with one sub-folder per class: which images there are."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from moonas.errors import DataError

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")


@dataclass(frozen=True, kw_only=True)
class ClassFolders:
    """The images of one folder, by class and then by name.

    names: of the images, as "class/file". sizes: in bytes. labels: (n,) int64, which of `classes` each belongs to.
    """

    root: Path
    classes: tuple[str, ...]
    names: Sequence[str]
    sizes: Sequence[int]
    labels: Tensor

    def digest(self) -> str:
        """SHA-256 of all names and sizes, in hexadecimal: quick where reading every byte would not be."""
        sha = hashlib.sha256()
        for name, size in zip(self.names, self.sizes, strict=True):
            sha.update(f"{name}\0{size}\0".encode("utf-8", "surrogateescape"))
        return sha.hexdigest()


def list_images(root: Path) -> ClassFolders:
    """What lies in `root`: a class for every sub-folder, with the images that lie directly in it; other files are passed over.

    Names that begin with a dot are passed over too. Raises DataError where the folder cannot be read, or a class has no image.
    """
    try:
        classes = tuple(sorted(entry.name for entry in os.scandir(root) if entry.is_dir() and not entry.name.startswith(".")))
        found = [_images_of(root / name) for name in classes]
    except OSError as error:
        raise DataError(f"{root} cannot be read: {error.strerror or error}") from error
    if empty := [name for name, images in zip(classes, found, strict=True) if not images]:
        raise DataError(f"no image lies in {root / empty[0]}; known are files that end in {', '.join(SUFFIXES)}")
    return ClassFolders(
        root=root,
        classes=classes,
        names=[f"{name}/{image}" for name, images in zip(classes, found, strict=True) for image, _ in images],
        sizes=[size for images in found for _, size in images],
        labels=torch.arange(len(classes)).repeat_interleave(torch.tensor([len(images) for images in found], dtype=torch.long)),
    )


def _images_of(folder: Path) -> list[tuple[str, int]]:
    """(name, bytes) of every image that lies directly in a folder, by name."""
    entries = [entry for entry in os.scandir(folder) if entry.name.lower().endswith(SUFFIXES) and not entry.name.startswith(".")]
    return sorted((entry.name, entry.stat().st_size) for entry in entries if entry.is_file())
