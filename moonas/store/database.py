"""Opening a database: URLs, SQLite's settings, schema revisions, and transactions whose errors say what would do.

Alembic is imported only where a database is made or upgraded.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, IntegrityError, OperationalError, SQLAlchemyError

from moonas.errors import NoDatabaseError, SchemaVersionError, StorageError

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

REVISIONS = ("0001", "0002")  # oldest first; a test holds them to the files of migrations/versions
HEAD = REVISIONS[-1]
VERSION_TABLE = "moonas_version"
_DECODER = json.JSONDecoder()
BUSY_SECONDS = 30.0  # how long one writer waits for another
_CREATION_LOCK = 0x6D6F6F6E6173  # PostgreSQL's advisory lock of whoever makes or upgrades the tables: "moonas" in ASCII


class Database:
    """An engine, and its two kinds of transaction. shown: its URL without the password."""

    def __init__(self, engine: Engine, shown: str) -> None:
        self.engine, self.shown = engine, shown
        self._writer = engine.execution_options(writes=True)

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection to read by, on one snapshot. Raises StorageError."""
        with explained(self.shown), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session on one snapshot. Raises StorageError."""
        from sqlalchemy.orm import Session  # the object mapper takes as long to load as all else; a list of studies needs none

        with explained(self.shown), Session(self.engine) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session whose work is committed as a whole at the end, or not at all. Raises StorageError."""
        from sqlalchemy.orm import Session

        with explained(self.shown), Session(self._writer) as session, session.begin():
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
                f"upgrade it with: moonas db upgrade --storage {self.shown}"
            )

    def migrate(self) -> None:
        """Bring the tables to this version, from nothing or an older revision, all or nothing; safe against others doing so."""
        with explained(self.shown), self._writer.connect() as connection, connection.begin():
            if connection.dialect.name == "postgresql":
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
    parsed = _parse(url)
    shown = parsed.render_as_string(hide_password=True)
    options: dict[str, Any] = {"json_serializer": _to_json, "json_deserializer": _from_json}
    sqlite = parsed.get_backend_name() == "sqlite"
    if sqlite:
        path = _sqlite_path(parsed, shown, create)
        uri = {"database": f"file:{quote(str(path))}", "query": {"mode": "ro", "uri": "true"}}
        parsed = URL.create(parsed.drivername, **(uri if read_only else {"database": str(path)}))
        options["connect_args"] = {"timeout": BUSY_SECONDS}
    elif read_only:
        options["execution_options"] = {"postgresql_readonly": True}
    try:
        with explained(shown):
            engine = create_engine(parsed, **options)
    except ImportError as error:
        raise StorageError(f"{shown} needs the driver {error.name!r}; install it with: pip install 'moonas[postgres]'") from error
    if sqlite:
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return Database(engine, shown)


@contextmanager
def explained(shown: str) -> Iterator[None]:
    """Turn what a database driver raises into a StorageError that names the database; broken constraints pass."""
    try:
        yield
    except IntegrityError:
        raise
    except DatabaseError as error:
        raise StorageError(f"{shown}: {str(error.orig).strip()}") from error
    except SQLAlchemyError as error:
        raise StorageError(f"{shown}: {error}") from error


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except (ArgumentError, ValueError):  # the text is not repeated: it may hold a password
        raise StorageError("the storage is not a database URL; write it like sqlite:///moonas.db") from None
    if backend not in ("sqlite", "postgresql"):
        raise StorageError(f"{backend!r} databases are not supported; use sqlite:///FILE or postgresql://HOST/DATABASE")
    return parsed


def _sqlite_path(url: URL, shown: str, create: bool) -> Path:
    if not url.database or url.database == ":memory:":
        raise StorageError(f"{shown} lives in memory only; a study needs a file, such as sqlite:///moonas.db")
    path = Path(url.database).absolute()
    if path.is_dir():
        raise StorageError(f"{shown}: {path} is a folder, not a database")
    if not path.exists() and not create:
        raise NoDatabaseError(f"{shown}: there is no file {path}")
    if not path.parent.is_dir():
        raise StorageError(f"{shown}: there is no folder {path.parent} to make the database in")
    return path


def _set_up_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # transactions begin where SQLAlchemy says, not where Python's driver guesses
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA synchronous = NORMAL")  # with WAL, a killed process loses nothing; a power cut at most the last moments
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes its lock at once: one that first reads could not wait for another writer, only fail.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()


def _run_migrations(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


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
