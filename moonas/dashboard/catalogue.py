"""The studies of one database, kept at hand for as long as the server runs."""

from __future__ import annotations

from threading import Lock

from moonas.dashboard.live import LiveStudy
from moonas.dashboard.overview import StudyLine, study_lines
from moonas.errors import NoDatabaseError, UsageError
from moonas.store.store import Store

KEPT = 20  # studies whose trials are kept in memory


class Catalogue:
    """Opened by its first reader, over a connection that cannot write."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._lock = Lock()
        self._store: Store | None = None
        self._live: dict[str, LiveStudy] = {}

    @property
    def store(self) -> Store:
        """Raises NoDatabaseError until there is one, StorageError where it cannot be read."""
        with self._lock:
            if self._store is None:
                self._store = Store.open(self.url, read_only=True)
            return self._store

    def lines(self) -> list[StudyLine]:
        """Every study in one line, the oldest first; none where there is no database yet."""
        try:
            return study_lines(self.store)
        except NoDatabaseError:
            return []

    def names(self) -> list[str]:
        """Of all studies, in alphabetical order."""
        try:
            return sorted(line.name for line in self.store.studies())
        except NoDatabaseError:
            return []

    def holds(self, name: str, number: str | None = None, key: str | None = None) -> bool:
        """Whether there is a study of this name and, where an address names one, this trial or architecture in it."""
        if name not in self.names() or (number is not None and not self.live(name).has_trial(number)):
            return False
        try:
            return key is None or bool(self.store.architecture_by_prefix(self.store.study(name).id, key))
        except UsageError:  # none or several begin so
            return False

    def live(self, name: str) -> LiveStudy:
        """A study as it is now. Raises UnknownStudyError."""
        store = self.store
        record = store.study(name)
        with self._lock:
            known = self._live.pop(name, None)
            if known is None or (known.record.id, known.record.created) != (record.id, record.created):
                known = LiveStudy(store, name)
            self._live[name] = known  # behind all others: the one used last
            while len(self._live) > KEPT:
                del self._live[next(iter(self._live))]
        known.refresh(record)
        return known
