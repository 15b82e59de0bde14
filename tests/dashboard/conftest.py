"""Two finished studies over three objectives, made once, one that has not begun, and one whose searches really ran."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest

from moonas.dashboard.catalogue import Catalogue
from moonas.dashboard.live import LiveStudy
from moonas.outer.plan import Plan
from moonas.store.store import Store
from moonas.study.loading import study_from
from moonas.study.schema import SCHEMA
from tests.outer.fakes import FakePool, drive, small_study

OBJECTIVES = ["accuracy", "params", {"metric": "latency_ms", "reference": 20}]


def asked(**changes: Any) -> dict[str, Any]:
    return small_study(objectives=OBJECTIVES, constraints=["accuracy>=0.5"], **changes)


@pytest.fixture(scope="session")
def storage(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = f"sqlite:///{tmp_path_factory.mktemp('dashboard')}/studies.db"
    with Store.open(url, create=True) as store:
        drive(store, asked(), FakePool())
        drive(store, asked(name="other", budgets={"params": ["20%"]}), FakePool())
        waiting = Plan(study_from(asked(name="waiting"))).config
        store.create_study("waiting", waiting.to_json(), schema=SCHEMA, config_hash="1", seed=3, version="test")
    return url


class HerePool(FakePool):
    """Runs tasks in this process, with torch."""

    def start(self, slot: int, task: Mapping[str, Any]) -> None:
        from moonas.worker.outcome import outcome
        from moonas.worker.tasks import run_task

        message = outcome(partial(run_task, task["spec"], lambda told: self._tell(slot, "progress", told)))
        self._tell(slot, message.pop("event"), message)


@pytest.fixture(scope="session")
def searched(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database with the study `real`: one PC-DARTS search that serves two trials, and one whose loss is not finite."""
    url = f"sqlite:///{tmp_path_factory.mktemp('searched')}/studies.db"
    quick = {"epochs": 3, "batch": 128, "warmup_epochs": 1}
    methods = [
        {"name": "pc-darts", "channel_divisor": 2, "alpha_lr": 0.05, **quick},
        {"name": "darts", "label": "hot", "weight_lr": 1e6, "weight_clip": 1e9, **quick},
    ]
    asked = small_study(name="real", methods=methods, budgets={"params": ["30%", "none"]}, replicates=1)
    with Store.open(url, create=True) as store:
        drive(store, {**asked, "protocol": {"name": "short", "epochs": 2, "batch": 128}}, HerePool(slots=1))
    return url


@pytest.fixture(scope="session")
def catalogue(storage: str) -> Catalogue:
    return Catalogue(storage)


@pytest.fixture
def live(catalogue: Catalogue) -> LiveStudy:
    return catalogue.live("small")
