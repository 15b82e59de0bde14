"""Requests that nobody thought of, drawn by schemathesis from the API's own description: no answer may be a fault of ours."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from starlette.testclient import TestClient

from moonas.service.problems import ErrorOut
from tests.service.conftest import Door

EXAMPLES = 4  # of valid requests for each operation, and as many of invalid ones
ENDLESS = "/studies/{name}/stream"


class NoProcess:
    """Stands for the process of a loop: what is drawn here starts none."""

    def __init__(self, *_: Any, **__: Any) -> None:
        """Nothing to start."""

    def wait(self) -> int:
        return 0

    poll = wait


def check(client: TestClient, case: Any, name: str | None) -> None:
    """Send a drawn request, to the study `name` where it names one; anything but a fault will do as an answer."""
    if name is not None and "{name}" in case.path:
        case.path_parameters["name"] = name
    kwargs = case.as_transport_kwargs(base_url="http://localhost:8080/api/v1")
    client.cookies = kwargs.pop("cookies", None)
    answer = client.request(**kwargs)
    assert answer.status_code < 500, (kwargs, answer.text)
    if answer.status_code >= 400:
        ErrorOut.model_validate_json(answer.text)


def test_no_request_makes_the_server_fail(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subprocess.Popen", NoProcess)
    client = door(rate=1e9, burst=1e9)
    document = client.get("/api/v1/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document)
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) > 15
    for operation in sorted(operations, key=lambda one: one.method.upper() == "DELETE"):
        if operation.path == ENDLESS:
            continue
        for mode in schemathesis.GenerationMode:

            @given(case=operation.as_strategy(generation_mode=mode))
            @settings(
                max_examples=EXAMPLES,
                derandomize=True,
                database=None,
                deadline=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            def run(case: Any) -> None:
                check(client, case, None)
                check(client, case, "small")

            with suppress(Unsatisfiable):  # there is nothing to be wrong about in a route without parameters
                run()
