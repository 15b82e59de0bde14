"""docs/service.md names what the server's own description of itself does, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

from starlette.testclient import TestClient

PAGE = Path(__file__).parents[2] / "docs" / "service.md"
NAMES = {"{name}": "NAME", "{number}": "N", "{key}": "KEY"}


def test_every_route_stands_on_the_page_about_the_service_and_every_route_there_exists(client: TestClient) -> None:
    described = set()
    for path, methods in client.get("/api/v1/openapi.json").json()["paths"].items():
        for parameter, shown in NAMES.items():
            path = path.replace(parameter, shown)
        described |= {f"{method.upper()} {path.removeprefix('/api/v1')}" for method in methods}
    table = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    named = {route for line in table for route in re.findall(r"`((?:GET|POST|PUT|PATCH|DELETE) [^`?]+)`", line.split(" | ")[0])}
    assert len(described) > 20
    assert named == described
