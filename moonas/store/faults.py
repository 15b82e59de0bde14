"""What database drivers raise, as errors that name the database and say whether waiting may help."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DatabaseError, DBAPIError, IntegrityError, OperationalError, SQLAlchemyError

from moonas.errors import StorageError, UnavailableError

# Of PostgreSQL's error codes: connections lost, transactions broken off for the sake of others, a server that stops or starts.
_PASSING_CLASSES = ("08", "40", "57")
_PASSING_CODES = ("53300", "55P03")  # too many connections; a lock that was not to be had in time


@contextmanager
def explained(shown: str) -> Iterator[None]:
    """Turn what a database driver raises into a StorageError that names the database; broken constraints pass."""
    try:
        yield
    except IntegrityError:
        raise
    except DatabaseError as error:
        kind = UnavailableError if _passes(error) else StorageError
        raise kind(f"{shown}: {str(error.orig).strip()}") from error
    except SQLAlchemyError as error:
        raise StorageError(f"{shown}: {error}") from error


def _passes(error: DBAPIError) -> bool:
    """Whether the same may work in a while."""
    if error.connection_invalidated:
        return True
    if isinstance(error.orig, sqlite3.Error):
        return (getattr(error.orig, "sqlite_errorcode", 0) & 0xFF) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    code = getattr(error.orig, "sqlstate", None)
    if code is None:  # it was not the server that said so: it cannot be reached
        return isinstance(error, OperationalError)
    return code.startswith(_PASSING_CLASSES) or code in _PASSING_CODES
