"""CIFAR-10: the CIFAR images of ten classes."""

from __future__ import annotations

from moonas.data.cifar import load_cifar
from moonas.data.dataset import Source

# per channel, as in the published DARTS code (Liu et al., ICLR 2019, arXiv:1806.09055)
MEAN = (0.49139968, 0.48215827, 0.44653124)
STD = (0.24703233, 0.24348505, 0.26158768)


def load(root: str | None = None) -> Source:
    """The official sets from `<root>/cifar-10-batches-py`. Raises DataError, with the command that gets them."""
    return load_cifar("cifar10", "CIFAR10", root, MEAN, STD)
