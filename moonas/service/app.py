"""The server's application: the API below /api/v1, pages, and what stands before both."""

from __future__ import annotations

import threading
from collections import Counter
from functools import cached_property
from importlib.resources import files
from typing import Any

from fastapi import FastAPI
from starlette.responses import Response
from starlette.routing import Mount

from moonas.dashboard.app import mount
from moonas.report.theme import css_variables
from moonas.service.api import ROUTERS
from moonas.service.api.kept import KeptAnswers, SharedAnswers
from moonas.service.api.parts import OpenStudies
from moonas.service.pages import login
from moonas.service.pages.html import STYLE
from moonas.service.pages.reference import reference
from moonas.service.problems import ErrorOut, Faults, handle_errors
from moonas.service.roles import VIEWER, check_decided, decisions
from moonas.service.security.callers import Callers
from moonas.service.security.headers import SafeHeaders
from moonas.service.security.limits import Limits
from moonas.service.security.log import AccessLog
from moonas.service.security.origins import Origins
from moonas.service.settings import Settings
from moonas.store.store import Store

ROOT = "/api/v1"
DESCRIPTION = "Studies of moonas: their fronts, trials and architectures, and what drives them."
FAILURES: dict[int | str, dict[str, Any]] = {"default": {"model": ErrorOut, "description": "Any error, in the one shape."}}


def create_app(settings: Settings) -> FastAPI:
    """The application over a database that is there. Raises StorageError where it cannot be read."""
    store = Store.open(settings.storage, read_only=True)
    api = _api(settings, store)
    app = FastAPI(title="moonas", openapi_url=None, docs_url=None, redoc_url=None)
    app.state.store = store
    app.mount(ROOT, api)
    app.include_router(login.router)
    for path in ("/api", "/docs"):
        app.add_api_route(path, lambda: reference(api.openapi(), ROOT), include_in_schema=False)
    app.add_api_route(STYLE, _style, include_in_schema=False)
    scripts = mount(app, settings)  # behind every route there is by now
    for one in (app, *(route.app for route in app.routes if isinstance(route, Mount))):
        assert isinstance(one, FastAPI)
        handle_errors(one)
    app.add_middleware(Faults)  # each stands before those that were added earlier
    app.add_middleware(Callers, settings=settings, store=store)
    app.add_middleware(Limits, settings=settings)
    app.add_middleware(Origins, settings=settings)
    app.add_middleware(SafeHeaders, scripts=scripts)
    app.add_middleware(AccessLog, counts=api.state.counts)
    app.state.closing = api.state.closing
    return app


class Api(FastAPI):
    """Its description, made when it is first asked for, says who may call what."""

    @cached_property
    def _document(self) -> dict[str, Any]:
        document = super().openapi()
        paths = document["paths"]
        for methods, path, (decision,) in decisions(self):
            for method in methods if path in paths else ():
                paths[path][method.lower()]["x-role"] = decision.role or "anyone"
        return document

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document."""
        return self._document


def _api(settings: Settings, store: Store) -> FastAPI:
    api = Api(
        title="moonas API",
        version="1",
        description=DESCRIPTION,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        servers=[{"url": ROOT}],
        responses=FAILURES,
        strict_content_type=True,
    )
    api.state.settings, api.state.store = settings, store
    api.state.studies, api.state.kept, api.state.shared = OpenStudies(), KeptAnswers(), SharedAnswers()
    api.state.counts, api.state.streams, api.state.closing = Counter(), 0, threading.Event()
    for router in ROUTERS:
        api.include_router(router)
    api.add_api_route("/openapi.json", api.openapi, dependencies=[VIEWER], include_in_schema=False)
    api.add_middleware(Faults)
    check_decided(api)
    return api


def _style() -> Response:
    return Response(
        css_variables() + files("moonas.service.pages").joinpath("service.css").read_text("utf-8"), media_type="text/css"
    )
