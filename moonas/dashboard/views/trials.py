"""Every trial in a table that the database pages, sorts and filters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dash_mantine_components as dmc
from dash import ClientsideFunction, Dash, Input, Output, State, html, no_update

from moonas.dashboard.catalogue import Catalogue
from moonas.dashboard.components import empty, in_thread, numeric, paged_grid, trial_address
from moonas.dashboard.live import LiveStudy
from moonas.report import text
from moonas.store.pages import trial_page
from moonas.store.records import TrialRecord
from moonas.store.states import TrialState
from moonas.study.budgets import parse_budget
from moonas.study.metrics import METRICS

TITLE = "Trials"
ROWS = 50  # on a page
ANY = "any"
FILTERS = ("state", "method")  # columns that the choices above the table narrow


def layout(live: LiveStudy) -> list[Any]:
    """Choices of a state and a method, and the table."""
    if not live.now.trials:
        return [empty("No trial yet", "Trials show up here as soon as the sampler has proposed the first ones.")]
    states = [{"value": ANY, "label": "any"}] + [
        {"value": state.value, "label": text.STATES.get(state.value, state.value.lower())} for state in TrialState
    ]
    methods = [{"value": ANY, "label": "any"}] + [
        {"value": method.label, "label": method.label} for method in live.study.config.methods
    ]
    controls = [
        dmc.Select(id="only-state", label="State", data=states, value=ANY, size="sm", allowDeselect=False, className="control"),
        dmc.Select(id="only-method", label="Method", data=methods, value=ANY, size="sm", allowDeselect=False, className="control"),
    ]
    table = html.Section(paged_grid("trials", columns(live), ROWS, "id"), **{"aria-label": "Trials"})
    return [html.Div(controls, className="controls above"), table]


def columns(live: LiveStudy) -> list[dict[str, Any]]:
    """Named as `trial_page` sorts them."""
    of_networks: list[dict[str, Any]] = [
        {"field": "budget", "headerName": "Budget", "minWidth": 140, "flex": 1},
        {"field": "width", "headerName": "Width", "width": 90, "sortable": False},
    ]
    narrowed = {"filter": "agTextColumnFilter", "suppressHeaderFilterButton": True}
    return [
        {"field": "number", "headerName": "Trial", "cellRenderer": "TrialLink", "width": 90},
        {"field": "state", "headerName": "State", "cellRenderer": "State", "width": 125, **narrowed},
        {"field": "method", "headerName": "Method", "minWidth": 120, "flex": 1, **narrowed},
        *(of_networks if live.study.finds_networks else []),
        numeric("replicate", "Replicate", "whole", 100),
        {"field": "settings", "headerName": "Settings", "minWidth": 140, "flex": 1, "tooltipField": "settings", "sortable": False},
        *[
            numeric(name, METRICS[name].heading, "percent" if name in text.FRACTIONS else "number", 115)
            for name in metrics(live)
        ],
        numeric("seconds", "Took", "span", 95),
        numeric("finished", "Finished", "moment", 120),
        {"field": "reason", "headerName": "Reason", "minWidth": 140, "flex": 1, "tooltipField": "reason", "sortable": False},
    ]  # fmt: skip


def metrics(live: LiveStudy) -> list[str]:
    """Objectives first, then what else trials have."""
    objectives = [objective.metric for objective in live.study.config.objectives]
    return [name for name in dict.fromkeys((*objectives, *live.trials.metrics())) if name in METRICS]


def register(app: Dash, catalogue: Catalogue) -> None:
    """Give the rows that the table asks for, and let it ask again when a choice or the study has changed."""

    @app.callback(
        Output("trials", "getRowsResponse"), Input("trials", "getRowsRequest"), State("study", "data"), prevent_initial_call=True
    )
    @in_thread
    def give(request: dict[str, Any] | None, name: str) -> Any:
        return rows(catalogue.live(name), request) if request else no_update

    app.clientside_callback(
        ClientsideFunction("moonas", "narrow"),
        Output("trials", "filterModel"),
        [Input(f"only-{column}", "value") for column in FILTERS],
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction("moonas", "again"), Output("trials", "id"), Input("version", "data"), prevent_initial_call=True
    )


def rows(live: LiveStudy, request: Mapping[str, Any]) -> dict[str, Any]:
    """The rows of a request of the table's, and how many it would have in all."""
    chosen = {column: asked["filter"] for column, asked in (request.get("filterModel") or {}).items() if column in FILTERS}
    if "state" in chosen:
        chosen["state"] = TrialState(chosen["state"])
    first = next(iter(request.get("sortModel") or ()), {"colId": "number", "sort": "asc"})
    start = int(request["startRow"])
    found, count = trial_page(
        live.store.database,
        live.record.id,
        **chosen,
        sort=("-" if first["sort"] == "desc" else "") + first["colId"],
        offset=start,
        limit=min(int(request["endRow"]) - start, 10 * ROWS),
    )
    return {"rowData": [row(live, trial) for trial in found], "rowCount": count}


def row(live: LiveStudy, trial: TrialRecord) -> dict[str, Any]:
    """A trial as the table takes it."""
    params = trial.params
    settings = {name.partition(".")[2]: value for name, value in params.items() if name.startswith(("setting.", "choice."))}
    return {
        "id": str(trial.number),
        "number": trial.number,
        "trial": trial.number,
        "trialHref": trial_address(live.name, trial.number),
        "state": trial.state.value,
        "method": params["method"],
        "budget": text.budget(parse_budget(params["budget"])),
        "width": f"{params['channels']}×{params['cells']}",
        "replicate": trial.replicate,
        "settings": ", ".join(f"{name} {text.setting(value)}" for name, value in settings.items()),
        **{name: (trial.values or {}).get(name) for name in metrics(live)},
        "seconds": None if trial.started is None or trial.finished is None else trial.finished - trial.started,
        "finished": trial.finished,
        "reason": trial.reason or "",
    }
