"""Reading image files, in the task's own process or in others that do nothing else."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from moonas.errors import DataError
from moonas.study.numbers import parse_whole

Job = Sequence[tuple[str, int | None]]  # paths, each with the seed of its augmentation, or None for none


@dataclass(frozen=True)
class Reader(Dataset):
    """How image files become arrays; all that a reading process is told.

    channels: 1, grey, or 3. size: height and width of the result, the middle of the image whose shorter side is made `size`.
    crop: instead, the ImageNet recipe of the published DARTS code (Liu et al., ICLR 2019, arXiv:1806.09055). With a seed, a random
    crop of 8 to 100 % of the image, mirrored half of the time where `flip` is, its colours shaken; without one, the middle of the
    image whose shorter side is made 8/7 of `size`: 224 of 256.
    """

    channels: int
    size: int
    crop: bool = False
    flip: bool = True

    def __getitem__(self, job: Job) -> np.ndarray | DataError:
        """(n, c, size, size) uint8; where a file cannot be decoded the error, which another process can only hand over."""
        try:
            return np.stack([self.read(path, seed) for path, seed in job])
        except DataError as error:
            return error

    def read(self, path: str, seed: int | None) -> np.ndarray:
        """(c, size, size) uint8. Raises DataError where the file cannot be decoded."""
        image = _decoded(path, "RGB" if self.channels == 3 else "L")
        if self.crop and seed is not None:
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(seed)
                image = self._random_view(image)
        else:
            image = self._middle(image)
        return np.asarray(image).reshape(self.size, self.size, self.channels).transpose(2, 0, 1)

    @cached_property
    def _middle(self) -> Any:
        shorter_side = round(self.size * 8 / 7) if self.crop else self.size
        return transforms.Compose([transforms.Resize(shorter_side), transforms.CenterCrop(self.size)])

    @cached_property
    def _random_view(self) -> Any:
        mirror = transforms.RandomHorizontalFlip(0.5 if self.flip else 0.0)
        colours = transforms.ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.2)
        return transforms.Compose([transforms.RandomResizedCrop(self.size), mirror, colours])


def read_all(reader: Reader, jobs: Iterable[Job]) -> Iterator[np.ndarray]:
    """What `reader` makes of each job, in their order, whatever the number of reading processes. Raises DataError."""
    processes = reading_processes()
    if processes:
        # forked from a server that has torch loaded: quick, and free of this process's threads, pipes and device
        multiprocessing.get_context("forkserver").set_forkserver_preload([__name__])
    loader = DataLoader(
        reader,
        sampler=jobs,
        batch_size=None,
        collate_fn=_as_it_is,
        num_workers=processes,
        prefetch_factor=4 if processes else None,
        multiprocessing_context="forkserver" if processes else None,
        worker_init_fn=_end_with_parent,
        generator=torch.Generator(),  # the loader draws a seed, and must not take it from the stream of others
    )
    for result in loader:
        if isinstance(result, DataError):
            raise result
        yield result


def reading_processes() -> int:
    """How many processes read images for a task, beside its own: MOONAS_LOADERS, else none. Raises DataError."""
    text = os.environ.get("MOONAS_LOADERS", "0")
    try:
        number = parse_whole(text)
    except ValueError:
        number = -1
    if number < 0:
        raise DataError(f"images cannot be read: MOONAS_LOADERS must be a number of processes, 0 or more, not {text!r}")
    return number


def _decoded(path: str, mode: str) -> Image.Image:
    try:
        with Image.open(path) as image:
            if image.mode.startswith(("I", "F")):  # Pillow would cut such values off at 255
                raise DataError(f"{path} has more than 8 bits per channel; convert it to 8 bits")
            return image.convert(mode)
    except DataError:
        raise
    except Exception as error:  # Pillow meets damaged bytes in many ways
        raise DataError(f"{path} cannot be read as an image ({error}); replace or remove it") from error


def _end_with_parent(number: int) -> None:
    """Run in each reading process, whose own parent, the server, outlives a task's process that was killed."""

    def wait() -> None:
        parent = multiprocessing.parent_process()
        assert parent is not None
        parent.join()
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()


def _as_it_is(array: Any) -> Any:
    """Arrays cross to this process by pipe: tensors would go by shared memory, of which containers have little."""
    return array
