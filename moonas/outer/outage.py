"""When the database goes away under a running study: how long to wait for it, and what is said meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable

from moonas.errors import StorageError, UnavailableError
from moonas.store.ledger import Ledger

PATIENCE = 600.0  # seconds: a server's restart, its upgrade, a failover to another one
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0  # seconds between attempts; each pause is twice the one before


def wait_for_database(ledger: Ledger, lost: UnavailableError, name: str, note: Callable[[str], None]) -> None:
    """Try until the database answers again and it is known what of the last write has counted, see `LeasedWrites.settle`.

    name: of the study. note: takes a line worth reading.
    Raises StorageError once `PATIENCE` is at its end; LeaseError where another process has taken the study over meanwhile.
    """
    began, pause = time.monotonic(), FIRST_PAUSE
    note(f"the database is away: {lost}; trying again for {PATIENCE / 60:g} minutes, running tasks go on")
    while time.monotonic() - began < PATIENCE:
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
        try:
            ledger.settle()
        except UnavailableError as error:
            lost = error
        else:
            return note(f"the database is back after {time.monotonic() - began:.0f} s")
    raise StorageError(
        f"{lost}\nThe database was away for {PATIENCE / 60:g} minutes. What it holds is safe; once it is back, go on with: "
        f"moonas resume {name}"
    )
