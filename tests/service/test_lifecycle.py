"""What operators ask of a study over HTTP: done at once where nobody drives it, left to the process that does otherwise."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from moonas.store.lease import new_holder
from moonas.store.store import Store
from tests.outer.fakes import Crash, FakePool, drive, small_study

SMALL = "/api/v1/studies/small"


def asked(client: TestClient, verb: str, status: int = 202, **query: Any) -> Any:
    answer = client.post(f"{SMALL}/{verb}", params=query)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_where_nobody_drives_a_study_it_is_done_at_once(client: TestClient) -> None:
    assert asked(client, "pause") == {"message": "no process drives small; it is COMPLETE", "done": True}
    assert asked(client, "stop")["done"]
    assert asked(client, "cancel")["done"]


@pytest.mark.parametrize("verb", ["pause", "stop", "cancel"])
def test_where_a_process_drives_it_the_request_waits_for_that(client: TestClient, url: str, verb: str) -> None:
    with Store.open(url) as store:
        study = store.study("small")
        store.acquire(study.id, new_holder())
        for wait, words in ((0, "asked; "), (0.3, "The request stands")):
            outcome = asked(client, verb, wait=wait)
            assert (outcome["done"], words in outcome["message"]) == (False, True)
        assert [request.kind for request in store.requests(study.id)] == [verb, verb]


def test_a_process_that_fails_at_once_says_why(client: TestClient, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = f"{SMALL}/resume?wait=10"
    with monkeypatch.context() as patched:
        patched.setattr("sys.executable", "/bin/false")  # ends with 1 and says nothing
        answer = client.post(path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "loop_failed")
        assert "exit code 1" in answer.json()["error"]["message"]
        program = Path(url.removeprefix("sqlite:///")).with_name("program")
        program.write_text("#!/bin/sh\necho error: there is no data\nexit 3\n")
        program.chmod(0o700)
        patched.setattr("sys.executable", str(program))
        assert client.post(path).json()["error"]["message"].endswith("exit code 3:\nerror: there is no data")
        deadline = time.monotonic() + 10
        while not (log := client.get(f"{SMALL}/log").text).endswith("--- exit code 3\n"):
            assert time.monotonic() < deadline, log
            time.sleep(0.05)
        program.write_text("#!/bin/sh\nsleep 1\n")
        outcome = client.post(f"{SMALL}/resume?wait=0.2").json()
        assert (outcome["done"], "has yet to take it up" in outcome["message"]) == (False, True)
        program.write_text("#!/bin/sh\nexit 0\n")
        assert client.post(path).json()["done"]


def test_a_trial_of_one_s_own_choice_is_enqueued(client: TestClient) -> None:
    path = "/api/v1/studies/later"
    assert client.post("/api/v1/studies?start=false", json=small_study(name="later")).status_code == 201
    trial = {"method": "random", "budget": "params=10%", "replicate": 1}
    answer = client.post(f"{path}/enqueue", json=trial)
    assert answer.status_code == 202, answer.text
    assert "moonas resume later" in answer.json()["message"]
    waiting = client.get(f"{path}/trials?state=WAITING").json()
    assert [(one["params"]["method"], one["replicate"]) for one in waiting["trials"]] == [("random", 1)]
    for wrong, words in ({"method": "rondom"}, "did you mean 'random'"), ({"replicate": 7}, "0 to 1"), ({}, "already"):
        answer = client.post(f"{path}/enqueue", json=trial | wrong)
        assert (answer.status_code, words in answer.json()["error"]["message"]) == (400, True), answer.text
    assert client.post(f"{path}/enqueue", json=trial | {"storage": "x"}).status_code == 422


def test_trials_are_cancelled_and_opened_again_by_their_numbers(client: TestClient, url: str) -> None:
    with Store.open(url) as store, pytest.raises(Crash):
        drive(store, small_study(name="broken"), FakePool(crash_after=3))
    path = "/api/v1/studies/broken"
    with Store.open(url) as store:  # the loop that died here is this very process
        study = store.study("broken")
        store.release(study.id, study.lease_holder or "")
    running = [trial["number"] for trial in client.get(f"{path}/trials?state=RUNNING").json()["trials"]]
    assert len(running) == 2
    answer = client.post(f"{path}/cancel", json={"trials": running[:1]})
    assert (answer.status_code, answer.json()["done"]) == (202, True)
    failed = client.get(f"{path}/trials?state=FAIL").json()["trials"]
    assert [trial["number"] for trial in failed] == running[:1]
    assert "cancel" in failed[0]["reason"]
    assert client.post(f"{path}/retry", json={"trials": running[:1]}).json()["done"]
    assert client.get(f"{path}/trials?state=FAIL").json()["total"] == 0
    assert client.post(f"{path}/retry", json={"trials": [999]}).status_code == 400
    assert client.post(f"{path}/retry", json={"trials": [-1]}).status_code == 422
