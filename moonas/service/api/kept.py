"""Answers that many clients ask for over and over: written once until they change, or once for all who wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

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


@dataclass
class _Asked:
    """begun: how many answers were begun so far. number: of the one that `content` is."""

    making: threading.Lock = field(default_factory=threading.Lock)
    begun: int = 0
    number: int = 0
    content: bytes = b""


class SharedAnswers:
    """One answer for all who wait for the same, as new as one of their own: it was begun after each of them had asked."""

    def __init__(self) -> None:
        self._known: dict[Hashable, _Asked] = {}
        self._lock = threading.Lock()

    def get(self, asked: Hashable, make: Callable[[], bytes]) -> bytes:
        """What `make` gives to the first of those who wait; where it raises, the next one tries."""
        with self._lock:
            known = self._known.pop(asked, None) or _Asked()
            self._known[asked] = known  # at the end: those in front were asked for least lately
            while len(self._known) > KEPT:
                del self._known[next(iter(self._known))]
        before = known.begun
        with known.making:
            if known.number <= before:
                known.begun += 1
                known.content = make()
                known.number = known.begun
            return known.content
