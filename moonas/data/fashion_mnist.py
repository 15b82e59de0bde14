"""Fashion-MNIST: 70,000 grey images of 28x28 pixels, 10 kinds of clothing. Source: Xiao et al. 2017, arXiv:1708.07747."""

from __future__ import annotations

import shlex

import torch

from moonas.data.augment import Augment
from moonas.data.dataset import Source, data_root
from moonas.errors import DataError

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def load(root: str | None = None) -> Source:
    """The official training and test sets from `<root>/FashionMNIST/raw`. Raises DataError, with the commands that get them."""
    folder = data_root(root)
    raw = folder / "FashionMNIST" / "raw"
    absent = [name for name in FILES if not (raw / name).is_file()]
    if absent:
        raise DataError(f"fashion-mnist is not in {raw} (no {', '.join(absent)}).\n{_how_to_get(str(folder))}")
    from torchvision.datasets import FashionMNIST

    try:
        train, test = FashionMNIST(str(folder), train=True), FashionMNIST(str(folder), train=False)
    except Exception as error:  # torchvision reads damaged bytes in many ways: assertions, views, buffers
        raise DataError(f"fashion-mnist in {raw} is damaged ({error}).\n{_how_to_get(str(folder))}") from error
    return Source(
        images=train.data.unsqueeze(1),
        labels=train.targets.to(torch.int64),
        test_images=test.data.unsqueeze(1),
        test_labels=test.targets.to(torch.int64),
        augment=Augment(pad=4, flip=True),
    )


def _how_to_get(root: str) -> str:
    raw = shlex.quote(f"{root}/FashionMNIST/raw")
    download = f"from torchvision.datasets import FashionMNIST; FashionMNIST({root!r}, download=True)"
    unpack = f'gunzip -c "$f" > {raw}/"$(basename "$f" .gz)"'
    return (
        f"Get it by\n  python -c {shlex.quote(download)}\n"
        "or, on Debian and Ubuntu, by\n  apt-get install dataset-fashion-mnist\n"
        f"  mkdir -p {raw}\n  for f in /usr/share/datasets/fashion-mnist/*.gz; do {unpack}; done\n"
        "or name another folder in the environment variable MOONAS_DATA."
    )
