"""CIFAR-10: 60,000 colour images of 32x32 pixels. Source: Krizhevsky 2009, Learning multiple layers of features from tiny images.

The files hold pickles; torchvision opens them only after their MD5 sums have been found right.
"""

from __future__ import annotations

import shlex

import torch

from moonas.data.augment import Augment
from moonas.data.dataset import Source, data_root
from moonas.errors import DataError

# per channel, as in the published DARTS code (Liu et al., ICLR 2019, arXiv:1806.09055)
MEAN = (0.49139968, 0.48215827, 0.44653124)
STD = (0.24703233, 0.24348505, 0.26158768)


def load(root: str | None = None) -> Source:
    """The official training and test sets from `<root>/cifar-10-batches-py`. Raises DataError, with the command that gets them."""
    from torchvision.datasets import CIFAR10

    folder = data_root(root)
    try:
        train, test = CIFAR10(str(folder), train=True), CIFAR10(str(folder), train=False)
    except (RuntimeError, OSError) as error:
        state = "damaged or incomplete" if (folder / CIFAR10.base_folder).is_dir() else "not there"
        download = f"from torchvision.datasets import CIFAR10; CIFAR10({str(folder)!r}, download=True)"
        raise DataError(
            f"cifar10 in {folder / CIFAR10.base_folder} is {state}.\nGet it by\n  python -c {shlex.quote(download)}\n"
            "or name another folder in the environment variable MOONAS_DATA."
        ) from error
    return Source(
        images=torch.from_numpy(train.data).permute(0, 3, 1, 2),
        labels=torch.tensor(train.targets),
        test_images=torch.from_numpy(test.data).permute(0, 3, 1, 2),
        test_labels=torch.tensor(test.targets),
        mean=MEAN,
        std=STD,
        augment=Augment(pad=4, flip=True),
    )
