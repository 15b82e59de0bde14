"""Studies driven from a real browser, through the whole server: sweeps that really run, roles, and logins that are over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from moonas import api, lifecycle
from moonas.errors import UnknownStudyError
from moonas.store.states import Role
from moonas.store.store import Store
from moonas.store.tokens import create_token, revoke_token
from tests.dashboard.serving import running
from tests.dashboard.test_browser import CHROMIUM, NARROW, WIDE, Reader, playwright

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")

SWEEP = {
    "data": "digits",
    "space": {"name": "darts-cnn", "nodes": 2},
    "search": {"channels": 4, "cells": 3},
    "final": {"channels": 4, "cells": 3},
    "objectives": ["accuracy", "params"],
    "methods": ["random"],
    "budgets": {"params": ["60%"]},
    "workers": {"backend": "local", "tasks_per_device": 1, "threads_per_task": 1},
}
ENDLESS = 100_000  # epochs


def sweep(name: str, epochs: int) -> dict[str, Any]:
    return SWEEP | {"name": name, "protocol": {"name": "short", "epochs": epochs}}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with playwright.sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def serving(url: str, **settings: Any) -> Iterator[str]:
    """The whole server over a database; gives its address."""
    from moonas.service.app import create_app
    from moonas.service.settings import Settings

    app = create_app(Settings(storage=url, **settings))
    try:
        with running(app) as address:
            yield address
            app.state.closing.set()
    finally:
        app.state.store.close()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/studies.db"


@pytest.fixture
def made(url: str) -> Iterator[str]:
    """A study that would train for a very long time, not begun."""
    api.create(sweep("endless", ENDLESS), url)
    yield url
    with suppress(UnknownStudyError):  # no process is left behind
        lifecycle.cancel("endless", storage=url)


def sure(reader: Reader, told: str) -> None:
    """Say yes in the open dialog, which says what will happen."""
    dialog = reader.page.locator("dialog[open]")
    assert told in dialog.inner_text()
    dialog.locator(".sure").click()
    reader.page.wait_for_selector("dialog[open]", state="detached")


def shows(reader: Reader, state: str) -> None:
    reader.page.locator("#state .badge", has_text=state).wait_for()


def press(reader: Reader, verb: str, told: str) -> None:
    reader.page.locator(f"#verbs [data-verb={verb}]").click()
    sure(reader, told)


def offered(reader: Reader) -> list[str]:
    return reader.page.locator("#verbs button").all_inner_texts()


def notice(reader: Reader) -> str:
    return reader.page.locator("#notice [role=alert]").inner_text()


def log_in(reader: Reader, token: str) -> None:
    reader.page.locator("#token").fill(token)
    reader.page.keyboard.press("Enter")
    reader.page.wait_for_selector("#content .trail")
    reader.settle()


def test_a_running_sweep_is_paused_and_resumed_by_its_buttons_and_finishes(chromium: Any, url: str) -> None:
    api.create(sweep("quick", 12), url)
    with serving(url) as address:
        reader = Reader(chromium, address)
        reader.open("/studies/quick")
        assert offered(reader) == ["Resume", "Delete"]
        press(reader, "resume", "A new process goes on with the study")
        shows(reader, "running")
        assert offered(reader) == ["Pause", "Stop", "Cancel"]
        reader.page.get_by_text("1 running").wait_for()
        press(reader, "pause", "Running tasks end at their next checkpoint")
        assert "pausing" in notice(reader)
        shows(reader, "paused")
        with Store.open(url) as store:
            assert store.study("quick").state == "PAUSED"
        reader.until("document.querySelector('#verbs').innerText.includes('Resume')")
        press(reader, "resume", "A new process")
        shows(reader, "complete")
        assert "1 of 1" in reader.page.locator("#headline").inner_text()
        reader.page.locator("#members .ag-row").first.wait_for()
        reader.settle()
        assert reader.complaints == []
        reader.page.context.close()


def test_a_running_sweep_is_cancelled_from_the_list_by_key_and_deleted_by_its_name(chromium: Any, made: str) -> None:
    with serving(made) as address:
        reader = Reader(chromium, address)
        page = reader.page
        reader.open("/")
        page.locator("[row-id=endless] .ag-selection-checkbox input").click()
        page.locator("#chosen").get_by_text("Resume 1").click()
        sure(reader, "A new process")
        page.locator("[row-id=endless] .badge", has_text="running").wait_for()
        reader.until("document.querySelector('.more').dataset.menu === 'pause stop cancel'")
        page.locator("[row-id=endless] [col-id=verbs]").focus()
        page.keyboard.press("Enter")
        page.locator(".menu [role=menuitem]").first.wait_for()
        assert page.evaluate("document.activeElement.textContent") == "Pause"
        page.keyboard.press("ArrowUp")
        page.keyboard.press("Enter")
        sure(reader, "All trials that have begun fail")
        page.locator("[row-id=endless] .badge", has_text="stopped").wait_for()
        assert "nothing new starts" in notice(reader)
        page.get_by_role("link", name="endless").click()
        page.get_by_role("tab", name="Events").click()
        page.locator("#happened").get_by_text("Trials that failed").wait_for()
        assert "cancelled on request" in page.locator("#happened").inner_text()
        assert offered(reader) == ["Resume", "Retry failed", "Delete"]
        page.locator("#verbs [data-verb=delete]").click()
        certain = page.locator("dialog[open] .sure")
        page.locator("#typed").fill("endles")
        assert certain.is_disabled()
        page.keyboard.press("Enter")
        page.locator("#typed").fill("endless")
        page.keyboard.press("Enter")
        page.get_by_text("No study yet").wait_for()
        assert "deleted endless" in notice(reader)
        assert reader.complaints == []
        with Store.open(made) as store:
            assert store.studies() == []
        reader.page.context.close()


def test_what_the_server_refuses_is_told_and_changes_nothing(chromium: Any, made: str) -> None:
    with serving(made) as address:
        reader = Reader(chromium, address)
        reader.open("/studies/endless")
        reader.page.locator("#verbs [data-verb=resume]").click()
        reader.page.keyboard.press("Escape")
        assert reader.page.locator("dialog[open]").count() == 0
        assert reader.page.evaluate("document.activeElement.dataset.verb") == "resume"
        with Store.open(made) as store:
            store.delete_study("endless")
        reader.page.locator("#verbs [data-verb=resume]").click()
        sure(reader, "A new process")
        reader.page.locator("#notice").get_by_text("there is no study 'endless'").first.wait_for()
        reader.page.route("**/api/**", lambda route: route.abort())
        reader.page.locator("#verbs [data-verb=resume]").click()
        sure(reader, "A new process")
        reader.page.locator("#notice").get_by_text("the server does not answer").wait_for()
        refused = reader.page.request.post(f"{address}/api/v1/studies/endless/pause", headers={"Origin": "http://evil.example"})
        assert (refused.status, refused.json()["error"]["code"]) == (403, "cross_origin")
        reader.page.context.close()


def test_a_viewer_has_no_buttons_and_a_withdrawn_token_leads_to_the_login_and_back(chromium: Any, made: str) -> None:
    with Store.open(made) as store:
        tokens = {role: create_token(store.database, f"my {role}", role) for role in Role}
    with serving(made, tokens=True) as address:
        reader = Reader(chromium, address)
        page, path = reader.page, "/studies/endless?view=workers"
        page.goto(address + path)
        log_in(reader, tokens[Role.viewer])
        assert page.url == address + path
        assert "my viewer" in page.locator(".who").inner_text()
        assert page.locator("#verbs button, dialog").count() == 0
        reader.open("/")
        assert page.locator(".more, .ag-checkbox").count() == 0
        for size in (WIDE, NARROW):
            page.set_viewport_size(size)
            reader.until("document.documentElement.scrollWidth <= window.innerWidth")
            assert reader.overlaps() == []
        reader.open(path)
        assert reader.complaints == []
        with Store.open(made) as store:
            revoke_token(store.database, "my viewer")
        page.get_by_text("You are no longer logged in").wait_for()  # the page asks by itself
        log_in(reader, tokens[Role.operator])
        assert page.url == address + path
        assert offered(reader) == ["Resume", "Delete"]
        page.get_by_role("button", name="Log out").click()
        page.wait_for_url(f"{address}/login")
        page.goto(address)
        page.wait_for_url(f"{address}/login?next=/")
        assert [text for text in reader.complaints if "401" not in text] == []  # which the browser itself notes
        reader.page.context.close()


def test_what_happens_reaches_the_page_at_once_while_it_is_shown(chromium: Any, made: str) -> None:
    with serving(made) as address:
        reader = Reader(chromium, address)
        reader.open("/studies/endless?view=events")
        reader.page.evaluate("dash_clientside.set_props('beat', { disabled: true })")
        reader.until("stream.readyState === EventSource.OPEN")
        with Store.open(made) as store, store.ledger(store.study("endless").id) as ledger:
            ledger.add_event("warning", "something to know")
        reader.page.locator("#happened").get_by_text("something to know").wait_for()
        reader.page.get_by_role("link", name="Studies").click()
        reader.until("stream === null")
        assert reader.complaints == []
        reader.page.context.close()
