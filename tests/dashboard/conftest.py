"""Two finished studies over three objectives, made once, and one that has not begun."""

from __future__ import annotations

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


@pytest.fixture(scope="session")
def catalogue(storage: str) -> Catalogue:
    return Catalogue(storage)


@pytest.fixture
def live(catalogue: Catalogue) -> LiveStudy:
    return catalogue.live("small")
