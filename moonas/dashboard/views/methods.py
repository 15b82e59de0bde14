"""The race of a study's methods."""

from __future__ import annotations

from typing import Any

from dash import Dash, Input, Output, State, html

from moonas.dashboard.catalogue import Catalogue
from moonas.dashboard.components import graph, grid, in_thread, numeric, panel
from moonas.dashboard.live import LiveStudy
from moonas.dashboard.scheme import SCHEME
from moonas.race import Runner, race
from moonas.report.analysis import race_figure, race_height
from moonas.report.theme import method_styles

TITLE = "Methods"
COLUMNS: list[dict[str, Any]] = [
    {"field": "method", "headerName": "Method", "cellRenderer": "Dot", "minWidth": 150, "flex": 1},
    numeric("hypervolume", "Hypervolume", "decimals", 132),
    numeric("exclusive", "Found by no other", "decimals", 100),
    numeric("exclusive_per_hour", "of it per device-hour", "decimals", 102),
    numeric("networks", "Networks", "whole", 106),
    numeric("accuracy", "Mean accuracy", "percent", 96),
    numeric("complete", "Complete trials", "whole", 104),
    numeric("pruned", "Pruned", "whole", 82),
    numeric("failed", "Failed", "whole", 74),
    numeric("collapse_rate", "Collapsed", "percent", 100),
    numeric("misses", "Budgets missed", "whole", 90),
    numeric("device_hours", "Device-hours", "hours", 82),
]


def layout(live: LiveStudy) -> list[Any]:
    """A figure and a table."""
    count = len(live.study.config.methods)
    note = "What each method's networks dominate alone, and what all methods together would lose without it."
    return [
        panel(graph("race-figure", "Hypervolume of each method", race_height(count)), title="Hypervolume", note=note),
        html.Section(html.Div(id="race-table"), **{"aria-label": "Methods"}),
    ]


def register(app: Dash, catalogue: Catalogue) -> None:
    """Run the race when it is looked at."""

    @app.callback(
        Output("race-figure", "figure"), Output("race-table", "children"), Input("version", "data"), SCHEME, State("study", "data")
    )
    @in_thread
    def draw(_: str, scheme: str, name: str) -> tuple[Any, Any]:
        live = catalogue.live(name)
        runners = live.once("race", lambda: race(live.study, live.tally()))
        return race_figure(runners, scheme), grid("race", COLUMNS, rows(runners), "method")


def rows(runners: list[Runner]) -> list[dict[str, Any]]:
    """The table's rows. Collapses are told as a share of a method's trials that are over."""
    styles = method_styles(sorted(runner.method for runner in runners))
    found = []
    for runner in runners:
        over = runner.complete + runner.pruned + runner.failed
        rate = runner.collapses / over if over else None
        found.append({**runner.to_json(), "colour": styles[runner.method][0], "collapse_rate": rate})
    return found
