"""What the trials' parameters have to do with what came of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dash_mantine_components as dmc
import numpy as np
from dash import Dash, Input, Output, State, html

from moonas.dashboard.catalogue import Catalogue
from moonas.dashboard.components import anchor, empty, graph, in_thread, panel, study_address
from moonas.dashboard.live import LiveStudy
from moonas.dashboard.scheme import SCHEME
from moonas.dashboard.views.front import drawable
from moonas.report import text
from moonas.report.analysis import importance_figure, parallel_figure
from moonas.report.collect import outline
from moonas.results.importance import Importance, importance

TITLE = "Parameters"
LINES = 400  # trials in the parallel coordinates: every one on the front, the others spread evenly
WIDEST = 12  # axes of the parallel coordinates


def layout(live: LiveStudy) -> list[Any]:
    """A choice of metric, the importances, and a line per trial."""
    metrics = drawable(live)
    if not metrics or not varied(live):
        return [empty("Nothing to compare yet", "This shows up when finished trials differ in some parameter.")]
    data = outline(live.study)
    choices = [{"value": name, "label": text.metric_label(data, name)} for name in metrics]
    target = dmc.Select(
        id="target", label="Metric", data=choices, value=data.main.name, size="sm", allowDeselect=False, className="control"
    )
    parallel = (
        "A line per trial, through its parameters to its metrics; the strongest lines reach the highest values of the metric."
    )
    return [
        html.Div(target, className="controls above"),
        panel(html.P(id="importance-note", className="note"), graph("importance-figure", "Importance", 300), title="Importance"),
        panel(
            graph("parallel-figure", "Parallel coordinates", 430),
            html.P(id="parallel-note", className="note"),
            anchor(f"{study_address(live.name)}?view=trials", "All trials in a table"),
            title="Trials",
            note=parallel,
        ),
    ]


def register(app: Dash, catalogue: Catalogue) -> None:
    """Draw both for the chosen metric, each for itself: the lines need not wait for the forest."""
    asked = (Input("target", "value"), Input("version", "data"), SCHEME, State("study", "data"))

    @app.callback(
        Output("importance-figure", "figure"),
        Output("importance-figure", "style"),
        Output("importance-note", "children"),
        *asked,
    )
    @in_thread
    def draw_importance(target: str, _: str, scheme: str, name: str) -> tuple[Any, Any, str]:
        live = catalogue.live(name)
        found = live.once(f"importance {target}", lambda: importance(varied(live), live.trials.numbers(target)))
        bars = importance_figure(found.shares if found else {}, scheme)
        return bars, {"height": f"{bars.layout.height}px"}, told(found)

    @app.callback(Output("parallel-figure", "figure"), Output("parallel-note", "children"), *asked)
    @in_thread
    def draw_parallel(target: str, _: str, scheme: str, name: str) -> tuple[Any, str]:
        return parallel(catalogue.live(name), target, scheme)


def varied(live: LiveStudy) -> dict[str, np.ndarray]:
    """The parameters that differ between trials, and the replicate, by their names in the study file."""
    return live.once("varied", lambda: dict(_varied(live)))


def _varied(live: LiveStudy) -> Iterator[tuple[str, np.ndarray]]:
    for name in [*live.trials.parameters(), "replicate"]:
        numbers, words = live.trials.numbers(name), live.trials.words(name)
        if len(set(words)) > 1:
            numeric = np.isfinite(numbers).any() and not np.any((words != "") & np.isnan(numbers))
            yield name.removeprefix("setting.").removeprefix("choice."), numbers if numeric else live.trials.groups(name)


def told(found: Importance | None) -> str:
    """How far the importances can be trusted."""
    if found is None:
        return "Too few trials so far, or nothing varies: importance is told from a dozen finished trials on."
    trust = "" if found.explained >= 0.3 else ": too little to trust these shares"
    seen = f"By permutation in a random forest over {text.counted(found.trials, 'trial')}."
    return f"{seen} On trials it has not seen, the forest explains {max(0.0, found.explained):.0%} of the variance{trust}."


def parallel(live: LiveStudy, target: str, scheme: str) -> tuple[Any, str]:
    """The parallel coordinates, and what is left out of them."""
    trials, parameters = live.trials, varied(live)
    there = np.flatnonzero(np.isfinite(trials.numbers(target)))
    on_front = np.isin(trials.numbers("number")[there], [member.trial for member in live.members()])
    others = there[~on_front]
    if len(there) > LINES:
        others = others[np.linspace(0, len(others) - 1, LINES - int(on_front.sum())).round().astype(int)] if len(others) else others
    rows = np.sort(np.concatenate([there[on_front], others]))
    data = outline(live.study)
    shown = list(parameters)[: WIDEST - len(drawable(live))]
    columns = {name: parameters[name][rows] for name in shown}
    columns |= {text.metric_label(data, name): trials.numbers(name)[rows] for name in drawable(live) if name != target}
    columns |= {text.metric_label(data, target): trials.numbers(target)[rows]}
    left_out = (
        [f"{len(rows):,} of {len(there):,} trials are drawn, those of the front among them."] if len(rows) < len(there) else []
    )
    left_out += [f"Parameters left out: {', '.join(list(parameters)[len(shown) :])}."] if len(shown) < len(parameters) else []
    return parallel_figure(columns, text.metric_label(data, target), scheme), " ".join(left_out)
