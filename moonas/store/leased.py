"""Transactions under a study's lease: a holder that lost it writes nothing, and one whose connection broke knows what counted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.orm import Session

from moonas.store import lease
from moonas.store.database import Database
from moonas.store.lease import LEASE_SECONDS

SETTLE_SECONDS = 10.0  # how long to wait for a transaction that a server has not given up yet


class LeasedWrites:
    """The transactions of one holder, each of which begins with renewing the lease.

    A connection may be lost after COMMIT was sent and before its answer came. Every transaction leaves its own time in the lease,
    by the database's clock, where nobody but the holder writes: what is found there afterwards tells whether it counted.
    """

    def __init__(self, database: Database, study_id: int, holder: str, ttl: float = LEASE_SECONDS) -> None:
        self.database, self.study_id, self.holder, self.ttl = database, study_id, holder, ttl
        self.commits = 0  # how many transactions have counted
        self._session: Session | None = None
        self._stamp: float | None = None  # what the open transaction leaves in the lease

    @contextmanager
    def together(self) -> Iterator[None]:
        """All writes within are one transaction: they count together or, after an error or a kill, not at all."""
        with self._write():
            yield

    def settle(self) -> None:
        """Find out, after an UnavailableError, whether the last transaction has counted; `commits` says so then.

        Raises UnavailableError where the database is still away, or has not given that transaction up; LeaseError.
        """
        with self.database.write(lock_seconds=SETTLE_SECONDS) as session:
            until = lease.expires(session, self.study_id, self.holder)
        if until == self._stamp:
            self.commits += 1
        self._stamp = None

    @contextmanager
    def _write(self) -> Iterator[Session]:
        if self._session is not None:
            yield self._session
            return
        self._stamp = None
        with self.database.write() as self._session:
            try:
                self._stamp = lease.extend(self._session, self.study_id, self.holder, self.ttl)
                yield self._session
            finally:
                self._session = None
        self._stamp, self.commits = None, self.commits + 1
