"""Who is let in, from where, for what, and how much: every route, whatever it is."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute, Mount
from starlette.testclient import TestClient

from moonas.service.app import ROOT
from moonas.service.roles import PUBLIC, VIEWER, check_decided, decisions
from moonas.service.security.callers import PUBLIC_PATHS
from moonas.service.security.limits import Buckets
from moonas.service.settings import Settings, is_loopback
from moonas.store.states import Role
from tests.service.conftest import Door

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


def api_of(client: TestClient) -> FastAPI:
    return next(route.app for route in client.app.routes if getattr(route, "path", "") == ROOT)  # type: ignore[attr-defined]


def addresses(client: TestClient) -> Iterator[tuple[str, str, str | None]]:
    """(method, path, role that it needs) of every route, pages and the API; parameters are those of the small study."""
    for methods, path, (decision,) in decisions(api_of(client)):
        for method in methods:
            yield method, ROOT + filled(path), decision.role
    for methods, path in pages(client.app.routes):  # type: ignore[attr-defined]
        for method in methods:
            yield method, filled(path), None if path in PUBLIC_PATHS else Role.viewer


def pages(routes: Sequence[BaseRoute], above: str = "") -> Iterator[tuple[Sequence[str], str]]:
    """(methods, path) of every route that is not the API's, those of mounted applications too."""
    for context in iter_route_contexts(routes):
        path = above + str(context.path)
        if isinstance(context.original_route, Mount) and path != ROOT:
            yield METHODS, path or "/"
            yield from pages(context.original_route.routes, path)
        elif path != ROOT:
            yield sorted(context.methods or METHODS), path


def filled(path: str) -> str:
    """With the small study's parameters, or anything where they are another's."""
    for name, value in (("{name}", "small"), ("{number}", "0"), ("{key}", "0")):
        path = path.replace(name, value)
    return re.sub(r"{\w+(:\w+)?}", "x", path)


def test_every_route_of_the_api_carries_one_decision(client: TestClient) -> None:
    found = list(decisions(api_of(client)))
    assert len(found) > 15
    assert [path for _, path, carried in found if len(carried) != 1] == []


def test_a_server_with_an_undecided_route_does_not_start() -> None:
    for dependencies in ([], [PUBLIC, VIEWER]):
        api = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
        api.add_api_route("/secret", lambda: 1, dependencies=dependencies)
        with pytest.raises(RuntimeError, match=r"GET /secret carries \d decisions"):
            check_decided(api)


def test_without_a_token_nothing_is_answered_but_what_is_public(door: Door) -> None:
    client = door(tokens=True)
    refused = [(method, path) for method, path, role in addresses(client) if role]
    assert len(refused) > 20
    for method, path in refused:
        assert client.request(method, path).status_code == 401, (method, path)
    public = {path for _, path, role in addresses(client) if role is None}
    assert public == set(PUBLIC_PATHS)
    for path in (f"{ROOT}/no-such-thing", "/no-such-page", "/_dash-update-component"):
        assert client.post(path).status_code == client.get(path).status_code == 401


def test_a_viewer_reads_and_only_an_operator_does_more(door: Door, tokens: dict[Role, str]) -> None:
    client = door(tokens=True)
    for method, path, role in addresses(client):
        if role is Role.operator:
            answer = client.request(method, path, headers={"Authorization": f"Bearer {tokens[Role.viewer]}"}, json={})
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden"), (method, path)
        elif role is Role.viewer and method == "GET" and not path.endswith("/stream"):
            answer = client.get(path, headers={"Authorization": f"Bearer {tokens[Role.viewer]}"})
            assert answer.status_code not in (401, 403), path
    answer = client.post(f"{ROOT}/plan", headers={"Authorization": f"Bearer {tokens[Role.operator]}"}, json={})
    assert answer.status_code == 422


@pytest.mark.parametrize(
    "header", ["Bearer ", "Bearer x", "bearer  ", "Basic eDp5", "Bearer {viewer}x", "Bearer \udce9", "{viewer}", "Token {viewer}"]
)
def test_a_wrong_token_opens_nothing(door: Door, tokens: dict[Role, str], header: str) -> None:
    value = header.replace("{viewer}", tokens[Role.viewer]).encode("utf-8", "surrogateescape")
    assert door(tokens=True).get(f"{ROOT}/studies", headers={"Authorization": value}).status_code == 401  # type: ignore[dict-item]


def test_a_token_in_the_address_is_none(door: Door, tokens: dict[Role, str]) -> None:
    assert door(tokens=True).get(f"{ROOT}/studies", params={"token": tokens[Role.operator]}).status_code == 401


def test_whether_tokens_are_needed_follows_from_who_can_reach_the_server() -> None:
    here = ("127.0.0.1", "127.1.2.3", "::1", "localhost")
    assert [is_loopback(host) for host in here] == [True] * 4
    elsewhere = ("0.0.0.0", "::", "192.168.1.5", "example.org", "127.0.0.1.example.org", "")
    assert [is_loopback(host) for host in elsewhere] == [False] * 6
    for host in elsewhere:
        assert Settings(storage="", host=host).needs_tokens
    assert Settings(storage="", names=("studies.example.org",)).needs_tokens
    assert not Settings(storage="").needs_tokens


