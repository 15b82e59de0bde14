"""Who is calling: found out once for every request, before anything of it is read. Without a token where one is needed, nobody."""

from __future__ import annotations

from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from moonas.service.problems import Problem, problem_response
from moonas.service.roles import Caller
from moonas.service.settings import Settings
from moonas.store.states import Role
from moonas.store.store import Store
from moonas.store.tokens import owner_of

COOKIE = "moonas_token"
PUBLIC_PATHS = ("/login", "/logout", "/static/service.css", "/api/v1/health")
HERE = Caller("", Role.operator)  # whoever reaches a server that only its own machine can reach


class Callers:
    """Puts the caller into the request's state; answers 401, or a page's reader with the way to the login."""

    def __init__(self, app: ASGIApp, settings: Settings, store: Store) -> None:
        self.app, self.settings, self.store = app, settings, store

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        if scope["type"] != "http":  # nothing here speaks over web sockets, which no rule of browsers keeps within one server
            return await send({"type": "websocket.close", "code": 1008})
        token = ""
        caller: Caller | None = HERE
        if self.settings.needs_tokens:
            token = _token(Headers(scope=scope))
            caller = await run_in_threadpool(self._caller, token) if token else None
        if caller is None and scope["path"] not in PUBLIC_PATHS:
            return await _refusal(scope, bool(token))(scope, receive, send)
        scope.setdefault("state", {})["caller"] = caller
        return await self.app(scope, receive, send)

    def _caller(self, token: str) -> Caller | None:
        owner = owner_of(self.store.database, token)
        return Caller(owner.name, Role(owner.role)) if owner else None


def _token(headers: Headers) -> str:
    """That of the header `Authorization: Bearer ...`, else of the cookie that the login sets; empty where there is none."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else cookie_parser(headers.get("cookie", "")).get(COOKIE, "")


def _refusal(scope: Scope, ended: bool) -> Response:
    """ended: whether the caller has a token, which opens nothing any more."""
    if scope["method"] == "GET" and "text/html" in Headers(scope=scope).get("accept", "") and not scope["path"].startswith("/api/"):
        asked = quote(scope["path"] + "?" * bool(scope["query_string"]) + scope["query_string"].decode("latin-1"))
        return RedirectResponse(f"/login?next={asked}{'&ended=true' * ended}", 303)
    text = "a valid token is needed: `Authorization: Bearer TOKEN`; make one with: moonas token create NAME --role viewer"
    return problem_response(Problem(401, "unauthorized", text, {"WWW-Authenticate": "Bearer"}))
