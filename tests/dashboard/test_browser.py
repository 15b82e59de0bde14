"""Every page in a real browser, under the content security policy of a strict server."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.dashboard.serving import served

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")

WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 800}
PAGES = {
    "/": "Studies",
    "/studies/small": "small",
    "/studies/small?view=hypervolume": "small",
    "/studies/small?view=methods": "small",
    "/studies/small?view=budgets": "small",
    "/studies/small?view=parameters": "small",
    "/studies/small?view=trials": "small",
    "/studies/small?view=workers": "small",
    "/studies/small/trials/0": "Trial 0",
    "/studies/small?view=events": "small",
    "/studies/waiting": "waiting",
    "/studies/small/pick?under=params%3D1M": "Pick a network",
    "/compare?studies=small,other": "Compare studies",
}

OVERLAPS = """() => {
  const found = [];
  const places = "#content, .head, .controls, .cards, .columns, .column, .bar, .history, .happened tr";
  for (const parent of document.querySelectorAll(places)) {
    const all = [...parent.children].map((one) => ({ one, at: one.getBoundingClientRect() }));
    const boxes = all.filter(({ at }) => at.width * at.height);
    for (const [place, first] of boxes.entries()) for (const second of boxes.slice(place + 1)) {
      const wide = Math.min(first.at.right, second.at.right) - Math.max(first.at.left, second.at.left);
      const high = Math.min(first.at.bottom, second.at.bottom) - Math.max(first.at.top, second.at.top);
      if (wide > 1 && high > 1) found.push([first, second].map(({ one }) => one.outerHTML.slice(0, 80)).join(" and "));
    }
  }
  return found;
}"""


# Of every element with text of its own: its contrast (WCAG 2.1) against what lies below it, where that is less than 4.5.
PALE = """() => {
  const channels = (colour) => {
    const numbers = (colour.match(/[\\d.]+/g) || []).map(Number);
    if (colour.startsWith("color(srgb")) numbers.splice(0, 3, ...numbers.slice(0, 3).map((one) => 255 * one));
    return numbers.length === 3 ? [...numbers, 1] : numbers;
  };
  const over = ([r, g, b, a], below) => [r, g, b].map((one, place) => a * one + (1 - a) * below[place]);
  const luminance = (colour) => {
    const [r, g, b] = colour.map((one) => one / 255).map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (one) => {
    const layers = [];
    for (; one; one = one.parentElement) layers.push(channels(getComputedStyle(one).backgroundColor));
    return layers.reverse().reduce((below, layer) => (layer.length === 4 ? over(layer, below) : below), [255, 255, 255]);
  };
  const found = [];
  for (const one of document.querySelectorAll("body *")) {
    const text = [...one.childNodes].filter((node) => node.nodeType === 3).map((node) => node.data.trim()).join("");
    const shown = one.checkVisibility({ opacityProperty: true, visibilityProperty: true });
    if (!text || !shown || one.closest("script, style, [aria-hidden=true], [data-disabled], :disabled")) continue;
    const style = getComputedStyle(one);
    const below = ground(one);
    const ink = over(channels(one instanceof SVGElement ? style.fill : style.color), below);
    const [dark, light] = [luminance(ink), luminance(below)].sort((a, b) => a - b);
    const contrast = (light + 0.05) / (dark + 0.05);
    if (contrast < 4.5) found.push(`${contrast.toFixed(2)} ${one.tagName}.${one.getAttribute("class")}: ${text.slice(0, 30)}`);
  }
  return found;
}"""


class Reader:
    """A page of the browser, and everything it complained about."""

    def __init__(self, browser: Any, address: str, **options: Any) -> None:
        self.address = address
        self.page = browser.new_context(viewport=WIDE, **options).new_page()
        self.page.set_default_timeout(60_000)
        self.complaints: list[str] = []
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _hear(self, message: Any) -> None:
        wrong = message.type == "error" or "Error" in message.text  # Dash logs some of its errors as mere words
        if wrong or (message.type == "warning" and "GL Driver" not in message.text):
            self.complaints.append(message.text)

    def open(self, path: str) -> None:
        """Go to a page and wait until it is drawn."""
        self.page.goto(self.address + path)
        self.page.wait_for_selector("#content .trail")
        self.settle()

    def settle(self) -> None:
        """Wait until no callback is on its way."""
        self.page.wait_for_load_state("networkidle")
        self.until("document.querySelectorAll('[data-dash-is-loading=true]').length === 0")

    def until(self, expression: str) -> None:
        """Wait until something holds; the policy lets no text be evaluated by the page itself."""
        deadline = time.monotonic() + 60
        while not self.page.evaluate(expression):
            assert time.monotonic() < deadline, expression
            time.sleep(0.05)

    def at_ease(self) -> None:
        """Nothing was complained about, and no notice is shown."""
        assert self.complaints == []
        assert self.page.locator("#notice *").count() == 0

    def pale(self) -> list[str]:
        """Texts with too little contrast."""
        return self.page.evaluate(PALE)

    def overlaps(self) -> list[str]:
        """Parts of the page, side by side or below each other, that lie over one another."""
        return self.page.evaluate(OVERLAPS)


@pytest.fixture(scope="module")
def browser(storage: str) -> Iterator[tuple[Any, str]]:
    with served(storage) as address, playwright.sync_playwright() as tools:
        chromium = tools.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium, address
        chromium.close()


@pytest.fixture
def reader(browser: tuple[Any, str]) -> Iterator[Reader]:
    reader = Reader(*browser)
    yield reader
    reader.page.context.close()


@pytest.mark.parametrize("path", PAGES)
def test_every_page_opens_without_a_complaint_and_fits_a_screen_and_a_phone(reader: Reader, path: str) -> None:
    reader.open(path)
    assert reader.page.locator("h1").inner_text() == PAGES[path]
    for size in (WIDE, NARROW):
        reader.page.set_viewport_size(size)
        reader.settle()
        reader.until("document.documentElement.scrollWidth <= window.innerWidth")  # figures follow with a moment's delay
        assert reader.overlaps() == []
    reader.at_ease()


def test_a_point_and_a_row_choose_the_same_network_and_lead_to_its_page(reader: Reader, live: Any) -> None:
    reader.open("/studies/small")
    page, member = reader.page, live.members()[0]
    page.locator(f"#members [row-id^='network-{member.key}'] [col-id='trial']").click()
    page.locator("#chosen").get_by_text(member.key[:12]).wait_for()
    assert page.locator("#front-figure .scatterlayer .trace").first.locator("path.point").count() == 1
    markers = page.locator("#front-figure .scatterlayer .trace ~ .trace path.point").all()
    x, y = max(
        (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2) for box in (one.bounding_box() for one in markers) if box
    )
    page.mouse.move(x - 3, y - 3)
    page.mouse.move(x, y)
    page.locator("#front-figure .hoverlayer .hovertext").wait_for()
    page.mouse.click(x, y)
    reader.until(f"!document.querySelector('#chosen').innerText.includes('{member.key[:12]}')")
    page.locator("#chosen a").first.click()
    page.wait_for_url("**/networks/*")
    page.get_by_text("Costs by cell").wait_for()
    assert page.locator("img.only-light").first.is_visible()
    assert not page.locator("img.only-dark").first.is_visible()
    reader.settle()
    reader.at_ease()


GRAPHICS_CARD = """const read = WebGLRenderingContext.prototype.getParameter;
WebGLRenderingContext.prototype.getParameter = function (name) {
  return name === 37446 ? "a graphics card" : read.call(this, name);  // what draws
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_its_ground(browser: tuple[Any, str], live: Any, scheme: str) -> None:
    reader = Reader(*browser, color_scheme=scheme)
    for path in (*PAGES, f"/studies/small/networks/{live.members()[0].key}", "/studies/nowhere"):
        reader.open(path)
        assert (path, reader.pale()) == (path, [])
    reader.page.evaluate("document.querySelector('#content h2').style.color = '#777'")  # 4.48 on white, 3.9 on the dark surface
    assert len(reader.pale()) == 1
    reader.page.context.close()


def test_who_looks_at_the_front_of_now_follows_it_and_who_looks_back_stays(reader: Reader, live: Any) -> None:
    first, last = live.history[0].number, live.history[-1].number
    assert last > first + 1
    for seen, told in ((last - 1, f"front {last} of {last}, now"), (first, f"front {first} of {last}:")):
        reader.open("/studies/small")
        reader.page.get_by_text(f"front {last} of {last}, now").wait_for()
        # As on a page that was opened when there was one front less.
        reader.page.evaluate(f"dash_clientside.set_props('newest', {{data: {last - 1}}})")
        reader.page.evaluate(f"dash_clientside.set_props('moment', {{value: {seen}}})")
        reader.page.get_by_text(f"front {seen} of {last}:").wait_for()
        reader.page.evaluate("dash_clientside.set_props('version', {data: 'another'})")
        reader.settle()
        reader.page.get_by_text(told).wait_for()
        reader.at_ease()


def test_arrow_keys_in_the_table_move_the_choice_in_the_figure(reader: Reader, live: Any) -> None:
    reader.open("/studies/small")
    page, members = reader.page, live.members()
    page.locator(f"#members [row-id^='network-{members[0].key}'] [col-id='trial']").click()
    page.locator("#chosen").get_by_text(members[0].key[:12]).wait_for()
    page.keyboard.press("ArrowDown")
    page.locator("#chosen").get_by_text(members[1].key[:12]).wait_for()
    assert page.locator("#chosen").get_attribute("aria-live") == "polite"
    ring = "document.querySelector('#front-figure .js-plotly-plot').data[0].x"
    reader.until(f"{ring}.length === 1 && {ring}[0] === {members[1].metrics['params'].value}")
    reader.at_ease()


@pytest.mark.parametrize(("path", "asked"), [("/", "studies.rowTransaction"), ("/studies/small", "version.data"), ("/compare", "")])
def test_what_has_just_happened_is_looked_at_by_the_page_that_is_shown_alone(reader: Reader, path: str, asked: str) -> None:
    reader.open(path)
    sent: list[str] = []
    reader.page.on("request", lambda request: sent.append(request.post_data or "") if "_dash-update" in request.url else None)
    reader.page.evaluate("lookNow()")
    reader.page.wait_for_timeout(500)
    reader.settle()
    assert [request for request in sent if asked not in request or not asked] == []
    assert bool(sent) is bool(asked)
    reader.at_ease()


def test_many_trials_are_drawn_by_webgl_behind_the_front(browser: tuple[Any, str], monkeypatch: pytest.MonkeyPatch) -> None:
    from moonas.report import crowd

    monkeypatch.setattr(crowd, "MOST", 5)
    reader = Reader(*browser)
    reader.page.add_init_script(GRAPHICS_CARD)
    reader.open("/studies/small")
    page = reader.page
    page.wait_for_selector("#front-figure .gl-container canvas", state="attached")
    assert "scattergl" in page.evaluate("document.querySelector('#front-figure .js-plotly-plot').data.map((trace) => trace.type)")
    depth = page.locator("#front-figure .gl-container").evaluate("one => getComputedStyle(one).zIndex")
    assert depth == "-1"
    assert "are drawn" not in page.locator("#front-note").inner_text()
    reader.at_ease()
    page.context.close()


def test_without_a_graphics_card_many_trials_are_thinned(browser: tuple[Any, str], monkeypatch: pytest.MonkeyPatch) -> None:
    from moonas.report import crowd

    monkeypatch.setattr(crowd.thin, "__defaults__", (5,))
    reader = Reader(*browser)
    reader.open("/studies/small")
    reader.page.locator("#front-note").get_by_text("Of 12 trials").wait_for()
    assert reader.page.locator("#front-figure .gl-container canvas").count() == 0
    reader.at_ease()
    reader.page.context.close()


def test_the_slider_goes_back_through_the_front_s_history_by_key(reader: Reader, live: Any) -> None:
    reader.open("/studies/small")
    last = live.history[-1].number
    reader.page.get_by_text(f"front {last} of {last}, now").wait_for()
    reader.page.get_by_role("slider").focus()
    reader.page.keyboard.press("Home")
    first = live.history[0].number
    reader.page.get_by_text(f"front {first} of {last}: ").wait_for()
    reader.settle()
    assert reader.page.locator("#members .ag-row").count() == len(live.members(first))
    reader.at_ease()


def test_the_list_is_filtered_and_a_study_is_found_by_the_search(reader: Reader) -> None:
    reader.open("/")
    assert reader.page.locator("#studies .ag-row").count() == 3
    reader.page.locator("#filter").fill("oth")
    reader.until("document.querySelectorAll('#studies .ag-center-cols-container .ag-row').length === 1")
    reader.page.locator("#search").click()
    reader.page.get_by_role("option", name="waiting").click()
    reader.page.wait_for_url("**/studies/waiting")
    reader.page.get_by_text("Nothing measured yet").wait_for()
    assert reader.page.title() == "waiting · moonas"
    reader.at_ease()


def test_the_colours_follow_the_system_and_then_the_reader(browser: tuple[Any, str]) -> None:
    reader = Reader(*browser, color_scheme="dark")
    reader.open("/studies/small?view=hypervolume")
    page = reader.page

    def ink() -> str:
        return page.locator("#volume-evaluations .xtick text").first.evaluate("one => getComputedStyle(one).fill")

    assert ink() == "rgb(230, 233, 238)"  # the dark scheme's
    page.locator("#switch").click()
    reader.until(
        "getComputedStyle(document.querySelector('#volume-evaluations .xtick text')).fill === 'rgb(27, 32, 39)'"  # the light one's
    )
    page.reload()
    page.wait_for_selector("#volume-evaluations .xtick text")
    reader.settle()
    assert ink() == "rgb(27, 32, 39)"
    reader.at_ease()
    page.context.close()
