"""Answers that many clients ask for over and over: written once until they change, or once for all who wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

KEPT = 64  # answers
SECONDS = 5.0  # after which one is written anew in any case: a further replicate of the same mean changes no front, but its count
Entry = TypeVar("Entry")


class _Entries(Generic[Entry]):
    """An entry for each thing that is asked for; those that were asked for least lately are forgotten."""

    def __init__(self, new: Callable[[], Entry]) -> None:
        self._new, self._known, self._lock = new, dict[Hashable, Entry](), threading.Lock()

    def find(self, asked: Hashable) -> Entry:
        with self._lock:
            entry = self._known[asked] = self._known.pop(asked, None) or self._new()
            while len(self._known) > KEPT:
                del self._known[next(iter(self._known))]
        return entry


@dataclass
class _Kept:
    """until: when it is written anew in any case."""

    making: threading.Lock = field(default_factory=threading.Lock)
    stamp: Hashable = None
    until: float = 0.0
    content: bytes = b""


class KeptAnswers:
    """What was written lately, until it changes."""

    def __init__(self) -> None:
        self._entries = _Entries(_Kept)

    def get(self, asked: Hashable, stamp: Hashable, make: Callable[[], bytes]) -> bytes:
        """What `make` gives, or gave lately at the same stamp; who asks for the same meanwhile waits for it."""
        kept = self._entries.find(asked)
        with kept.making:
            now = time.monotonic()
            if kept.stamp != stamp or now > kept.until:
                kept.content = make()
                kept.stamp, kept.until = stamp, now + SECONDS
            return kept.content


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
        self._entries = _Entries(_Asked)

    def get(self, asked: Hashable, make: Callable[[], bytes]) -> bytes:
        """What `make` gives to the first of those who wait; where it raises, the next one tries."""
        known = self._entries.find(asked)
        before = known.begun
        with known.making:
            if known.number <= before:
                known.begun += 1
                known.content = make()
                known.number = known.begun
            return known.content
