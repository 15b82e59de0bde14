"""Augmentation: every result is a shifted, possibly mirrored copy, and the generator alone decides which."""

import torch
from torch.nn import functional

from moonas.data.augment import Augment, augment


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_without_shift_and_mirror_images_stay_as_they_are():
    images = torch.rand(5, 3, 6, 7)
    assert torch.equal(augment(images, Augment(), torch.zeros(3), generator()), images)


def test_every_result_is_one_crop_of_the_image_padded_with_black_and_all_crops_occur():
    images, black = torch.rand(400, 2, 5, 5), torch.tensor([-1.0, -2.0])
    seen = set()
    padded = [functional.pad(images[:, channel], (1, 1, 1, 1), value=float(black[channel])) for channel in range(2)]
    bordered = torch.stack(padded, dim=1)
    for number, result in enumerate(augment(images, Augment(pad=1, flip=True), black, generator())):
        crops = {
            (top, left, mirrored): crop.flip(2) if mirrored else crop
            for top in range(3)
            for left in range(3)
            for crop in [bordered[number, :, top : top + 5, left : left + 5]]
            for mirrored in (False, True)
        }
        seen |= {place for place, crop in crops.items() if torch.equal(crop, result)}
    assert len(seen) == 18


def test_about_half_of_the_images_are_mirrored():
    images = torch.arange(4.0).expand(1000, 1, 4, 4).contiguous()
    mirrored = (augment(images, Augment(flip=True), torch.zeros(1), generator())[:, 0, 0, 0] == 3).sum()
    assert 450 < mirrored < 550  # 3 standard deviations are 47


def test_the_same_generator_state_gives_the_same_batch():
    images, how = torch.rand(8, 1, 8, 8), Augment(pad=2, flip=True)
    first, again = augment(images, how, torch.zeros(1), generator()), augment(images, how, torch.zeros(1), generator())
    assert torch.equal(first, again)
