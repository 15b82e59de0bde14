"""Augmentation of a whole batch at once, on its device."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Augment:
    """pad: pixels a random crop may shift the image by, each way. flip: mirror half of the images left to right."""

    pad: int = 0
    flip: bool = False


def augment(images: Tensor, how: Augment, black: Tensor, generator: torch.Generator) -> Tensor:
    """Randomly shifted and mirrored copies of `images`, by one gather.

    images: (n, c, h, w), normalised. black: (c,), what a pixel of value 0 became by the normalisation; the border that a shift
    uncovers is filled with it, as if the crop came before the normalisation.
    generator: on the device of the images.
    Returns (n, c, h, w).
    """
    if how == Augment():
        return images
    count, channels, height, width = images.shape
    device, pad = images.device, how.pad
    top, left = torch.randint(0, 2 * pad + 1, (2, count, 1), generator=generator, device=device)
    mirrored = torch.rand((count, 1), generator=generator, device=device) < 0.5
    rows = top + torch.arange(height, device=device)
    columns = torch.arange(width, device=device).expand(count, width)
    if how.flip:
        columns = torch.where(mirrored, width - 1 - columns, columns)
    columns = columns + left
    padded = black.view(1, channels, 1, 1).repeat(count, 1, height + 2 * pad, width + 2 * pad)
    padded[:, :, pad : pad + height, pad : pad + width] = images
    number = torch.arange(count, device=device)
    gathered = padded[number[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    return gathered.permute(0, 3, 1, 2).contiguous()
