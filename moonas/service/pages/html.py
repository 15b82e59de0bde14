"""The frame of a page."""

from __future__ import annotations

from html import escape

from starlette.responses import HTMLResponse

STYLE = "/static/service.css"


def page(title: str, body: str, status: int = 200) -> HTMLResponse:
    """title: text. body: HTML, in which everything from elsewhere is escaped."""
    return HTMLResponse(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">'
        f'<link rel="icon" href="data:,"><link rel="stylesheet" href="{STYLE}"></head><body><main>{body}</main></body></html>',
        status,
    )
