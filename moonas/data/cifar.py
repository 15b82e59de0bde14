"""What CIFAR-10 and CIFAR-100 share: colour images of 32x32 pixels, 50,000 to train and 10,000 to test.

Source: Krizhevsky 2009, Learning multiple layers of features from tiny images.
The files hold pickles; torchvision opens them only after their MD5 sums have been found right.
"""

from __future__ import annotations

import shlex

import torch

from moonas.data.augment import Augment
from moonas.data.dataset import Source, data_root
from moonas.errors import DataError


def load_cifar(name: str, published: str, root: str | None, mean: tuple[float, ...], std: tuple[float, ...]) -> Source:
    """The official training and test sets as torchvision's class `published` reads them below `root`.

    Raises DataError, with the command that gets them.
    """
    from torchvision import datasets

    kind, folder = getattr(datasets, published), data_root(root)
    try:
        train, test = kind(str(folder), train=True), kind(str(folder), train=False)
    except (RuntimeError, OSError) as error:
        state = "damaged or incomplete" if (folder / kind.base_folder).is_dir() else "not there"
        download = f"from torchvision.datasets import {published}; {published}({str(folder)!r}, download=True)"
        raise DataError(
            f"{name} in {folder / kind.base_folder} is {state}.\nGet it by\n  python -c {shlex.quote(download)}\n"
            "or name another folder in the environment variable MOONAS_DATA."
        ) from error
    return Source(
        images=torch.from_numpy(train.data).permute(0, 3, 1, 2),
        labels=torch.tensor(train.targets),
        test_images=torch.from_numpy(test.data).permute(0, 3, 1, 2),
        test_labels=torch.tensor(test.targets),
        mean=mean,
        std=std,
        augment=Augment(pad=4, flip=True),
    )
