"""A space and a skeleton small enough for tests that train."""

from __future__ import annotations

import os

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch or NumPy load

from moonas.skeleton import Skeleton
from moonas.spaces.space import Space, make_space


@pytest.fixture
def tiny_space() -> Space:
    """All eight operations on 5 edges: 2 intermediate nodes."""
    return make_space({"name": "darts-cnn", "nodes": 2})


@pytest.fixture
def tiny_skeleton() -> Skeleton:
    """4 channels, 3 cells, digits."""
    return Skeleton(channels=4, cells=3, input_shape=(1, 8, 8), classes=10)
