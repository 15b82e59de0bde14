"""What every answer tells the browser: run nothing but our own scripts, show us in no frame, guess no types, tell nobody."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with none at all, browsers send forms with an Origin of null
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"


class SafeHeaders:
    """Adds them. scripts: hashes of the inline scripts of our pages, such as `'sha256-...'`; no other inline script runs."""

    def __init__(self, app: ASGIApp, scripts: Sequence[str] = ()) -> None:
        self.app, self.page_policy = app, page_policy(scripts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in ALWAYS.items():
                    headers[name] = value
                is_page = headers.get("content-type", "").startswith("text/html")
                headers["Content-Security-Policy"] = self.page_policy if is_page else DATA_POLICY
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self.app(scope, receive, with_headers)


def page_policy(scripts: Sequence[str]) -> str:
    """Styles may stand inline: Plotly and the components of the pages set them so. Pictures are drawn as data and blobs."""
    return "; ".join(
        (
            "default-src 'none'",
            " ".join(("script-src 'self'", *scripts)),
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "connect-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    )
