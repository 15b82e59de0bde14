"""Take the pictures of the dashboard anew, light and dark: python docs/pictures.py URL STUDY TRIALS [PICTURE ...].

URL: the address of `moonas serve`, which needs no token. STUDY: with a front, replicates and several methods. TRIALS: with searches
whose architecture weights are stored. A small sweep of digits is started there for the pictures of one that runs, and deleted.
Needs playwright with a Chromium, or its path in MOONAS_CHROMIUM.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

IMAGES = Path(__file__).parent / "images"
DIGITS = Path(__file__).parents[1] / "studies" / "digits.yaml"
DESK, PHONE = (1280, 1000), (390, 844)
TALLEST = 1250
RUNNING = "digits"
COLOURS = 256


def main(url: str, study: str, trials: str, *only: str) -> None:
    """Every picture; or those that are named."""
    here, there = f"/studies/{study}", f"/studies/{trials}"
    pages: dict[str, tuple[str, Callable[[Page], None]]] = {
        "studies": ("/", still),
        "confirm": (f"/studies/{RUNNING}", confirm),
        "study": (here, choose),
        "hypervolume": (f"{here}?view=hypervolume", still),
        "methods": (f"{here}?view=methods", still),
        "budgets": (f"{here}?view=budgets", still),
        "parameters": (f"{here}?view=parameters", still),
        "trials": (f"{there}?view=trials", still),
        "workers": (f"{here}?view=workers", still),
        "events": (f"{there}?view=events", still),
        "pick": (f"{here}/pick?under=params%3D22k", still),
        "trial": (f"{there}/trials/0", still),
        "trial-weights": (f"{there}/trials/0", weights),
        "compare": (f"/compare?studies={study},{study}-random", still),
        "new": ("/new", still),
    }
    with sync_playwright() as playwright, browser(playwright) as opened:
        pages["architecture"] = (first_network(opened, url + here), still)
        wanted = [name for name in pages if not only or name in only]
        if runs := {"studies", "confirm"} & set(wanted):
            start_digits(opened, url)
        for name in wanted:
            address, prepare = pages[name]
            for scheme, ending in (("light", ""), ("dark", "-dark")):
                shoot(opened, url + address, prepare, scheme, DESK, f"dashboard-{name}{ending}.png")
            runs = runs - {name}
            if not runs and name in ("studies", "confirm"):
                end(opened, url, RUNNING)
        if "study" in wanted:
            shoot(opened, url + here, choose, "light", PHONE, "dashboard-study-phone.png")


@contextmanager
def browser(playwright: object) -> Iterator[Browser]:
    """Chromium without a window."""
    opened = playwright.chromium.launch(executable_path=os.environ.get("MOONAS_CHROMIUM"))  # type: ignore[attr-defined]
    yield opened
    opened.close()


def start_digits(opened: Browser, url: str) -> None:
    """Start the sweep of digits, and wait for its first networks."""
    sweep = {**yaml.safe_load(DIGITS.read_text(encoding="utf-8")), "name": RUNNING, "replicates": 6}
    with opened.new_context(base_url=url) as context:
        answer = context.request.post("/api/v1/studies", data=sweep)
        assert answer.ok, answer.text()
        page = context.new_page()
        for _ in range(600):
            found = context.request.get(f"/api/v1/studies/{RUNNING}").json()
            if found["trials"].get("COMPLETE", 0) >= 4:
                break
            page.wait_for_timeout(500)


def end(opened: Browser, url: str, name: str) -> None:
    """Cancel a study, and delete it."""
    with opened.new_context(base_url=url) as context:
        context.request.post(f"/api/v1/studies/{name}/cancel?wait=10")
        context.new_page().wait_for_timeout(5000)
        context.request.delete(f"/api/v1/studies/{name}")


def first_network(opened: Browser, address: str) -> str:
    """The address of the first network of a study's table."""
    with opened.new_context(viewport={"width": DESK[0], "height": DESK[1]}) as context:
        page = context.new_page()
        page.goto(address)
        link = page.locator(".ag-row a[href*='/networks/']").nth(4)
        return str(link.get_attribute("href", timeout=30_000))


def shoot(opened: Browser, address: str, prepare: Callable[[Page], None], scheme: str, size: tuple[int, int], name: str) -> None:
    """Open a page, wait until it stands still, and keep what is seen of it."""
    viewport = {"width": size[0], "height": size[1]}
    with opened.new_context(viewport=viewport, color_scheme=scheme, reduced_motion="reduce") as context:  # type: ignore[arg-type]
        page = context.new_page()
        page.goto(address)
        page.locator("h1").wait_for(timeout=60_000)
        page.wait_for_timeout(3000)
        prepare(page)
        page.wait_for_timeout(1500)
        if prepare in (still, choose) and size == DESK:
            low = page.locator("#content").evaluate("(one) => one.getBoundingClientRect().bottom + scrollY")
            page.set_viewport_size({"width": size[0], "height": min(int(low) + 24, TALLEST)})
        if prepare is choose:
            page.evaluate("scrollTo(0, 0)")
        page.wait_for_timeout(1500)
        drawn = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        drawn.quantize(COLOURS, dither=Image.Dither.NONE).save(IMAGES / name, optimize=True)
        print(name)


def still(page: Page) -> None:
    """Nothing to do."""


def choose(page: Page) -> None:
    """Choose a member of the front in its table."""
    page.locator(".ag-row [col-id='trial']").nth(3).click(timeout=30_000)


def weights(page: Page) -> None:
    """Bring the heat map into sight."""
    page.get_by_text("Architecture weights", exact=True).evaluate("(one) => one.scrollIntoView()")
    page.mouse.wheel(0, -40)


def confirm(page: Page) -> None:
    """Ask to cancel the study."""
    page.locator(".actions button.cancel").click(timeout=30_000)


if __name__ == "__main__":
    main(*sys.argv[1:])
