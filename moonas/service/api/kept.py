"""Answers that many clients ask for over and over, written once until what they tell has changed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable

KEPT = 64  # answers
SECONDS = 5.0  # after which one is written anew in any case: a further replicate of the same mean changes no front, but its count


class KeptAnswers:
    """By what was asked; those that were asked for least lately are forgotten."""

    def __init__(self) -> None:
        self._known: dict[Hashable, tuple[Hashable, float, bytes]] = {}
        self._making: dict[Hashable, threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, asked: Hashable, stamp: Hashable, make: Callable[[], bytes]) -> bytes:
        """What `make` gives, or gave lately at the same stamp; who asks for the same meanwhile waits for it."""
        with self._lock:
            making = self._making.setdefault(asked, threading.Lock())
        with making:
            known = self._known.get(asked)
            if known is None or known[0] != stamp or time.monotonic() - known[1] > SECONDS:
                known = (stamp, time.monotonic(), make())
        with self._lock:
            self._known.pop(asked, None)
            self._known[asked] = known
            while len(self._known) > KEPT:
                oldest = next(iter(self._known))
                del self._known[oldest]
                self._making.pop(oldest, None)
        return known[2]
