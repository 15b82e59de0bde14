"""Colours and type, in one place for figures, drawn cells and pages: a light and a dark scheme.

`PALETTE` serves both schemes: each colour has a contrast of at least 3 against every background below, which is what WCAG 2.1
(success criterion 1.4.11) asks of graphics; text colours have at least 4.5. The colours follow the order of Okabe and Ito's
palette for colour-blind readers (blue, vermilion, green, purple), in mid-tones of our own; a symbol or a word always goes with
them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import plotly.graph_objects as go

PALETTE = ("#2f7ec4", "#d2601a", "#16936b", "#b2589c", "#a07a08", "#1c93a6", "#8266c9")
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "star", "hexagon", "triangle-down")
NEUTRAL = "#7a8494"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Liberation Sans', Arial, sans-serif"

SCHEMES = {
    "light": {
        "page": "#f6f7f9",
        "surface": "#ffffff",
        "ink": "#1b2027",
        "muted": "#596371",
        "line": "#dde1e7",
        "accent": "#0b62a8",
        "good": "#12704f",
        "bad": "#b3261e",
    },
    "dark": {
        "page": "#12161b",
        "surface": "#1a1f26",
        "ink": "#e6e9ee",
        "muted": "#a3acb9",
        "line": "#323a45",
        "accent": "#7db8ee",
        "good": "#5fc79d",
        "bad": "#ff9a8f",
    },
}


def method_styles(methods: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Colour and Plotly symbol of each method, by its place in the list; pairs repeat only after 56 methods."""
    return {name: (PALETTE[i % len(PALETTE)], SYMBOLS[i % len(SYMBOLS)]) for i, name in enumerate(methods)}


def css_variables(switch: str = "") -> str:
    """Both schemes as CSS custom properties: light by default, dark where the reader prefers it.

    switch: a selector of the root element; where it is given, dark is for where that matches, whatever the reader prefers.
    """
    light, dark = ("".join(f"--{name}:{colour};" for name, colour in SCHEMES[scheme].items()) for scheme in ("light", "dark"))
    rule = f":root{switch}{{{dark}}}" if switch else f"@media (prefers-color-scheme: dark){{:root{{{dark}}}}}"
    return f":root{{{light}--font:{FONT}}}\n{rule}\n"


def template(scheme: str = "light") -> go.layout.Template:
    """The Plotly template of a scheme, "light" or "dark"."""
    import plotly.graph_objects as go

    colours = SCHEMES[scheme]
    axis = {
        "gridcolor": colours["line"],
        "linecolor": NEUTRAL,
        "tickcolor": NEUTRAL,
        "showline": True,
        "zeroline": False,
        "ticks": "outside",
        "ticklen": 5,
        "automargin": True,
        "title": {"standoff": 12},
    }
    return go.layout.Template(
        layout={
            "font": {"family": FONT, "size": 13, "color": colours["ink"]},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "colorway": list(PALETTE),
            "xaxis": axis,
            "yaxis": axis,
            "hoverlabel": {
                "bgcolor": colours["surface"],
                "bordercolor": NEUTRAL,
                "align": "left",
                "font": {"family": FONT, "size": 13, "color": colours["ink"]},
            },
            "legend": {
                "orientation": "h",
                "x": 0,
                "xanchor": "left",
                "y": 0,
                "yref": "container",
                "yanchor": "bottom",
                "bgcolor": "rgba(0,0,0,0)",
            },
            "margin": {"l": 64, "r": 24, "t": 24, "b": 56},
        }
    )
