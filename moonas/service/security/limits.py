"""How much one client may ask for: requests a second, and bytes of a request."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from moonas.service.problems import Problem, problem_response
from moonas.service.settings import Settings

MOST_CLIENTS = 10_000  # that are remembered; those that have been quiet long enough are forgotten first


class Buckets:
    """A bucket of `burst` requests for each client, which fills up again by `rate` a second."""

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate, self.burst, self.clock = rate, burst, clock
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, client: str) -> float:
        """Take one request; returns 0, or where none is left how many seconds to wait."""
        now = self.clock()
        left, since = self._left.pop(client, (self.burst, now))
        left = min(self.burst, left + (now - since) * self.rate)
        wait = max(0.0, (1 - left) / self.rate)
        self._left[client] = (left if wait else left - 1, now)  # at the end: those in front have been quiet for longest
        while len(self._left) > MOST_CLIENTS:
            self._left.pop(next(iter(self._left)))
        return wait


class Limits:
    """Answers 429 where a client asks too often, 413 where a request is too large, whether it says so beforehand or not."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app, self.body = app, settings.body
        self.buckets = Buckets(settings.rate, settings.burst)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif problem := self._problem(scope):
            await problem_response(problem)(scope, receive, send)
        else:
            await self.app(scope, self._counted(receive), send)

    def _problem(self, scope: Scope) -> Problem | None:
        if wait := self.buckets.take((scope.get("client") or ("",))[0]):
            return Problem(429, "too_many_requests", "too many requests", {"Retry-After": str(math.ceil(wait))})
        declared = Headers(scope=scope).get("content-length", "0")
        return self._too_large() if not declared.isdecimal() or int(declared) > self.body else None

    def _counted(self, receive: Receive) -> Receive:
        """Raises the problem where the request is read, so that it is answered as any other of the route."""
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self.body:
                raise self._too_large()
            return message

        return counted

    def _too_large(self) -> Problem:
        return Problem(413, "too_large", f"a request may have {self.body:,} bytes")
