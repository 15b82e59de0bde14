"""The page of a trial and the table of trials in a real browser, over searches that really ran."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.dashboard.serving import served
from tests.dashboard.test_browser import CHROMIUM, NARROW, WIDE, Reader

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")


@pytest.fixture(scope="module")
def browser(searched: str) -> Iterator[tuple[Any, str]]:
    with served(searched) as address, playwright.sync_playwright() as tools:
        chromium = tools.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium, address
        chromium.close()


@pytest.fixture
def reader(browser: tuple[Any, str]) -> Iterator[Reader]:
    reader = Reader(*browser)
    yield reader
    reader.page.context.close()


def test_a_searched_trial_shows_its_curves_its_health_and_its_weights_and_leads_to_the_next(reader: Reader) -> None:
    reader.open("/studies/real/trials/0")
    page = reader.page
    for place in ("#trial-learning", "#trial-health", "#trial-mixture"):
        page.locator(f"{place} .js-plotly-plot").first.wait_for()
    assert page.locator("#trial-learning .js-plotly-plot").count() == 4
    assert page.locator("#trial-learning .scatterlayer .trace path.js-line").count() == 8  # on training and validation images
    assert page.locator("#trial-health .js-plotly-plot").count() >= 4
    assert page.locator("#trial-mixture .heatmaplayer image").count() == 1
    assert page.locator("#trial-mixture .scatterlayer text", has_text="◂").count() == 4  # two edges into each of two nodes
    page.locator("#mixture-of").click()
    page.get_by_role("option", name="edges of the reduce cell").click()
    page.locator("#trial-mixture [aria-label='Edges of the reduce cell over epochs']").first.wait_for()
    for size in (WIDE, NARROW):
        page.set_viewport_size(size)
        reader.settle()
        reader.until("document.documentElement.scrollWidth <= window.innerWidth")
        assert reader.overlaps() == []
    page.locator("#trial-next").click()
    page.wait_for_url("**/trials/1")
    page.get_by_role("heading", name="Trial 1", exact=True).wait_for()
    reader.settle()
    reader.at_ease()


def test_a_failed_trial_is_found_in_the_table_and_shows_what_its_worker_said(reader: Reader) -> None:
    reader.open("/studies/real?view=trials")
    page = reader.page
    page.locator("#trials .ag-center-cols-container .ag-row a").first.wait_for()
    page.locator("#only-state").click()
    page.get_by_role("option", name="failed").click()
    reader.until("document.querySelectorAll('#trials .ag-center-cols-container .ag-row').length === 2")
    page.locator("#trials .ag-center-cols-container .ag-row a").first.click()
    page.wait_for_url("**/trials/2")
    page.locator("#trial-attempts summary").first.click()
    shown = page.locator("#trial-attempts pre").first
    shown.wait_for()
    assert shown.inner_text().startswith("Traceback")
    assert "NonFiniteLossError" in page.locator(".reason").inner_text()
    reader.settle()
    reader.at_ease()


def test_a_trial_that_is_not_there_is_told_in_the_look_of_all_pages(reader: Reader) -> None:
    reader.open("/studies/real/trials/99")
    reader.page.get_by_text("the study has 4 trials, counted from 0").wait_for()
    assert all("404" in complaint for complaint in reader.complaints)
