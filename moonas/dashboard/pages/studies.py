"""All studies of the database in a table."""

from __future__ import annotations

from typing import Any

import dash_mantine_components as dmc
from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html, no_update

from moonas.dashboard.actions import VERBS, buttons, for_many, offered
from moonas.dashboard.catalogue import Catalogue
from moonas.dashboard.components import Page, anchor, empty, grid, in_thread, numeric, study_address
from moonas.dashboard.overview import StudyLine, standing
from moonas.dashboard.readers import reader
from moonas.report import text
from moonas.store.states import StudyState, TrialState

EVERY = 5_000  # milliseconds between two looks at what has changed
SHOWN = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING)

WHOLE = {"wrapText": True, "autoHeight": True, "cellClass": "whole"}  # names that begin alike differ at their ends
COLUMNS: list[dict[str, Any]] = [
    {"field": "name", "headerName": "Study", "cellRenderer": "PageLink", "minWidth": 190, "flex": 1, **WHOLE},
    {"field": "state", "headerName": "State", "cellRenderer": "State", "width": 118},
    {"field": "share", "headerName": "Trials", "cellRenderer": "Trials", "width": 176},
    {"field": "hypervolume", "headerName": "Hypervolume", "cellRenderer": "Sparkline", "width": 132, "sortable": False},
    numeric("volume", "now", "decimals", 82),
    numeric("accuracy", "Best accuracy", "percent", 105),
    numeric("hours", "Device-hours", "hours", 86),
    numeric("left", "Time left", "span", 92),
    numeric("last", "Last event", "moment", 120),
]
MENU: dict[str, Any] = {
    "field": "verbs",
    "headerName": "",
    "cellRenderer": "Menu",
    "width": 58,
    "pinned": "right",  # in sight on a phone, too
    "sortable": False,
    "resizable": False,
    "getQuickFilterText": {"function": "''"},
}
CHOOSING = {"rowSelection": {"mode": "multiRow", "enableClickSelection": False}}


def page(catalogue: Catalogue, query: dict[str, str]) -> Page:
    """The table, or how to come to a first study."""
    rows = [row(line) for line in catalogue.lines()]
    drives = reader().drives
    columns = [*COLUMNS, MENU] if drives else COLUMNS
    table = grid("studies", columns, rows, "name", options=CHOOSING if drives else {})
    find = dmc.TextInput(
        id="filter", placeholder="Filter", size="sm", className="filter", attributes={"input": {"aria-label": "Filter studies"}}
    )
    nothing = html.Div(
        [
            empty("No study yet", "Studies show up here as soon as one is started with this database:", "moonas run STUDY.yaml"),
            html.P(anchor("/new", "Start one here", className="action"), className="instead"),
        ]
    )
    content = [
        html.Div([html.H1("Studies"), anchor("/compare", "Compare", className="action"), find], className="head"),
        html.Div(id="chosen", className="chosen-studies", role="group", **{"aria-label": "With the studies that are chosen"}),
        html.Div(table, id="some", hidden=not rows),
        html.Div(nothing, id="none", hidden=bool(rows)),
        dcc.Interval(id="again", interval=EVERY),
        dcc.Store(id="studies-news"),
    ]
    return Page("Studies", [], content)


def register(app: Dash, catalogue: Catalogue) -> None:
    """Filter; look again now and then, and send the rows that have changed."""

    @app.callback(
        Output("studies", "rowTransaction"),
        Output("some", "hidden"),
        Output("none", "hidden"),
        Output("chosen", "children"),
        Input("again", "n_intervals"),
        Input("studies-news", "data"),
        Input("studies", "selectedRows"),
        State("studies", "rowData"),
        prevent_initial_call=True,
    )
    @in_thread
    def update(beats: int, news: Any, chosen: list[dict[str, Any]] | None, shown: list[dict[str, Any]]) -> tuple[Any, ...]:
        rows = [row(line) for line in catalogue.lines()]
        names = {one["name"] for one in chosen or []}
        return changes(shown, rows) or no_update, not rows, bool(rows), with_chosen([one for one in rows if one["name"] in names])

    app.clientside_callback(
        ClientsideFunction("moonas", "filter"),
        Output("studies", "dashGridOptions"),
        Input("filter", "value"),
        State("studies", "dashGridOptions"),
        prevent_initial_call=True,
    )


def changes(shown: list[dict[str, Any]], rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What to add, update and remove, so that the table shows `rows`; empty where nothing has changed."""
    known = {one["name"]: one for one in shown}
    now = {one["name"]: one for one in rows}
    found = {
        "add": [one for name, one in now.items() if name not in known],
        "update": [one for name, one in now.items() if name in known and known[name] != one],
        "remove": [one for name, one in known.items() if name not in now],
    }
    return {kind: some for kind, some in found.items() if some}


def with_chosen(rows: list[dict[str, Any]]) -> list[Any]:
    """What may be done to the studies of some rows, each verb to those that it makes sense for."""
    verbs = {verb: [one["name"] for one in rows if verb in one["verbs"]] for verb in VERBS}
    fitting = {verb: names for verb, names in verbs.items() if names}
    return [html.Span(f"{len(rows)} chosen"), *buttons(fitting, counted=True)] if rows else []


def row(line: StudyLine) -> dict[str, Any]:
    """A study as the table takes it."""
    running = line.trials.get(TrialState.RUNNING, 0)
    told = ", ".join(
        f"{line.trials[state]:,} {text.STATES.get(state, state.lower())}" for state in TrialState if line.trials.get(state)
    )
    return {
        "name": line.name,
        "href": study_address(line.name),
        "state": standing(line.state, line.driven),
        "share": line.finished / line.planned if line.planned else 0.0,
        "parts": [[state.value, line.trials[state] / max(1, line.planned)] for state in SHOWN if line.trials.get(state)],
        "done": f"{line.finished:,} of {line.planned:,}",
        "states": told or "none yet",
        "hypervolume": list(line.hypervolume),
        "volume": line.hypervolume[-1] if line.hypervolume else None,
        "accuracy": line.accuracy,
        "hours": line.device_seconds / 3600,
        "left": line.seconds_left if line.state is StudyState.RUNNING and running else None,
        "last": line.last_event or line.created,
        "verbs": for_many(offered(line.state, line.driven, line.trials, line.planned)),
    }
