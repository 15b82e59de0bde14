"""Handwritten digits that ship with scikit-learn: 1797 images of 8x8 pixels, one pool.

Source: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, doi:10.24432/C50P49.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import torch

from moonas.data.augment import Augment
from moonas.data.dataset import Source
from moonas.errors import DataError


def load(root: str | None = None) -> Source:
    """The digits, scaled from 0..16 to 0..1; nothing is read from `root`.

    The table is read from scikit-learn's folder without importing scikit-learn, which would cost every worker more than a second.
    Raises DataError where it is not there or damaged.
    """
    package = importlib.util.find_spec("sklearn")
    if package is None or package.origin is None:
        raise DataError("digits ship with scikit-learn, which is not installed; get it by\n  pip install scikit-learn")
    path = Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"
    try:
        table = np.loadtxt(path, delimiter=",", dtype=np.float32)
    except (OSError, EOFError, ValueError) as error:
        raise DataError(f"digits: {path} cannot be read ({error}); pip install --force-reinstall scikit-learn") from error
    images = torch.from_numpy(table[:, :-1]).reshape(-1, 1, 8, 8) / 16
    return Source(images=images, labels=torch.from_numpy(table[:, -1]).long(), augment=Augment(pad=1))
