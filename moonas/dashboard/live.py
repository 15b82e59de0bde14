"""One study as the pages see it: what it has cost little to read is read again, the rest only where something has changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from threading import RLock
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import func, select

from moonas.dashboard.trials import TrialTable
from moonas.outer.planned import planned_trials
from moonas.results.networks import Measured, Network
from moonas.results.study import Study
from moonas.results.tally import Tally, tally
from moonas.store.pages import driven_since
from moonas.store.records import FrontRecord, Records, StudyRecord
from moonas.store.states import StudyState, TrialState
from moonas.store.store import Store
from moonas.store.tables import Event, Front, Trial

KEPT = 40  # of the things that are worked out once, such as past fronts

Made = TypeVar("Made")


class Stamp(NamedTuple):
    """What tells one state of a study from the next, at the price of five small queries.

    driven: whether a process drives it, as far as can be told from here. front: number of the last one. event: id of the last one.
    trials: how many in each state, by its name.
    """

    state: str
    driven: bool
    front: int
    event: int
    trials: tuple[tuple[str, int], ...]

    @property
    def text(self) -> str:
        """The same for equal stamps, to be kept by a page."""
        return f"{self.state} {self.driven} {self.front} {self.event} {self.trials}"


class LiveStudy:
    """Shared by all readers of a server; `refresh` brings it up to date."""

    def __init__(self, store: Store, name: str) -> None:
        self.store = store
        self.study = Study(store, name)
        self.record: StudyRecord = self.study.record
        self.trials = TrialTable(store.database, self.record.id)
        self.stamp: Stamp | None = None
        self.history: list[FrontRecord] = []
        self._lock = RLock()
        self._made: dict[str, tuple[Stamp, Any]] = {}
        self._making: dict[str, RLock] = {}

    @property
    def name(self) -> str:
        return self.record.name

    @property
    def state(self) -> StudyState:
        return self.record.state

    def count(self, *states: TrialState) -> int:
        """Trials in any of these states."""
        return sum(number for state, number in self.now.trials if state in states)

    @property
    def planned(self) -> int:
        """How many trials there will be, as far as the file says; at least those there are."""
        return max(
            planned_trials(self.store, self.name, self.record.config_hash) or 0, sum(number for _, number in self.now.trials)
        )

    def has_trial(self, number: str) -> bool:
        """Whether an address that names a trial by its number names one there is."""
        return number.isdecimal() and len(number) < 10 and int(number) < sum(count for _, count in self.now.trials)

    @property
    def now(self) -> Stamp:
        """The stamp of what was read last."""
        assert self.stamp is not None
        return self.stamp

    def refresh(self, record: StudyRecord) -> None:
        """Read what is new; record: the study's row as it is now."""
        with self._lock:
            if record.config_hash != self.record.config_hash:
                self.study = Study(self.store, record.name)
            self.record = record
            stamp = self._read_stamp()
            if stamp != self.stamp:
                if self.stamp is None or stamp.front != self.stamp.front:
                    self.history = self.store.front_history(record.id)
                self.trials.refresh()
                self.stamp = stamp

    def members(self, number: int | None = None) -> Records[Network]:
        """The present front, the cheapest first, or front `number`: with the values its members had then."""
        if number is not None and (not self.history or number != self.history[-1].number):
            return self.once(f"front {number}", lambda: self._then(number))
        return self.once("front", self.study.front)

    def tally(self) -> Tally:
        """What all networks came to."""
        return self.once("tally", lambda: tally(self.study))

    def once(self, what: str, make: Callable[[], Made]) -> Made:
        """What `make` gives, made again only when the study has changed since; who asks for other things need not wait for it."""
        with self._lock:
            stamp, making = self.now, self._making.setdefault(what, RLock())
        with making:
            if what not in self._made or self._made[what][0] != stamp:
                self._made.pop(what, None)
                self._made[what] = (stamp, make())
            made = self._made[what][1]
        with self._lock:
            while len(self._made) > KEPT:
                del self._made[next(iter(self._made))]
        return made

    def _then(self, number: int) -> Records[Network]:
        values = {member.place: member.values for member in self.store.front(self.record.id, number)}
        return Records(
            replace(
                network,
                metrics={name: _as_of(measured, values[network.place].get(name)) for name, measured in network.metrics.items()},
            )
            for network in self.study.front(number)
        )

    def _read_stamp(self) -> Stamp:
        of = self.record.id
        with self.store.database.connection() as connection:
            front = connection.scalar(select(func.max(Front.number)).where(Front.study_id == of))
            event = connection.scalar(select(func.max(Event.id)).where(Event.study_id == of))
            counted = select(Trial.state, func.count()).where(Trial.study_id == of).group_by(Trial.state)
            trials = tuple(sorted((TrialState(state).value, count) for state, count in connection.execute(counted)))
        driven = of in driven_since(self.store.database, of)
        return Stamp(self.record.state.value, driven, front or 0, event or 0, trials)


def _as_of(measured: Measured, value: float | None) -> Measured:
    """A metric with the value it had when it entered a front."""
    return measured if value is None else replace(measured, value=value)
