"""Drawn cells as pictures, one in the light colours and one in the dark; the page shows the one that fits."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from dash import html

from moonas.architecture import Architecture
from moonas.report.cells import families
from moonas.report.members import drawing, group_title
from moonas.report.theme import FONT, SCHEMES


def cell_pictures(architecture: Architecture) -> Any:
    """Every group's cell."""
    return html.Div(
        [
            html.Figure(
                [
                    html.Figcaption(group_title(group)),
                    html.Div(
                        [_picture(drawing(architecture, group), scheme, _told(architecture, group)) for scheme in SCHEMES],
                        className="scroll",
                        tabIndex=0,
                        role="group",
                        **{"aria-label": group_title(group)},
                    ),
                ],
                className="cell-figure",
            )
            for group in architecture.groups
        ],
        className="cells",
    )


def legend(architecture: Architecture) -> Any:
    """What the colours of its operations mean."""
    operations = [operation for edges in architecture.groups.values() for _, _, operation in edges]
    rows = [html.Li([html.Span(className="stroke", style={"background": colour}), name]) for name, colour in families(operations)]
    return html.Ul(rows, className="legend", **{"aria-label": "Operations"})


def _picture(svg: str, scheme: str, told: str) -> Any:
    """An SVG element as an image: what follows the page's colours elsewhere is written out."""
    colours = SCHEMES[scheme]
    start = f'<svg xmlns="http://www.w3.org/2000/svg" font-family="{FONT.replace(chr(34), chr(39))}"'
    whole = svg.replace("<svg", start, 1).replace("var(--surface,#fff)", colours["surface"]).replace("currentColor", colours["ink"])
    return html.Img(src=f"data:image/svg+xml,{quote(whole)}", alt=told, className=f"cell only-{scheme}")


def _told(architecture: Architecture, group: str) -> str:
    return ", ".join(f"{predecessor} to {node}: {operation}" for node, predecessor, operation in architecture.groups[group])
