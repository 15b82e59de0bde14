"""Several studies' fronts over each other, in one box."""

from __future__ import annotations

from typing import Any

import dash_mantine_components as dmc
from dash import Dash, Input, Output, State, html

from moonas.comparison import Comparison, compare
from moonas.dashboard.catalogue import Catalogue
from moonas.dashboard.components import Page, empty, graph, grid, in_thread, loading, numeric, panel
from moonas.dashboard.scheme import SCHEME
from moonas.dashboard.views.front import front_data
from moonas.errors import MoonasError
from moonas.report import text
from moonas.report.collect import outline
from moonas.report.theme import method_styles
from moonas.report.versus import versus_figure

COLUMNS: list[dict[str, Any]] = [
    {"field": "study", "headerName": "Study", "cellRenderer": "Dot", "minWidth": 190, "flex": 1},
    numeric("members", "Members of its front", "whole", 120),
    numeric("in_union", "of them on the common front", "whole", 140),
    numeric("hypervolume", "Hypervolume", "decimals", 130),
    numeric("lead", "Difference to the first", "signed", 130),
    numeric("exclusive", "Only it dominates", "decimals", 120),
]


def page(catalogue: Catalogue, query: dict[str, str]) -> Page:
    """A choice of studies; the address may name them, as in `?studies=one,two`."""
    known = catalogue.names()
    asked = [name for name in query.get("studies", "").split(",") if name in known]
    choice = dmc.MultiSelect(
        id="studies-compared",
        label="Studies",
        placeholder="two or more",
        data=known,
        value=asked,
        searchable=True,
        className="studies-compared",
    )
    content = [
        html.Div([html.H1("Compare studies")], className="head"),
        panel(
            html.Div(
                [choice, dmc.Switch(id="anyway", label="even where protocols or data differ", size="sm")], className="controls"
            )
        ),
        loading(html.Div(id="comparison", className="filled")),
    ]
    return Page("Compare", [], content)


def register(app: Dash, catalogue: Catalogue) -> None:
    """Compare whatever is chosen."""

    @app.callback(Output("comparison", "children"), Input("studies-compared", "value"), Input("anyway", "checked"))
    @in_thread
    def lay_over(names: list[str], anyway: bool) -> Any:
        return compared(catalogue, names, bool(anyway))

    @app.callback(
        Output("versus", "figure"),
        Input("versus-x", "value"),
        Input("versus-y", "value"),
        SCHEME,
        State("studies-compared", "value"),
    )
    @in_thread
    def draw(x: str, y: str, scheme: str, names: list[str]) -> Any:
        return versus_figure({name: front_data(catalogue.live(name), None) for name in names}, x, y, scheme)


def compared(catalogue: Catalogue, names: list[str], anyway: bool) -> Any:
    """The figure's place and the table; or why these studies do not compare."""
    if len(names) < 2:
        return empty("Choose two studies", "Their fronts are laid over each other, in a box that holds both.")
    try:
        found = compare([catalogue.live(name).study for name in names], anyway)
    except MoonasError as error:
        return empty("These studies do not compare", str(error).replace("With --anyway (anyway=True)", "With the switch above"))
    data = outline(catalogue.live(names[0]).study)
    choices = [{"value": one.name, "label": text.metric_label(data, one.name)} for one in data.objectives]
    x = next((one.name for one in data.objectives if one.name != data.main.name), data.main.name)
    controls = html.Div(
        [
            dmc.Select(id="versus-x", label="Across", data=choices, value=x, allowDeselect=False, size="sm", className="control"),
            dmc.Select(
                id="versus-y", label="Up", data=choices, value=data.main.name, allowDeselect=False, size="sm", className="control"
            ),
        ],
        className="controls",
    )
    corners = ", ".join(
        f"{text.metric_label(data, name)} {text.number(name, value) if name in text.FRACTIONS else text.short(value)}"
        for name, value in found.reference.items()
    )
    return html.Div(
        [
            *[dmc.Alert(line, color="yellow", title="They differ") for line in found.differences],
            panel(controls, graph("versus", "Fronts over each other")),
            html.Section(
                [
                    html.H3("Hypervolume in the common box"),
                    html.P(f"Together {found.union:.4f}. Reference: {corners}.", className="note"),
                    grid("standings", COLUMNS, standing_rows(found), "study"),
                ],
                **{"aria-label": "Hypervolume in the common box"},
            ),
            panel(
                coverage(found),
                title="Coverage",
                note="The share of the column's front that some member of the row's equals or dominates.",
            ),
        ],
        className="column",
    )


def standing_rows(found: Comparison) -> list[dict[str, Any]]:
    """A row for each study; the first one is what the others are held against."""
    styles = method_styles([standing.study for standing in found.standings])
    first = found.standings[0].hypervolume
    return [
        {
            "study": one.study,
            "colour": styles[one.study][0],
            "members": one.members,
            "in_union": one.in_union,
            "hypervolume": one.hypervolume,
            "lead": one.hypervolume - first if one is not found.standings[0] else None,
            "exclusive": one.exclusive,
        }
        for one in found.standings
    ]


def coverage(found: Comparison) -> Any:
    """A row and a column for each study."""
    names = [one.study for one in found.standings]
    head = html.Tr([html.Th(""), *(html.Th(name, className="number") for name in names)])
    rows = [
        html.Tr(
            [
                html.Th(one.study),
                *(html.Td(f"{one.covers[name]:.0%}" if name in one.covers else text.BLANK, className="number") for name in names),
            ]
        )
        for one in found.standings
    ]
    return html.Div(html.Table([html.Thead(head), html.Tbody(rows)]), className="scroll plain", tabIndex=0)
