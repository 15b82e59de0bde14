"""The page of a new sweep in a real browser, on a whole server: filled in, looked at before it starts, started and watched."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from moonas import api
from moonas.dashboard.sweep.beginnings import templates
from moonas.store.states import Role
from moonas.store.store import Store
from moonas.store.tokens import create_token
from tests.dashboard.test_browser import CHROMIUM, NARROW, WIDE, Reader
from tests.outer.test_tabular import TABULAR, needs_package

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")


class Writer(Reader):
    """Someone who fills the page in."""

    def text(self) -> str:
        return self.page.locator("#yaml").input_value()

    def says(self, **expected: Any) -> None:
        """Wait until the text says this."""
        deadline = time.monotonic() + 30
        while {key: (yaml.safe_load(self.text()) or {}).get(key) for key in expected} != expected:
            assert time.monotonic() < deadline, self.text()
            time.sleep(0.05)

    def field(self, path: str) -> Any:
        """The field of the form that shows what stands at a path."""
        return self.page.locator(f"""[id='{{"path":"{path}","type":"ask"}}']""")

    def planned(self, trials: str) -> None:
        """Wait until the plan tells so many trials."""
        self.page.locator("#plan dd.value").first.get_by_text(trials, exact=True).wait_for()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = f"sqlite:///{tmp_path_factory.mktemp('sweep')}/studies.db"
    with Store.open(url, create=True):
        return url


def serving(url: str, **settings: Any) -> Iterator[str]:
    import uvicorn

    from moonas.service.app import create_app
    from moonas.service.settings import Settings

    server = uvicorn.Server(uvicorn.Config(create_app(Settings(storage=url, **settings)), port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with playwright.sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(url: str) -> Iterator[str]:
    yield from serving(url)


@pytest.fixture
def writer(chromium: Any, address: str) -> Iterator[Writer]:
    writer = Writer(chromium, address)
    writer.open("/new")
    writer.planned("6")  # the first template: two methods, three budgets
    yield writer
    writer.page.context.close()


def test_the_page_is_led_to_and_fits_a_screen_and_a_phone(writer: Writer) -> None:
    writer.open("/")
    writer.page.get_by_role("link", name="New sweep").click()
    writer.page.wait_for_url("**/new")
    writer.planned("6")
    assert writer.page.locator("h1").inner_text() == "New sweep"
    for size in (WIDE, NARROW):
        writer.page.set_viewport_size(size)
        writer.settle()
        writer.until("document.documentElement.scrollWidth <= window.innerWidth")
        assert writer.overlaps() == []
    writer.at_ease()


def test_the_form_changes_the_text_and_the_text_the_form(writer: Writer) -> None:
    comment = "# larger rates than the paper's"
    assert comment in writer.text()
    writer.field("data.name").click()
    writer.page.get_by_role("option", name="fashion-mnist").click()
    writer.says(data="fashion-mnist")
    writer.field("final.channels").fill("4, 8")
    writer.says(final={"channels": [4, 8], "cells": 3})
    writer.page.get_by_role("button", name="Add a budget").click()
    writer.says(budgets={"params": ["5%", "20%", "60%"], "macs": ["50%"]})
    writer.page.get_by_role("button", name="Remove Method 0").click()
    writer.says(methods=[{"name": "darts", "epochs": 4, "alpha_lr": 0.01, "weight_lr": 0.05}])
    assert comment in writer.text()
    writer.page.locator("#yaml").fill(writer.text().replace("epochs: 4", "epochs: 7") + "decode: {extra: 1}\n")
    writer.page.get_by_text("Also set in the file: decode").wait_for()
    assert writer.field("methods[0].epochs").input_value() == "7"
    writer.at_ease()


def test_a_mistake_is_shown_at_its_line_and_at_its_field(writer: Writer) -> None:
    text = writer.text().replace("final: {channels: 4", "final: {channels: four")
    line = 1 + [line.startswith("final") for line in text.splitlines()].index(True)
    writer.page.locator("#yaml").fill(text)
    told = writer.page.locator(".mistakes li")
    told.get_by_text("'four' is not a number").wait_for()
    assert told.count() == 1
    assert writer.page.locator(".gutter .wrong").inner_text() == str(line)
    writer.page.locator("#form").get_by_text("'four' is not a number").wait_for()
    assert writer.field("final.channels").get_attribute("aria-invalid") == "true"
    assert writer.page.locator("#start").is_disabled()
    writer.page.get_by_role("button", name=f"line {line}").click()
    assert writer.page.evaluate("document.getSelection().toString()").startswith("final: {channels: four")
    writer.page.locator("#yaml").fill("name: [")
    writer.page.get_by_text("not YAML").wait_for()
    writer.until("document.querySelector('#form').disabled")
    writer.page.locator("#yaml").fill(text.replace("four", "4"))
    writer.until("!document.querySelector('#form').disabled && !document.querySelector('#start').disabled")
    assert writer.page.locator("#form").get_by_text("is not a number").count() == 0
    writer.page.locator("#yaml").fill(text.replace("four", "4") + "storage: sqlite:///elsewhere.db\n")
    writer.page.locator(".mistakes").get_by_text("is the server's own").wait_for()
    writer.at_ease()


def test_the_text_survives_a_reload_and_an_example(writer: Writer) -> None:
    mine = writer.text().replace("name: first", "name: mine")
    writer.page.locator("#yaml").fill(mine)
    writer.page.get_by_role("button", name="Start mine").wait_for()
    writer.page.reload()
    writer.page.get_by_text("This is the text that you have left here.").wait_for()
    assert writer.text() == mine
    writer.page.get_by_role("button", name="Start mine").wait_for()
    writer.page.locator("#begin").click()
    writer.page.get_by_role("option", name="Random networks").click()
    writer.page.get_by_role("button", name="Start random").wait_for()
    assert writer.text() == templates()["random"][1]
    writer.page.get_by_role("button", name="Bring my text back").click()
    writer.says(name="mine")
    writer.page.reload()
    writer.page.get_by_role("button", name="Start afresh").click()
    writer.says(name="first")
    writer.at_ease()


def test_tab_indents_and_leaves_after_escape(writer: Writer) -> None:
    area = writer.page.locator("#yaml")
    area.fill("methods:\n  - random")
    area.press("Enter")
    area.press("Tab")
    assert writer.text() == "methods:\n  - random\n    "
    area.press("Escape")
    area.press("Tab")
    assert writer.page.evaluate("document.activeElement.id") != "yaml"


@needs_package
def test_a_sweep_is_planned_started_watched_and_started_again(writer: Writer, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MOONAS_STORAGE", raising=False)
    writer.page.locator("#yaml").fill(yaml.safe_dump(TABULAR | {"name": "swept"}, sort_keys=False))
    writer.planned("20")  # two budgets, ten replicates
    assert writer.page.locator("#plan tbody tr").count() == 2
    disconnected = 125 + 36 + 100 + 80  # without a way from input to output: by which edges leave the input
    assert f"{(5**6 - disconnected) / 1000:.1f}k" in writer.page.locator("#plan tbody tr").nth(1).inner_text()  # no budget
    writer.field("replicates").fill("2")
    writer.planned("4")
    writer.page.get_by_role("button", name="Start swept").click()
    writer.page.wait_for_url("**/studies/swept")
    writer.page.get_by_text("4 of 4").wait_for()
    writer.page.locator("#state .complete").wait_for()
    assert len(api.load_study("swept", url).trials()) == 4
    writer.page.get_by_role("link", name="Start again").click()
    writer.page.get_by_role("button", name="Start swept-2").wait_for()
    writer.says(name="swept-2", budgets={"params": ["20%", "none"]}, replicates=2, protocol="tabular")
    writer.field("name").fill("swept")
    writer.page.get_by_role("button", name="Go on with swept").wait_for()
    writer.field("replicates").fill("3")
    writer.page.get_by_role("button", name="Extend swept and start").wait_for()
    writer.page.locator("#yaml").fill(writer.text().replace("accuracy", "macs"))
    writer.page.get_by_text("This name is taken").wait_for()
    assert writer.page.locator("#start").is_disabled()
    writer.at_ease()


def test_a_viewer_sees_why_nothing_can_be_started(chromium: Any, url: str) -> None:
    with Store.open(url) as store:
        token = create_token(store.database, "onlooker", Role.viewer)
    for address in serving(url, tokens=True):
        writer = Writer(chromium, address, extra_http_headers={"Authorization": f"Bearer {token}"})
        writer.open("/new")
        writer.page.get_by_text("needs a token of the role operator").wait_for()
        assert writer.page.locator("#start").is_disabled()
        writer.page.get_by_text("Shown to those who may start studies").wait_for()
        writer.at_ease()
        writer.page.context.close()


def test_what_another_was_faster_with_is_told_when_it_is_started(writer: Writer, url: str) -> None:
    api.create(yaml.safe_load(writer.text()) | {"seed": 5}, url)
    writer.page.get_by_role("button", name="Start first").click()
    writer.page.get_by_text("This name is taken").wait_for()
    assert "seed: 5 -> 0" in writer.page.locator("#verdict").inner_text()
    assert [text for text in writer.complaints if "409" not in text] == []
