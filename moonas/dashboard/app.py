"""The dashboard as one Dash app on a server's FastAPI app."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Any, Protocol

import dash
from dash import set_props
from dash.backends._fastapi import FastAPIDashServer, reset_current_request, set_current_request
from dash.exceptions import PreventUpdate
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse, Response
from starlette.concurrency import run_in_threadpool

from moonas.dashboard import shell
from moonas.dashboard.catalogue import Catalogue
from moonas.dashboard.pages import PAGES
from moonas.errors import MoonasError
from moonas.report.theme import css_variables

if TYPE_CHECKING:
    from dash import Dash

log = logging.getLogger("moonas")
PLOTLY = "plotly-strict-4.1.1.min.js"
DARK = '[data-mantine-color-scheme="dark"]'


class Settings(Protocol):
    """What the dashboard needs to know of its server. storage: URL of the study database."""

    @property
    def storage(self) -> str: ...


class HttpOnly(FastAPIDashServer):
    """Dash's FastAPI backend without its second channel: every callback is a POST that the server's own checks see."""

    websocket_capability = False

    def serve_callback(self, dash_app: Dash) -> Callable[[Request], Awaitable[Any]]:
        """Answer a callback. What a callback itself raises goes to `_tell`: anything else is about the request.

        Raises HTTPException, in place of Dash's 500 that no log tells of.
        """
        dispatch = super().serve_callback(dash_app)

        async def answer(request: Request) -> Any:
            try:
                return await dispatch(request)
            except PreventUpdate:
                raise
            except Exception as error:
                log.warning("a request for a part of a page cannot be answered", exc_info=error)
                raise HTTPException(400, "this is no request that a page of this server makes; load the page anew") from error

        return answer


def mount(app: FastAPI, settings: Settings) -> tuple[str, ...]:
    """Serve the dashboard below `/`, behind every route that `app` has by then; its connection to the database only reads.

    Returns what a Content-Security-Policy's `script-src` must allow besides 'self'. Its `style-src` needs 'unsafe-inline', its
    `img-src` data: and blob:, since Plotly and Mantine write style rules and draw images of their own; nothing is fetched from
    elsewhere and no text is evaluated.
    """
    dashboard = create(Catalogue(settings.storage))
    app.mount("/", dashboard.server)
    return tuple(dashboard.csp_hashes())


def create(catalogue: Catalogue) -> Dash:
    """The Dash app over a catalogue of studies."""
    app = dash.Dash(
        __name__,
        backend=HttpOnly,
        assets_folder=str(files("moonas.dashboard") / "assets"),
        index_string=_index(),
        title="moonas",
        update_title=None,
        suppress_callback_exceptions=True,  # a page's parts are there only while it is shown
        add_log_handler=False,
        on_error=_tell,
    )
    app.layout = shell.layout  # worked out for each reader
    shell.register(app, catalogue)
    for page in PAGES.values():
        page.register(app, catalogue)
    for path in PAGES:
        _serve(app, catalogue, path)
    app.server.add_api_route(f"/plotly/{PLOTLY}", _plotly, methods=["GET"], include_in_schema=False)
    app._setup_server()  # which Dash puts off until its first address is asked for; ours may be asked for before
    return app


def _serve(app: Dash, catalogue: Catalogue, path: str) -> None:
    """Answer an address of its own with the one page that Dash fills; 404 where it names what is not there."""

    async def index(request: Request) -> HTMLResponse:
        named = request.path_params
        found = not named or await run_in_threadpool(catalogue.holds, **named)
        token = set_current_request(request)
        try:
            return HTMLResponse(app.index(), status_code=200 if found else 404)
        finally:
            reset_current_request(token)

    if path != "/":
        app.server.add_api_route(path, index, methods=["GET"], include_in_schema=False)


def _plotly() -> Response:
    """Plotly's script, kept by the browser for good: another version has another name."""
    packed = files("moonas.dashboard").joinpath("plotly", f"{PLOTLY}.gz").read_bytes()
    headers = {"Content-Encoding": "gzip", "Cache-Control": "public, max-age=31536000, immutable"}
    return Response(packed, media_type="text/javascript", headers=headers)


def _index() -> str:
    """The page that everything is drawn into. Its look is the report's."""
    page = Template(files("moonas.dashboard").joinpath("index.html").read_text(encoding="utf-8"))
    look = files("moonas.report").joinpath("page.css").read_text(encoding="utf-8")
    return page.substitute(style=css_variables(DARK) + look)


def _tell(error: Exception) -> None:
    """Say what went wrong at the top of the page; what was there stays. Where it is our mistake, the log has its traceback."""
    if isinstance(error, MoonasError):
        told = str(error)
    else:
        log.error("the dashboard failed", exc_info=error)
        told = "This is a mistake in moonas itself; the server's log says more."
    set_props("notice", {"children": shell.notice(told)})
