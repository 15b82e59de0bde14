"""Where a database is: its URL as users write it, how it may be shown, and the file behind it."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from moonas.errors import NoDatabaseError, StorageError

_DRIVERS = {"sqlite": "pysqlite", "postgresql": "psycopg"}
_SECRETS = ("password", "passwd", "pwd", "sslpassword")  # of a URL's query


def read_url(text: str) -> URL:
    """The URL of a database, with the driver that moonas uses. Raises StorageError, which never repeats a password."""
    try:
        url = make_url(text.replace("postgres://", "postgresql://", 1) if text.startswith("postgres://") else text)
        backend, _, driver = url.drivername.partition("+")
    except (ArgumentError, ValueError):  # the text is not repeated: it may hold a password
        raise StorageError(
            "the storage is not a database URL; write it like sqlite:///moonas.db or postgresql://USER@HOST/DATABASE"
        ) from None
    if backend not in _DRIVERS:
        raise StorageError(f"{backend!r} databases are not supported; use sqlite:///FILE or postgresql://HOST/DATABASE")
    if driver not in ("", _DRIVERS[backend]):
        raise StorageError(f"the driver {driver!r} is not supported; write {backend}://..., which uses {_DRIVERS[backend]}")
    if backend == "postgresql" and "@" in f"{url.host}{url.database}":
        raise StorageError("the storage is not a database URL: in a user's name or password write @ as %40, / as %2F and : as %3A")
    drivername = f"{backend}+{_DRIVERS[backend]}" if backend == "postgresql" else backend
    return url._replace(drivername=drivername, password=url.password or None)  # `set` takes None for no change


def without_secrets(url: URL) -> str:
    """The URL as it may stand in a message or a log."""
    return url.difference_update_query(_SECRETS).render_as_string(hide_password=True)


def sqlite_path(url: URL, create: bool) -> Path:
    """The file behind an SQLite URL; `create` allows one that is not there.

    Raises NoDatabaseError where it is absent, StorageError where there can be none.
    """
    shown = without_secrets(url)
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


def open_to_read(path: Path, **options: Any) -> sqlite3.Connection:
    """A connection to an SQLite file that changes nothing, not even beside it.

    Readers of a WAL file share an index in a file of their own, which somebody has to make. Where that is nobody's to make, the
    folder being read-only and no writer at work, the file stands still and is read as it is.
    """
    log = path.with_name(path.name + "-wal")
    still = not log.exists() and not os.access(path.parent, os.W_OK)
    return sqlite3.connect(f"file:{quote(str(path))}?mode=ro{'&immutable=1' if still else ''}", uri=True, **options)
