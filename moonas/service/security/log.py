"""One line for every request, without what stands after its `?`, and how many there were of each status."""

from __future__ import annotations

import logging
import time
from collections import Counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOG = logging.getLogger("moonas.access")


class AccessLog:
    """Logs `client method path status milliseconds`, and counts statuses for the metrics."""

    def __init__(self, app: ASGIApp, counts: Counter[int]) -> None:
        self.app, self.counts = app, counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        began, status = time.monotonic(), 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            return await self.app(scope, receive, watched)
        finally:
            self.counts[status] += 1
            client, took = (scope.get("client") or ("-",))[0], 1e3 * (time.monotonic() - began)
            LOG.info("%s %s %s %d %.0f ms", client, scope["method"], ascii(scope["path"])[1:-1], status, took)
