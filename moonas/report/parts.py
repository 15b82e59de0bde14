"""Pieces of HTML that several sections of a page are made of. Every function escapes the text it is given."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

from moonas.report import text
from moonas.report.records import ReportData, Value
from moonas.report.theme import method_styles

if TYPE_CHECKING:
    import plotly.graph_objects as go


class Cell(NamedTuple):
    """One cell of a table. html: what it shows; value: what it sorts by, None where it has none; style: CSS classes."""

    html: str
    value: str | float | None
    style: str = ""


def word(content: str, style: str = "") -> Cell:
    return Cell(escape(content), content, style)


def count(value: int) -> Cell:
    return Cell(f"{value:,}", value, "number")


def seconds(value: float | None) -> Cell:
    return Cell(text.duration(value), value, "number")


def metric(name: str, value: Value | None) -> Cell:
    return Cell(text.measured(name, value), None if value is None else value.value, "number")


def link(target: str, content: str) -> str:
    """A link within the page."""
    return f'<a href="#{escape(target)}">{escape(content)}</a>'


def method(data: ReportData, name: str) -> str:
    """A method's name with its colour in the figures."""
    return f'<span class="dot" style="background:{method_styles(data.methods)[name][0]}"></span>{escape(name)}'


def table(label: str, headers: Sequence[str], rows: Iterable[tuple[str, Sequence[Cell]]], tall: bool = False) -> str:
    """A table of at least one row, that sorts by the buttons in its header and scrolls within itself.

    rows: (id, cells). tall: long tables get a height of their own.
    """
    lines = [(row_id, list(cells)) for row_id, cells in rows]
    numeric = ["number" in cell.style for cell in lines[0][1]]
    head = "".join(
        f'<th scope="col"><button type="button"{" class=number" if right else ""}>{escape(header)}</button></th>'
        for header, right in zip(headers, numeric, strict=True)
    )
    body = "".join(f'<tr id="{escape(row_id)}">{"".join(map(_table_cell, cells))}</tr>\n' for row_id, cells in lines)
    style = "scroll tall" if tall else "scroll"
    return (
        f'<div class="{style}" tabindex="0" role="region" aria-label="{escape(label)}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _table_cell(cell: Cell) -> str:
    value = "" if cell.value is None else escape(str(cell.value))
    return f'<td class="{cell.style}" data-value="{value}">{cell.html}</td>'


def data_script(value: Any, element_id: str = "") -> str:
    """A JSON value in a data block of the page, which no text inside it can end."""
    content = json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return f'<script type="application/json"{f" id={element_id}" if element_id else ""}>{content}</script>'


def figure_panel(figure: go.Figure, title: str, note: str) -> str:
    """A figure with its title and a note. The page's script draws it from the data block behind it, in the reader's colours."""
    content = json.loads(figure.to_json())  # which writes what is not finite as null
    height = content["layout"]["height"]
    del content["layout"]["template"]
    return (
        f'<div class="panel"><h3>{escape(title)}</h3><p class="note">{escape(note)}</p>'
        f'<div class="figure" style="height:{height}px" role="img" aria-label="{escape(title)}"></div>{data_script(content)}</div>'
    )