@pytest.mark.parametrize("host", ["localhost", "localhost:8080", "127.0.0.1:9000", "[::1]:8080", "LOCALHOST", "10.0.0.7"])
def test_own_names_and_plain_addresses_are_served(client: TestClient, host: str) -> None:
    assert client.get("/api/v1/health", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "", "[::1", "x@evil.example"])
def test_a_name_that_someone_else_pointed_here_is_not(client: TestClient, host: str) -> None:
    for method in METHODS:
        answer = client.request(method, "/api/v1/studies", headers={"Host": host})
        assert answer.status_code == 421, method


def test_a_proxy_s_name_is_served_where_it_is_given(door: Door, tokens: dict[Role, str]) -> None:
    client = door(names=("studies.example.org",))
    own = {"Host": "studies.example.org", "Authorization": f"Bearer {tokens[Role.operator]}"}
    assert client.get("/api/v1/studies", headers=own).status_code == 200
    assert client.post("/api/v1/plan", headers=own | {"Origin": "https://studies.example.org"}, json={}).status_code == 422
    assert client.get("/api/v1/studies", headers={"Host": "studies.example.org"}).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:9999"},
        {"Origin": "http://localhost:8080.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://localhost:8080", "Sec-Fetch-Site": "cross-site"},
    ],
)
def test_pages_of_elsewhere_change_nothing(client: TestClient, headers: dict[str, str]) -> None:
    paths = ("/api/v1/studies", "/_dash-update-component", "/login")
    for method, path in itertools.product(("POST", "PUT", "PATCH", "DELETE"), paths):
        answer = client.request(method, path, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "cross_origin"), (method, path)


@pytest.mark.parametrize("sent", [{"json": {}}, {"json": []}, {"content": "{"}, {"json": {"output": "no.such", "inputs": 1}}])
def test_what_no_page_asks_for_is_refused_in_the_one_shape_and_logged(
    client: TestClient, caplog: pytest.LogCaptureFixture, sent: dict[str, object]
) -> None:
    answer = client.post("/_dash-update-component", **sent)  # type: ignore[arg-type]
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")
    assert "cannot be answered" in caplog.text


OWN = [{}, {"Origin": "http://localhost:8080", "Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}]


@pytest.mark.parametrize("headers", OWN)
def test_own_pages_and_programs_may(client: TestClient, headers: dict[str, str]) -> None:
    assert client.post("/api/v1/validate", headers=headers, json={}).status_code == 422


def test_every_answer_tells_the_browser_to_run_and_embed_nothing(client: TestClient) -> None:
    for path in ("/", "/api", "/login", "/api/v1/studies", "/api/v1/nothing", "/static/service.css"):
        headers = client.get(path).headers
        policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
        assert (policy["default-src"], policy["frame-ancestors"]) == ("'none'", "'none'")
        assert "unsafe" not in policy.get("script-src", "")
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert "access-control-allow-origin" not in headers
        assert "server" not in headers
    refused = client.get("/", headers={"Host": "evil.example"})
    assert refused.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"


def test_a_request_that_is_too_large_is_cut_off_whether_it_says_so_or_not(door: Door) -> None:
    client = door(body=1000)
    answer = client.post("/api/v1/validate", content=b"x" * 1001, headers={"Content-Type": "application/yaml"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
    chunks = (b"# padding\n" for _ in range(101))
    answer = client.post("/api/v1/validate", content=chunks, headers={"Content-Type": "application/yaml"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
    answer = client.post("/login", content=b"token=" + b"x" * 2000)
    assert answer.status_code == 413
    just = b"#" + b" " * 998 + b"\n"
    assert client.post("/api/v1/validate", content=just, headers={"Content-Type": "application/yaml"}).status_code == 422


def test_a_client_that_asks_too_often_is_told_when_to_come_again(door: Door) -> None:
    client = door(rate=0.5, burst=3)
    assert [client.get("/api/v1/health").status_code for _ in range(4)] == [200, 200, 200, 429]
    answer = client.get("/api/v1/health")
    assert (answer.headers["retry-after"], answer.json()["error"]["code"]) == ("2", "too_many_requests")


def test_a_bucket_fills_up_again_and_each_client_has_its_own() -> None:
    now = [0.0]
    buckets = Buckets(rate=2, burst=4, clock=lambda: now[0])
    assert [buckets.take("a") for _ in range(5)] == [0, 0, 0, 0, 0.5]
    assert buckets.take("b") == 0
    now[0] = 0.25
    assert buckets.take("a") == 0.25
    now[0] = 0.5
    assert [buckets.take("a"), buckets.take("a")] == [0, 0.5]
    now[0] = 100
    assert [buckets.take("a") for _ in range(5)] == [0, 0, 0, 0, 0.5]


def test_forgetting_clients_bounds_what_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moonas.service.security.limits.MOST_CLIENTS", 10)
    buckets = Buckets(rate=1, burst=1, clock=lambda: 0.0)
    assert [buckets.take(str(number)) for number in range(30)] == [0] * 30
    assert len(buckets._left) == 10
    assert buckets.take("29") == 1  # the latest is remembered
