"""Looking after a database: upgrading it to this version of moonas, and finding what is wrong with it."""

from __future__ import annotations

from moonas.store.checks import faults
from moonas.store.database import connect
from moonas.store.store import Store


def upgrade(url: str) -> None:
    """Bring an existing database to the schema of this version, all or nothing.

    Raises NoDatabaseError where there is none, SchemaVersionError where it is of a newer moonas, StorageError otherwise.
    """
    database = connect(url)
    try:
        if database.revision() is not None:
            database.migrate()
        database.check_revision()
    finally:
        database.engine.dispose()


def check(url: str) -> list[str]:
    """Everything found wrong, one sentence each; empty where all is well. Changes nothing. Raises StorageError."""
    with Store.open(url, read_only=True) as store, store.database.read() as session:
        return faults(session)
