"""Opening a database: URLs, SQLite's settings, schema revisions, and transactions whose errors say what would do.

Alembic is imported only where a database is made or upgraded.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event, inspect, text
from sqlalchemy.exc import OperationalError

from moonas.errors import NoDatabaseError, SchemaVersionError, StorageError
from moonas.store.address import open_to_read, read_url, sqlite_path, without_secrets
from moonas.store.faults import explained

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

REVISIONS = ("0001", "0002", "0003")  # oldest first; a test holds them to the files of migrations/versions
HEAD = REVISIONS[-1]
VERSION_TABLE = "moonas_version"
_DECODER = json.JSONDecoder()
BUSY_SECONDS = 30.0  # how long one writer waits for another
# Seconds of silence, and how often in vain, until a connection to a server counts as lost.
_PATIENCE = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,  # milliseconds, also where an answer is on its way
}
_CREATION_LOCK = 0x6D6F6F6E6173  # PostgreSQL's advisory lock of whoever makes or upgrades the tables: "moonas" in ASCII


class Database:
    """An engine, and its two kinds of transaction. shown: its URL without the password."""

    def __init__(self, engine: Engine, shown: str) -> None:
        self.engine, self.shown = engine, shown
        self._writer = engine.execution_options(writes=True)
        one_snapshot = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True} if self.is_server else {}
        self._reader = engine.execution_options(**one_snapshot)

    @property
    def is_server(self) -> bool:
        """Whether this is PostgreSQL, and not a file."""
        return self.engine.dialect.name == "postgresql"

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection to read by, on one snapshot. Raises StorageError."""
        with explained(self.shown), self._reader.connect() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session on one snapshot. Raises StorageError."""
        from sqlalchemy.orm import Session  # the object mapper takes as long to load as all else; a list of studies needs none

        with explained(self.shown), Session(self._reader) as session:
            yield session

    @contextmanager
    def write(self, lock_seconds: float | None = None) -> Iterator[Session]:
        """A session whose work is committed as a whole at the end, or not at all. Raises StorageError.

        lock_seconds: how long to wait for others' locks on a server, UnavailableError then; as long as it takes where not given.
        """
        from sqlalchemy.orm import Session

        with explained(self.shown), Session(self._writer) as session, session.begin():
            if lock_seconds is not None and self.is_server:
                session.execute(text(f"SET LOCAL lock_timeout = '{lock_seconds * 1000:.0f}ms'"))
            yield session

    def revision(self) -> str | None:
        """The schema revision; None where the database holds no moonas tables. Raises StorageError."""
        with explained(self.shown), self.engine.connect() as connection:
            return _revision(connection)

    def check_revision(self) -> None:
        """Raise SchemaVersionError unless the tables are of this version, NoDatabaseError or StorageError where there are none."""
        revision = self.revision()
        if revision is None:
            with explained(self.shown):
                others = inspect(self.engine).get_table_names()
            if others:
                raise StorageError(
                    f"{self.shown} is a database, but holds no moonas studies; it has the tables {', '.join(others[:5])}"
                )
            raise NoDatabaseError(f"{self.shown} is empty: no study was ever run there")
        self._refuse_newer(revision)
        if revision != HEAD:
            raise SchemaVersionError(
                f"{self.shown} has schema revision {revision}, this moonas needs {HEAD}; "
                f"upgrade it with: moonas db upgrade --storage {self.shown}" + " (and its password)" * (":***@" in self.shown)
            )

    def migrate(self) -> None:
        """Bring the tables to this version, from nothing or an older revision, all or nothing; safe against others doing so."""
        with explained(self.shown), self._writer.connect() as connection, connection.begin():
            if self.is_server:
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _CREATION_LOCK})
            revision = _revision(connection)
            self._refuse_newer(revision)
            if revision != HEAD:
                _run_migrations(connection)

    def use_wal(self) -> None:
        """Let SQLite's readers and its writer work side by side; the file remembers it."""
        deadline = time.monotonic() + BUSY_SECONDS
        with explained(self.shown):
            while True:
                connection = self.engine.raw_connection()
                try:
                    connection.cursor().execute("PRAGMA journal_mode = WAL")
                    return
                except Exception as error:
                    # SQLite does not wait for others here, whatever its busy timeout.
                    if "locked" not in str(error) or time.monotonic() > deadline:
                        raise OperationalError("PRAGMA journal_mode = WAL", None, error) from error
                finally:
                    connection.close()
                time.sleep(0.02)

    def _refuse_newer(self, revision: str | None) -> None:
        if revision is not None and revision not in REVISIONS:
            raise SchemaVersionError(
                f"{self.shown} has schema revision {revision}, made by a newer moonas; this one knows up to {HEAD}. Upgrade moonas."
            )


def connect(url: str, *, create: bool = False, read_only: bool = False) -> Database:
    """Open the database behind `url` without looking at its tables; `create` allows a new SQLite file.

    Raises NoDatabaseError where an SQLite file is absent, StorageError where the URL or its place cannot be used.
    """
    parsed = read_url(url)
    shown = without_secrets(parsed)
    if parsed.get_backend_name() == "sqlite":
        return Database(_sqlite_engine(sqlite_path(parsed, create), read_only), shown)
    try:
        with explained(shown):
            return Database(_postgresql_engine(parsed, read_only), shown)
    except ImportError as error:
        raise StorageError(f"{shown} needs the driver {error.name!r}; install it with: pip install 'moonas[postgres]'") from error


def _sqlite_engine(path: Path, read_only: bool) -> Engine:
    options: dict[str, Any] = {"connect_args": {"timeout": BUSY_SECONDS}}
    if read_only:
        options = {"creator": partial(open_to_read, path, timeout=BUSY_SECONDS, check_same_thread=False)}
        if not os.access(path.parent, os.W_OK):  # what stands beside the file decides, each time anew, how it can be read
            options["poolclass"] = NullPool
    engine = create_engine(
        URL.create("sqlite", database=str(path)), json_serializer=_to_json, json_deserializer=_from_json, **options
    )
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _postgresql_engine(url: URL, read_only: bool) -> Engine:
    patience = {name: value for name, value in _PATIENCE.items() if name not in url.query}
    options = {"postgresql_readonly": True} if read_only else {}
    # A connection is tried before it is used: one that a server's restart has left dead is replaced before anything hangs on it.
    engine = create_engine(url, json_serializer=_to_json, pool_pre_ping=True, connect_args=patience, execution_options=options)
    event.listen(engine, "connect", _set_up_postgresql)
    return engine


def _set_up_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # transactions begin where SQLAlchemy says, not where Python's driver guesses
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA synchronous = NORMAL")  # with WAL, a killed process loses nothing; a power cut at most the last moments
    cursor.close()


def _set_up_postgresql(connection: Any, _: Any) -> None:
    """Let the server notice a client that is gone within a minute, too: until then it would keep the client's locks."""
    connection.execute("SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3")
    connection.commit()


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes its lock at once: one that first reads could not wait for another writer, only fail.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()


def _run_migrations(connection: Connection, to: str = HEAD) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, to)


def _to_json(value: Any) -> str:
    """JSON for a column; NaN and infinities, which JSON does not know, become null."""
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), allow_nan=False)


def _from_json(text: str) -> Any:
    """What `_to_json` wrote, whose text has no blanks around it; `json.loads` takes twice as long over small values."""
    return _DECODER.raw_decode(text)[0]


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
