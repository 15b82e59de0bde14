"""The description of the API as a page, written from the same OpenAPI document that programs read."""

from __future__ import annotations

from html import escape
from typing import Any

from starlette.responses import Response

from moonas.service.pages.html import page


def reference(document: dict[str, Any], root: str) -> Response:
    """document: OpenAPI, its paths below `root`."""
    groups: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            groups.setdefault(operation["tags"][0], []).append(_operation(method.upper(), root + path, operation))
    body = (
        f"<h1>{escape(document['info']['title'])}</h1><p>{escape(document['info']['description'])} "
        f'For programs: <a href="{root}/openapi.json">{root}/openapi.json</a>.</p>'
    )
    for name, operations in groups.items():
        body += f"<section><h2>{escape(name)}</h2>{''.join(operations)}</section>"
    return page(document["info"]["title"], body)


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(given['name'])}</code></td><td>{escape(given['in'])}</td>"
        f"<td>{escape(given.get('description', ''))}</td></tr>"
        for given in operation.get("parameters", ())
    )
    table = f"<table><tbody>{rows}</tbody></table>" if rows else ""
    return (
        f'<article><h3><code><b class="{method.lower()}">{method}</b> {escape(path)}</code> '
        f"<span>{escape(operation['x-role'])}</span></h3>"
        f"<p>{escape(operation.get('description', ''))}</p>{table}</article>"
    )
