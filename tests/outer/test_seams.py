"""Where one care meets another: lost connections and dying workers, requests and clusters, artifacts that cannot be removed."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from moonas.errors import StorageError, UnavailableError
from moonas.outer import outage, requests
from moonas.outer.loop import Loop
from moonas.store.ledger import Ledger
from moonas.store.states import StudyState, TrialState
from moonas.store.store import Store
from tests.outer.fakes import FakePool, Notes, drive, small_study
from tests.outer.test_requests import Asking, after, dying, states


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(f"sqlite:///{tmp_path}/study.db", create=True) as opened:
        yield opened


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outage, "FIRST_PAUSE", 0.0)
    monkeypatch.setattr(requests, "LOOK", 0.0)


def test_a_worker_that_dies_once_counts_once_however_often_the_database_goes_away(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing, lost = Ledger.fail_attempt, itertools.chain([True, True], itertools.repeat(False))

    def fail_attempt(self: Ledger, *arguments: Any, **named: Any) -> None:
        failing(self, *arguments, **named)
        if next(lost):
            raise UnavailableError("the server went away")

    monkeypatch.setattr(Ledger, "fail_attempt", fail_attempt)
    assert drive(store, small_study(), FakePool(slots=1, spoil=dying(1))) is StudyState.COMPLETE
    assert set(states(store)) == {TrialState.COMPLETE}
    assert not next(lost), "the database did go away"


def test_an_artifact_that_cannot_be_removed_is_told_of_once_and_ends_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    class Saving(FakePool):
        def _tell(self, slot: int, kind: str, message: dict[str, Any]) -> None:
            if kind == "progress":
                url = f"s3://bucket/{len(self.started)}-{message['step']}"
                message = {**message, "checkpoint": {"url": url, "sha256": "0" * 64, "bytes": 1}}
            super()._tell(slot, kind, message)

    def refuse(url: str) -> None:
        raise StorageError(f"cannot delete the artifact {url}: access denied")

    monkeypatch.setattr("moonas.outer.slots.delete_artifact", refuse)
    notes = Notes()
    assert drive(store, small_study(), Saving(slots=1), notes) is StudyState.COMPLETE
    assert len([text for text in notes.lines if "access denied" in text]) == 1


def test_a_loop_whose_cluster_has_lost_all_machines_ends_when_it_is_cancelled(store: Store) -> None:
    class Losing(FakePool):
        def kill(self, slot: int, reason: str = "") -> None:
            super().kill(slot, reason)
            self.devices = [""] * len(self.devices)

    class Patient(Asking):
        turns = 0

        def tick(self, loop: Loop) -> None:
            super().tick(loop)
            self.turns += 1
            assert self.turns < 1000, "it goes on turning"

    asking = Patient(after(1), ("cancel", {}))
    study = small_study(methods=["random"], replicates=1)
    assert drive(store, study, Losing(slots=2), asking) is StudyState.STOPPED
