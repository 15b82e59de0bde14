"""The study database as the rest of moonas sees it: the one place where sessions open and close."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Self

from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError

from moonas.errors import StudyConflictError, UnavailableError
from moonas.store import lease
from moonas.store.database import connect
from moonas.store.lease import LEASE_SECONDS, new_holder
from moonas.store.ledger import Ledger
from moonas.store.queries import rows_changed
from moonas.store.reads import Reads
from moonas.store.records import StudyRecord
from moonas.store.tables import Event, Request, Study


class Store(Reads):
    """An open study database: everything that can be read, and the few writes that need no loop."""

    @classmethod
    def open(cls, url: str, create: bool = False, read_only: bool = False) -> Self:
        """Open the database behind an SQLAlchemy URL; `create` makes a new one where there is none.

        Raises NoDatabaseError where there is none to open, SchemaVersionError where it is of another version of moonas,
        StorageError where it cannot be used.
        """
        database = connect(url, create=create, read_only=read_only)
        try:
            if create and database.revision() is None:
                if not database.is_server:
                    database.use_wal()
                database.migrate()
            database.check_revision()
        except BaseException:
            database.engine.dispose()
            raise
        return cls(database)

    def close(self) -> None:
        self.database.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def create_study(
        self, name: str, config: Mapping[str, Any], *, schema: int, config_hash: str, seed: int, version: str
    ) -> StudyRecord:
        """Add a NEW study. Raises StudyConflictError where the name is taken."""
        try:
            with self.database.write() as session:
                study = Study(name=name, config=dict(config), schema=schema, config_hash=config_hash, seed=seed, version=version)
                session.add(study)
                session.flush()
                session.add(Event(study_id=study.id, kind="created", text=f"created by moonas {version}"))
        except IntegrityError as error:
            raise StudyConflictError(f"{self.database.shown} already holds a study {name!r}") from error
        return self.study(name)

    def delete_study(self, name: str) -> list[str]:
        """Delete a study and what no other study needs; returns the URLs of its artifacts, to be removed.

        Raises UnknownStudyError, or LeaseError while a living process drives the study.
        """
        with self.ledger(self.study(name).id) as ledger:
            return ledger.delete_study()

    def acquire(self, study_id: int, holder: str, ttl: float = LEASE_SECONDS) -> None:
        """Take the study's lease where it is free, run out, one's own, or of a process that has died on this host.

        Raises LeaseError, saying who holds it and since when.
        """
        with self.database.write() as session:
            lease.take(session, study_id, holder, ttl)

    def renew(self, study_id: int, holder: str, ttl: float = LEASE_SECONDS) -> None:
        """Raises LeaseError where another process has taken the lease."""
        with self.database.write() as session:
            lease.extend(session, study_id, holder, ttl)

    def release(self, study_id: int, holder: str) -> None:
        """Free one's own lease; one that is another's by now is left alone."""
        with self.database.write() as session:
            lease.give_back(session, study_id, holder)

    @contextmanager
    def ledger(self, study_id: int, holder: str | None = None, ttl: float = LEASE_SECONDS) -> Iterator[Ledger]:
        """The study's ledger, with the lease held meanwhile. Raises LeaseError."""
        holder = holder or new_holder()
        self.acquire(study_id, holder, ttl)
        try:
            yield Ledger(self.database, study_id, holder, ttl)
        finally:
            with suppress(UnavailableError):  # then it runs out by itself
                self.release(study_id, holder)

    def add_request(self, study_id: int, kind: str, payload: Mapping[str, Any] | None = None) -> int:
        """Ask the study's loop for something: pause, stop, cancel ... It takes requests up in their order. Returns its id."""
        with self.database.write() as session:
            request = Request(study_id=study_id, kind=kind, payload=dict(payload or {}))
            session.add(request)
            session.flush()
            return request.id

    def withdraw(self, request_id: int) -> bool:
        """Take a request back; False where a loop has taken it up already."""
        with self.database.write() as session:
            return rows_changed(session, delete(Request).where(Request.id == request_id, Request.taken.is_(None))) == 1
