"""Who may write to a study: one holder at a time, by the database's clock.

A holder is the text `host/pid/uuid`. Its lease runs out unless renewed, and every write renews it; the lease of a process that
has died on this host is free at once.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from sqlalchemy import Double, bindparam, select, update
from sqlalchemy.orm import Session

from moonas.errors import LeaseError
from moonas.store.queries import run, table_of
from moonas.store.tables import Study, database_time

LEASE_SECONDS = 60.0
_STUDY = table_of(Study)
# Built once: every write of the loop begins with it.
_EXTEND = (
    update(_STUDY)
    .where(_STUDY.c.id == bindparam("study"), _STUDY.c.lease_holder == bindparam("holder"))
    .values(lease_expires=database_time() + bindparam("ttl", type_=Double()))
    .returning(_STUDY.c.lease_expires)
)


def new_holder() -> str:
    """A name for one loop in this process."""
    return f"{socket.gethostname()}/{os.getpid()}/{uuid4().hex}"


def is_holder(text: str) -> bool:
    """Whether a text is what `new_holder` gives."""
    parts = text.split("/")
    return len(parts) == 3 and parts[1].isdigit()


def has_died(holder: str) -> bool:
    """Whether the holder's process was on this host and is no more, or was none; False where that cannot be told."""
    if not is_holder(holder):
        return True
    host, pid, _ = holder.split("/")
    if host != socket.gethostname():
        return False
    with suppress(OSError, IndexError):  # a killed process that nobody waited for yet: it has a number, but runs no more
        if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False


def take(session: Session, study_id: int, holder: str, ttl: float) -> None:
    """Take a lease that is free, run out, dead or one's own already. Raises LeaseError."""
    left = (Study.lease_expires - database_time()).label("left")
    query = select(Study.name, Study.lease_holder, Study.lease_since, left).where(Study.id == study_id).with_for_update()
    name, present, since, seconds = session.execute(query).one()
    values = {"lease_holder": holder, "lease_expires": database_time() + ttl}
    if present != holder:
        if present is not None and since is not None and seconds is not None and seconds > 0 and not has_died(present):
            raise LeaseError(
                f"study {name!r} is driven by {_process(present, since)}; "
                f"if that process is gone, the study is free in {seconds:.0f} s"
            )
        values["lease_since"] = database_time()
    session.execute(update(Study).where(Study.id == study_id).values(values))


def extend(session: Session, study_id: int, holder: str, ttl: float) -> float:
    """Renew one's own lease, even one that ran out, so long as nobody took it; returns until when. Raises LeaseError."""
    return _mine(session, study_id, run(session, _EXTEND, {"study": study_id, "holder": holder, "ttl": ttl}).scalar())


def expires(session: Session, study_id: int, holder: str) -> float:
    """Until when one's own lease is, once every transaction that would change that is over. Raises LeaseError."""
    mine = select(Study.lease_expires).where(Study.id == study_id, Study.lease_holder == holder)
    return _mine(session, study_id, session.scalar(mine.with_for_update()))


def give_back(session: Session, study_id: int, holder: str) -> None:
    """Free one's own lease; another's is left alone."""
    mine = update(Study).where(Study.id == study_id, Study.lease_holder == holder)
    session.execute(mine.values(lease_holder=None, lease_since=None, lease_expires=None))


def _mine(session: Session, study_id: int, until: float | None) -> float:
    """until: None where the lease is another's, which is said then."""
    if until is not None:
        return until
    query = select(Study.name, Study.lease_holder, Study.lease_since).where(Study.id == study_id)
    found = session.execute(query).one_or_none()
    if found is None:
        raise LeaseError("the study was deleted; nothing more is written here")
    name, present, since = found
    ended = "was taken up by another process, which has ended since"
    now = f"is driven by {_process(present, since)}" if present and since else ended
    raise LeaseError(f"study {name!r} {now}: this process had lost it, and has written nothing more")


def _process(holder: str, since: float) -> str:
    """Who drives a study, and since when."""
    host, pid, _ = holder.split("/")
    return f"process {pid} on {host} since {datetime.fromtimestamp(since, UTC):%Y-%m-%d %H:%M:%S} UTC"
