"""Parts that pages are made of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, ParamSpec, TypeVar
from urllib.parse import quote

import dash_ag_grid as dag
import dash_mantine_components as dmc
from dash import dcc, html
from starlette.concurrency import run_in_threadpool

P = ParamSpec("P")
R = TypeVar("R")
NOTHING = "nothing"  # the look of what stands where there is nothing to show
GRAPH = {"displaylogo": False, "displayModeBar": False, "responsive": True}


@dataclass(frozen=True)
class Page:
    """title: of its own. trail: (text, address) of the pages above it, below the first one. content: components."""

    title: str
    trail: list[tuple[str, str]]
    content: list[Any]


def in_thread(function: Callable[P, R]) -> Callable[P, Awaitable[R]]:
    """A callback that reads the database without holding up the server's other answers."""

    @wraps(function)
    async def run(*args: P.args, **keywords: P.kwargs) -> R:
        return await run_in_threadpool(function, *args, **keywords)

    return run


def anchor(href: str, content: Any, **more: Any) -> Any:
    """A link within the dashboard, which loads no page anew."""
    return dcc.Link(content, href=href, refresh=False, **more)


def panel(*content: Any, title: str = "", note: str = "", **more: Any) -> Any:
    """A card with a title and a note."""
    head = [html.H3(title)] * bool(title) + [html.P(note, className="note")] * bool(note)
    look = {"className": "panel", **({"aria-label": title} if title else {}), **more}
    return html.Section([*head, *content], **look)


def cards(facts: Sequence[tuple[str, str, str]]) -> Any:
    """Headline numbers: (what, value, aside) each."""
    return html.Dl(
        [
            html.Div([html.Dt(what), html.Dd(value, className="value"), html.Dd(aside, className="aside")])
            for what, value, aside in facts
        ],
        className="cards",
    )


def empty(title: str, text: str, command: str = "") -> Any:
    """What stands where there is nothing to show, and what would change that."""
    return html.Div(
        [html.H2(title), *[html.P(line) for line in text.splitlines()], *[html.Pre(command)] * bool(command)], className=NOTHING
    )


def loading(part: Any) -> Any:
    """A part that shows dots while a callback takes longer than a moment over it."""
    return dcc.Loading(part, delay_show=400, type="dot", color="var(--accent)")


def graph(graph_id: str | dict[str, str], label: str, height: int = 460, **more: Any) -> Any:
    """A place for a figure, which a callback fills."""
    figure = {"layout": {"height": height, "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)", **_BLANK}}
    drawing = dcc.Graph(id=graph_id, figure=figure, config=GRAPH, responsive=True, style={"height": f"{height}px"}, **more)
    return html.Div(loading(drawing), role="img", className="drawing", **{"aria-label": label})


def plot(graph_id: str | dict[str, str], label: str, figure: Any) -> Any:
    """A figure that is there, in its own height; a callback that fills its place brings it anew."""
    style = {"height": f"{figure.layout.height}px"}
    drawing = dcc.Graph(id=graph_id, figure=figure, config=GRAPH, responsive=True, style=style)
    return html.Div(drawing, role="img", className="drawing", **{"aria-label": label})


def plain_table(headings: Sequence[str], rows: Sequence[Sequence[Any]], numbers: Collection[int] = (), look: str = "") -> Any:
    """A short table without sorting, which the keyboard scrolls. numbers: the columns that stand to the right. look: a class."""
    sides = {True: {"className": "number"}, False: {}}
    head = html.Tr([html.Th(heading, scope="col", **sides[place in numbers]) for place, heading in enumerate(headings)])
    lines = [html.Tr([html.Td(cell, **sides[place in numbers]) for place, cell in enumerate(row)]) for row in rows]
    return html.Div(html.Table([html.Thead(head), html.Tbody(lines)]), className=f"scroll plain {look}", tabIndex=0)


_COLUMN = {
    "suppressMovable": True,
    "sortingOrder": ["asc", "desc"],
    "wrapHeaderText": True,
    "autoHeaderHeight": True,
    "cellDataType": False,  # what is no text or number has a renderer of its own
}
_BLANK = {"xaxis": {"visible": False}, "yaxis": {"visible": False}}


def code(content: str) -> Any:
    """Lines to be copied."""
    button = dmc.CopyButton(value=content, children="Copy", copiedChildren="Copied", size="compact-sm", variant="default")
    return html.Div([html.Pre(content, tabIndex=0), button], className="code")


def study_address(name: str, *parts: str) -> str:
    """Where a study's page is, or one below it."""
    return "/".join(["/studies", *(quote(part, safe="") for part in (name, *parts))])


def trial_address(name: str, number: int) -> str:
    """Where a trial's page is."""
    return study_address(name, "trials", str(number))


def badge(state: str) -> Any:
    """A state, such as "RUNNING", in its colour."""
    return html.Span(state.lower(), className=f"badge {state.lower()}")


def numeric(field: str, heading: str, written: str, width: int) -> dict[str, Any]:
    """A column of numbers. written: the function of the page's script that writes them."""
    formatter = {"function": f"{written}(params)"}
    return {"field": field, "headerName": heading, "width": width, "type": "rightAligned", "valueFormatter": formatter}


def grid(grid_id: str, columns: Sequence[dict[str, Any]], rows: Sequence[dict[str, Any]], row_id: str, **more: Any) -> Any:
    """A table that sorts, filters and pages. row_id: the field that names a row."""
    options = {"pagination": len(rows) > 25, "paginationPageSize": 25, **more.pop("options", {})}
    return _grid(grid_id, columns, options, rowData=list(rows), getRowId=f"params.data.{row_id}", **more)


def paged_grid(grid_id: str, columns: Sequence[dict[str, Any]], rows: int, row_id: str) -> Any:
    """A table of which the server gives so many rows at a time: who answers its requests sorts, filters and pages."""
    options = {"pagination": True, "paginationPageSize": rows, "cacheBlockSize": rows, "maxBlocksInCache": 10}
    return _grid(grid_id, columns, options, rowModelType="infinite", getRowId=f"params.data.{row_id}")


def _grid(grid_id: str, columns: Sequence[dict[str, Any]], options: dict[str, Any], **more: Any) -> Any:
    usual = {
        "animateRows": False,
        "domLayout": "autoHeight",
        "paginationPageSizeSelector": False,
        "suppressCellFocus": False,
        "enableCellTextSelection": True,
        "suppressColumnVirtualisation": True,
        "tooltipShowDelay": 300,
    }
    return dag.AgGrid(
        id=grid_id,
        columnDefs=list(columns),
        defaultColDef={"sortable": True, "resizable": True, **_COLUMN},
        dashGridOptions=usual | options,
        className="grid",
        style={"height": None, "width": "100%"},
        **more,
    )
