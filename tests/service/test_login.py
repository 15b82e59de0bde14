"""The login page: a token goes into a cookie that scripts cannot read, and pages of elsewhere cannot send."""

from __future__ import annotations

import pytest

from moonas.store.states import Role
from moonas.store.store import Store
from moonas.store.tokens import revoke_token
from tests.service.conftest import Door

PAGE = {"Accept": "text/html"}


def test_a_reader_is_led_to_the_login_and_back(door: Door, tokens: dict[Role, str]) -> None:
    client = door(tokens=True)
    led = client.get("/api", headers=PAGE)
    assert (led.status_code, led.headers["location"]) == (303, "/login?next=/api")
    form = client.get(led.headers["location"], headers=PAGE).text
    assert 'name="next" value="/api"' in form
    answer = client.post("/login", data={"token": f" {tokens[Role.viewer]}\n", "next": "/api"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/api")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "secure" not in cookie  # by plain HTTP a browser would drop it
    assert client.get("/api", headers=PAGE).status_code == 200
    assert client.get("/api/v1/studies").status_code == 200
    assert client.post("/api/v1/plan", json={}).status_code == 403
    client.post("/logout")
    assert client.get("/api", headers=PAGE).status_code == 303


def test_the_way_back_keeps_what_stands_behind_the_question_mark(door: Door, tokens: dict[Role, str]) -> None:
    client = door(tokens=True)
    asked = "/studies/small?view=events&more=a%26b"
    led = client.get(asked, headers=PAGE).headers["location"]
    assert 'value="/studies/small?view=events&amp;more=a%26b"' in client.get(led).text
    answer = client.post("/login", data={"token": tokens[Role.viewer], "next": asked})
    assert answer.headers["location"] == asked


def test_who_was_logged_in_is_told_that_this_is_over(door: Door, url: str, tokens: dict[Role, str]) -> None:
    client = door(tokens=True)
    assert "no longer" not in client.get(client.get("/", headers=PAGE).headers["location"]).text
    client.post("/login", data={"token": tokens[Role.viewer]})
    with Store.open(url) as store:
        revoke_token(store.database, "some viewer")
    led = client.get("/", headers=PAGE).headers["location"]
    assert led == "/login?next=/&ended=true"
    assert "You are no longer logged in" in client.get(led).text


def test_a_caller_is_told_who_it_is(door: Door, tokens: dict[Role, str]) -> None:
    assert door().get("/api/v1/me").json() == {"name": "", "role": "operator"}
    client = door(tokens=True)
    for role, token in tokens.items():
        answer = client.get("/api/v1/me", headers={"Authorization": f"Bearer {token}"})
        assert answer.json() == {"name": f"some {role}", "role": role}


def test_behind_tls_the_cookie_is_for_tls_alone(door: Door, tokens: dict[Role, str]) -> None:
    client = door(names=("studies.example.org",))
    client.base_url = "https://studies.example.org"
    answer = client.post("/login", data={"token": tokens[Role.viewer]})
    assert "secure" in answer.headers["set-cookie"].lower()


def test_a_wrong_token_sets_no_cookie_and_is_not_repeated(door: Door, tokens: dict[Role, str]) -> None:
    answer = door(tokens=True).post("/login", data={"token": "not-a-token"})
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers
    assert "not-a-token" not in answer.text


def test_a_revoked_token_opens_nothing_from_the_next_request_on(door: Door, url: str, tokens: dict[Role, str]) -> None:
    client = door(tokens=True)
    client.post("/login", data={"token": tokens[Role.viewer]})
    assert client.get("/api/v1/studies").status_code == 200
    with Store.open(url) as store:
        revoke_token(store.database, "some viewer")
    assert client.get("/api/v1/studies").status_code == 401


ELSEWHERE = ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "", "/a\nb"]


@pytest.mark.parametrize("target", ELSEWHERE)
def test_the_way_back_never_leads_elsewhere(door: Door, tokens: dict[Role, str], target: str) -> None:
    client = door(tokens=True)
    answer = client.post("/login", data={"token": tokens[Role.viewer], "next": target})
    assert answer.headers["location"] == "/"
    assert 'value="/"' in client.get("/login", params={"next": target}).text


def test_what_stands_in_the_address_is_shown_as_text(door: Door) -> None:
    assert "<script>" not in door(tokens=True).get("/login", params={"next": '/"><script>alert(1)</script>'}).text
