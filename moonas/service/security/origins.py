"""Host and Origin: no page of elsewhere can read or change anything through a browser that reaches the server."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from moonas.service.problems import Problem, problem_response
from moonas.service.settings import Settings

SAFE = ("GET", "HEAD", "OPTIONS")


class Origins:
    """Refuses a Host that is none of the server's own, and unsafe requests that a page of elsewhere has made.

    A page that makes its own name point here ("DNS rebinding") sends that name as Host. An address in figures cannot be made to
    point elsewhere, so that any is let through.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.names = served_names(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (problem := self._problem(scope["method"], Headers(scope=scope))):
            await problem_response(problem)(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _problem(self, method: str, headers: Headers) -> Problem | None:
        host = headers.get("host", "")
        if not self._is_served(host):
            return Problem(421, "wrong_host", f"this server is not {host!r}; start it with --name for every name it is reached by")
        if method in SAFE:
            return None
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
        if site not in ("same-origin", "none") or (origin is not None and urlsplit(origin).netloc.lower() != host.lower()):
            return Problem(403, "cross_origin", "this request comes from a page of another server")
        return None

    def _is_served(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return name in self.names or _is_address(name)


def served_names(settings: Settings) -> set[str]:
    """The names in lower case that the server is reached by."""
    own = () if settings.host in ("127.0.0.1", "::1", "localhost") else (settings.host, socket.gethostname(), socket.getfqdn())
    return {name.lower() for name in ("localhost", *own, *settings.names)}


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
