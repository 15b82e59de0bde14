"""What stands around every page: the header with the search, the switch of colours and who reads, the trail, the way to a page."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import dash_mantine_components as dmc
from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html
from starlette.routing import compile_path

from moonas.dashboard.actions import dialogs
from moonas.dashboard.catalogue import Catalogue
from moonas.dashboard.components import Page, anchor, empty, in_thread
from moonas.dashboard.readers import Reader, reader
from moonas.errors import MoonasError
from moonas.report.theme import FONT


def layout() -> Any:
    """The frame for whoever asks for it, in which the page is still to come."""
    who = reader()
    theme = {"fontFamily": FONT, "defaultRadius": "md", "cursorType": "pointer", "respectReducedMotion": True}
    header = html.Header(
        [
            anchor("/", [html.Img(src="/assets/favicon.svg", alt="", width=22, height=22), "moonas"], className="brand"),
            anchor("/new", "New sweep", className="action to-new"),
            dmc.Select(
                id="search",
                searchable=True,
                clearable=True,
                placeholder="Go to a study",
                nothingFoundMessage="no such study",
                attributes={"input": {"aria-label": "Go to a study"}},
                size="sm",
                className="search",
            ),
            dmc.ColorSchemeToggle(
                id="switch",
                lightIcon=_icon("moon"),
                darkIcon=_icon("sun"),
                size="lg",
                attributes={"root": {"title": "Light or dark"}},
            ),
            *_session(who),
        ],
        className="bar",
    )
    return dmc.MantineProvider(
        [
            dcc.Location(id="address", refresh="callback-nav"),
            dcc.Store(id="title"),
            dcc.Store(id="scheme"),
            dcc.Store(id="webgl"),
            dcc.Store(id="served", data=who.served),
            dcc.Store(id="followed"),  # the study whose events are listened to
            html.A("Skip to the content", href="#content", className="skip"),
            header,
            html.Div(id="notice", role="status", **{"aria-live": "polite"}),
            dcc.Loading(
                html.Main(id="content", tabIndex=-1),
                target_components={"content": "children"},
                delay_show=400,
                overlay_style={"visibility": "visible", "opacity": 0.5},
                type="dot",
                color="var(--accent)",
            ),
            *dialogs(),
        ],
        theme=theme,
        defaultColorScheme="auto",
    )


def register(app: Dash, catalogue: Catalogue) -> None:
    """Find the page of an address; go where the search says."""
    routes = _routes()

    @app.callback(
        Output("content", "children"),
        Output("title", "data"),
        Output("search", "data"),
        Input("address", "pathname"),
        Input("address", "search"),
    )
    @in_thread
    def show(pathname: str, search: str) -> tuple[Any, str, list[str]]:
        try:
            page = find_page(catalogue, routes, pathname, search)
            names = catalogue.names()
        except MoonasError as error:
            page, names = Page("Not there", [], [empty("This cannot be shown", str(error))]), []
        return frame(page), f"{page.title} · moonas", names

    app.clientside_callback(
        ClientsideFunction("moonas", "go"), Output("address", "pathname"), Input("search", "value"), prevent_initial_call=True
    )
    app.clientside_callback(
        ClientsideFunction("live", "follow"), Output("followed", "data"), Input("address", "pathname"), State("served", "data")
    )
    app.clientside_callback(
        ClientsideFunction("moonas", "drawing"), Output("scheme", "data"), Output("webgl", "data"), Input("scheme", "id")
    )
    app.clientside_callback(ClientsideFunction("moonas", "title"), Output("title", "id"), Input("title", "data"))


def find_page(catalogue: Catalogue, routes: Any, pathname: str, search: str) -> Page:
    """The page of an address. Raises MoonasError where it names what is not there."""
    for pattern, page in routes:
        if match := pattern.fullmatch(pathname):
            return page(catalogue, dict(parse_qsl(search.removeprefix("?"))), **match.groupdict())
    return Page("No such page", [], [empty("There is no such page", "Choose a study on the first page, or search above.")])


def frame(page: Page) -> list[Any]:
    """The trail above a page's content."""
    trail = [("Studies", "/"), *page.trail]
    links = [html.Li(anchor(href, text)) for text, href in trail if text != page.title]
    crumbs = html.Nav(
        html.Ol([*links, html.Li(page.title, **{"aria-current": "page"})]), className="trail", **{"aria-label": "Trail"}
    )
    return [crumbs, *page.content]


def notice(text: str) -> Any:
    """An error, to stand above the page until another one is opened."""
    return dmc.Alert(text, title="This did not work", color="red", withCloseButton=True, className="notice")


def _routes() -> list[tuple[Any, Any]]:
    from moonas.dashboard.pages import PAGES

    return [(compile_path(path)[0], module.page) for path, module in PAGES.items()]


def _session(who: Reader) -> list[Any]:
    """Who is logged in, and the way out; nothing where no token is needed."""
    if not who.name:
        return []
    role = "operator" if who.drives else "viewer"
    leave = html.Button("Log out", className="action", type="submit")
    out = html.Form(leave, action="/logout", method="POST")
    return [html.Div([html.Span([who.name, html.Small(role)], className="who"), out], className="session")]


def _icon(name: str) -> Any:
    return html.Span(className=f"icon {name}", **{"aria-hidden": "true"})
