"""CIFAR-100: the CIFAR images of a hundred classes."""

from __future__ import annotations

from moonas.data.cifar import load_cifar
from moonas.data.dataset import Source

# per channel, as in the published P-DARTS code (Chen et al., ICCV 2019, arXiv:1904.12760)
MEAN = (0.5071, 0.4867, 0.4408)
STD = (0.2675, 0.2565, 0.2761)


def load(root: str | None = None) -> Source:
    """The official sets from `<root>/cifar-100-python`. Raises DataError, with the command that gets them."""
    return load_cifar("cifar100", "CIFAR100", root, MEAN, STD)
