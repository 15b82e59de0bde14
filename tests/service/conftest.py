"""A small study on workers that run no torch, and a client of the service over its database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from moonas.service.app import create_app
from moonas.service.settings import Settings
from moonas.store.states import Role
from moonas.store.store import Store
from moonas.store.tokens import create_token
from tests.outer.fakes import FakePool, drive, small_study

Door = Callable[..., TestClient]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with the finished study `small`: 12 trials."""
    path = tmp_path_factory.mktemp("service") / "made.db"
    with Store.open(f"sqlite:///{path}", create=True) as store:
        assert drive(store, small_study(), FakePool()) == "COMPLETE"
    return path


@pytest.fixture
def url(made: Path, tmp_path: Path) -> str:
    """A copy of it that a test may change."""
    path = tmp_path / "study.db"
    path.write_bytes(made.read_bytes())
    return f"sqlite:///{path}"


@pytest.fixture
def door(url: str) -> Iterator[Door]:
    """Makes clients of a server with other settings than usual."""
    made: list[TestClient] = []

    def client(**settings: object) -> TestClient:
        app = create_app(Settings(storage=url, **settings))  # type: ignore[arg-type]
        made.append(TestClient(app, base_url="http://localhost:8080", follow_redirects=False))
        return made[-1]

    yield client
    for one in made:
        one.close()
        one.app.state.store.close()  # type: ignore[attr-defined]


@pytest.fixture
def client(door: Door) -> TestClient:
    return door()


@pytest.fixture
def tokens(url: str) -> dict[Role, str]:
    """A token of each role."""
    with Store.open(url) as store:
        return {role: create_token(store.database, f"some {role}", role) for role in Role}
