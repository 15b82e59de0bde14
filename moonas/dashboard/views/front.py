"""The Pareto front: over any two or three metrics, at any moment of its history, with the table of its members."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import dash_mantine_components as dmc
import numpy as np
from dash import Dash, Input, Output, Patch, State, ctx, dcc, html, no_update

from moonas.dashboard.catalogue import Catalogue
from moonas.dashboard.colouring import COLOURS, choices, group_of, groups
from moonas.dashboard.components import anchor, empty, graph, grid, in_thread, numeric, panel, study_address, trial_address
from moonas.dashboard.live import LiveStudy
from moonas.dashboard.scheme import SCHEME, WEBGL
from moonas.report import text
from moonas.report.collect import bands, outline, point_of
from moonas.report.crowd import Crowd
from moonas.report.explore import Marks, Scale, explore_figure, group_styles, is_logarithmic
from moonas.report.figures import hover_text
from moonas.report.records import BudgetInfo, Point, ReportData
from moonas.study.metrics import METRICS

TITLE = "Front"
FEW = 5_000  # trials up to which the band over replicates is worked out between two clicks
NONE = "none"


def layout(live: LiveStudy) -> list[Any]:
    """Controls, the figure, the slider through the history, what was chosen, and the members."""
    metrics = drawable(live)
    if not metrics:
        return [empty("Nothing measured yet", "The front shows up with the first evaluation.")]
    labels = [{"value": name, "label": text.metric_label(outline(live.study), name)} for name in metrics]
    main, others = outline(live.study).main.name, [name for name in metrics if name != outline(live.study).main.name]
    x = next((o.metric for o in live.study.config.objectives if o.metric != main), others[0] if others else main)
    replicated = live.study.config.replicates > 1 and len(live.trials) <= FEW
    controls = html.Div(
        [
            _select("x", "Across", labels, x),
            _select("y", "Up", labels, main),
            _select("z", "Deep", [{"value": NONE, "label": "–"}, *labels], NONE),
            _select("colour", "Colour", [{"value": name, "label": label} for name, label in choices(live).items()], "method"),
            _select("scale", "Scales", [{"value": name, "label": name} for name in ("auto", "linear", "log")], "auto"),
            html.Div(
                [
                    dmc.Switch(id="others", label="off the front", checked=True, size="sm"),
                    dmc.Switch(id="band", label="replicates", checked=True, size="sm", display="block" if replicated else "none"),
                ],
                className="switches",
            ),
        ],
        className="controls",
    )
    first, last = ends(live)
    slider = dmc.Slider(
        id="moment", min=first, max=max(last, first + 1), value=last, step=1, updatemode="drag", disabled=last == first, label=None,
        thumbLabel="front of the history",
    )  # fmt: skip
    return [
        panel(
            controls,
            graph("front-figure", "Pareto front"),
            html.P(id="front-note", className="note"),
            html.Div(
                [html.Span("History", className="label"), slider, html.Span(id="moment-text", className="label end")],
                className="history",
            ),
            html.Div(id="chosen", **{"aria-live": "polite"}),
        ),
        dcc.Store(id="choice"),
        dcc.Store(id="newest", data=last),
        html.Section([html.H3("Members"), html.Div(id="members-table")], **{"aria-label": "Members of the front"}),
    ]


def register(app: Dash, catalogue: Catalogue) -> None:
    """Draw, and let figure and table choose the same network."""

    @app.callback(
        Output("moment", "min"),
        Output("moment", "max"),
        Output("moment", "disabled"),
        Output("moment", "value"),
        Output("newest", "data"),
        Input("version", "data"),
        State("moment", "value"),
        State("newest", "data"),
        State("study", "data"),
        prevent_initial_call=True,
    )
    @in_thread
    def follow(_: str, moment: int, newest: int, name: str) -> tuple[Any, ...]:
        """Who looks at the front of now goes on doing so when there is a newer one; who looks back stays there."""
        first, last = ends(catalogue.live(name))
        if last == newest:
            return (no_update,) * 5
        return first, max(last, first + 1), last == first, last if moment == newest else no_update, last

    @app.callback(
        Output("front-figure", "figure"),
        Output("front-note", "children"),
        Output("moment-text", "children"),
        Output("members-table", "children"),
        Input("x", "value"),
        Input("y", "value"),
        Input("z", "value"),
        Input("colour", "value"),
        Input("scale", "value"),
        Input("others", "checked"),
        Input("band", "checked"),
        Input("moment", "value"),
        Input("version", "data"),
        SCHEME,
        WEBGL,
        State("study", "data"),
    )
    @in_thread
    def draw(
        x: str,
        y: str,
        z: str,
        colour: str,
        asked: Scale,
        others: bool,
        band: bool,
        moment: int,
        _: str,
        scheme: str,
        webgl: bool,
        name: str,
    ) -> tuple[Any, str, str, Any]:
        live = catalogue.live(name)
        axes = list(dict.fromkeys([x, y, *[z] * (z != NONE)]))
        if len(axes) == 1:  # the same metric twice: nothing to see, so the next one stands in
            axes.append(next((other for other in drawable(live) if other != axes[0]), axes[0]))
        number = moment if any(step.number == moment for step in live.history) else None
        figure, note = drawn(live, axes, colour, asked, others, band, number, scheme, webgl)
        kept = ctx.triggered_id in ("x", "y", "z", "scale", "others", "band", "scheme")
        return figure, note, moment_text(live, number), no_update if kept else members_table(live, number, colour)

    @app.callback(
        Output("choice", "data"),
        Input("front-figure", "clickData"),
        Input("members", "selectedRows"),
        State("choice", "data"),
        prevent_initial_call=True,
    )
    def choose(click: dict[str, Any] | None, rows: Any, before: str | None) -> Any:
        found = row_id(rows) if ctx.triggered_id == "members" else clicked(click)
        return no_update if found in (None, before) else found

    @app.callback(
        Output("front-figure", "figure", allow_duplicate=True),
        Output("chosen", "children"),
        Output("members", "selectedRows"),
        Input("choice", "data"),
        State("x", "value"),
        State("y", "value"),
        State("z", "value"),
        State("moment", "value"),
        State("members", "selectedRows"),
        State("study", "data"),
        prevent_initial_call=True,
    )
    @in_thread
    def point(choice: str, x: str, y: str, z: str, moment: int, selected: Any, name: str) -> tuple[Any, Any, Any]:
        live = catalogue.live(name)
        found = chosen(live, choice, moment)
        ring = Patch()
        for letter, metric in zip("xyz", [x, y, *[z] * (z != NONE)], strict=False):
            ring["data"][0][letter] = [found.metrics[metric].value] if found and metric in found.metrics else []
        rows = {"ids": [choice]} if choice.startswith("network-") else []
        return ring, chosen_text(live, found), no_update if row_id(selected) == choice else rows


def ends(live: LiveStudy) -> tuple[int, int]:
    """The numbers of the first front and of the present one; 0 where there is none yet."""
    return (live.history[0].number, live.history[-1].number) if live.history else (0, 0)


def row_id(rows: Any) -> str | None:
    """The id of the selected row: the table tells whole rows, and takes ids."""
    found = rows["ids"] if isinstance(rows, dict) else [row["id"] for row in rows or ()]
    return found[0] if found else None


def clicked(click: dict[str, Any] | None) -> str | None:
    """What a marker stands for: a network by its id, a trial by its number; nothing where a line was clicked."""
    found = click["points"][0].get("customdata") if click else None
    return found[0] if isinstance(found, list) else found if found is None else f"trial-{found}"


def drawable(live: LiveStudy) -> list[str]:
    """Metrics that a front can be drawn over: objectives first, then what else trials have."""
    if not len(live.trials):
        return []
    objectives = [objective.metric for objective in live.study.config.objectives]
    names = dict.fromkeys((*objectives, *live.trials.metrics()))
    return [name for name in names if name in METRICS and not text.reported_only(name)]


def front_data(live: LiveStudy, number: int | None) -> ReportData:
    """The study with the members of a front and the lines of its budgets and constraints."""
    data = outline(live.study)
    required = [
        BudgetInfo(text=str(b), metric=b.metric, lower=b.lower, upper=b.upper, required=True) for b in live.study.config.constraints
    ]
    points = tuple(replace(point_of(member), on_front=True) for member in live.members(number))
    return replace(data, points=points, budgets=(*data.budgets, *required))


def drawn(
    live: LiveStudy,
    axes: Sequence[str],
    colour: str,
    asked: Scale,
    others: bool,
    band: bool,
    number: int | None,
    scheme: str,
    webgl: bool = False,
) -> tuple[Any, str]:
    """The figure, and what has to be known to read it."""
    data = front_data(live, number)
    data = replace(data, points=tuple(point for point in data.points if all(name in point.metrics for name in axes)))
    members = member_marks(live, data, axes, colour)
    behind, total = trial_crowd(live, axes, colour, asked, webgl) if others else (Crowd.of_none(axes), 0)
    if band and len(axes) == 2 and len(live.trials) <= FEW and live.study.config.replicates > 1:
        data = replace(data, bands=bands(live.study, [(axes[0], axes[1])]))
    note = "Strong markers are networks on the front, with means over their replicates; faint ones are what single trials came to."
    if total > len(behind):
        note += f" Of {total:,} trials {len(behind):,} are drawn, one wherever the screen could tell no more apart."
    if data.bands:
        note += " The dotted line is what half of the replicates attain alone; the band is what a quarter to three quarters do."
    return explore_figure(data, members, behind, axes, asked, scheme), note


def member_marks(live: LiveStudy, data: ReportData, axes: Sequence[str], colour: str) -> Marks:
    """The members of a front, as markers."""
    return Marks(
        values={name: np.array([point.metrics[name].value for point in data.points]) for name in axes},
        groups=np.array([group_of(live, point, colour) for point in data.points], dtype=object),
        ids=[point.id for point in data.points],
        told=[hover_text(data, point) for point in data.points],
    )


def trial_crowd(live: LiveStudy, axes: Sequence[str], colour: str, asked: Scale, webgl: bool) -> tuple[Crowd, int]:
    """What trials came to, thinned where there is no WebGL; and how many there are."""
    trials = live.trials
    columns = {name: trials.numbers(name) for name in axes}
    every = Crowd(values=columns, groups=groups(live, colour), numbers=trials.numbers("number"))
    there = every.take(np.flatnonzero(np.isfinite(np.stack(list(columns.values()))).all(axis=0)))
    if webgl:
        return there, len(there)
    logarithmic = [name not in text.FRACTIONS and is_logarithmic(asked, column) for name, column in there.values.items()]
    return there.thinned(logarithmic), len(there)


def moment_text(live: LiveStudy, number: int | None) -> str:
    """Where in its history the front is."""
    if not live.history:
        return "no front yet"
    step = next((step for step in live.history if step.number == number), live.history[-1])
    now = ", now" if step is live.history[-1] else ""
    return f"front {step.number} of {live.history[-1].number}{now}: {step.cause}, hypervolume {step.hypervolume:.4f}"


def members_table(live: LiveStudy, number: int | None, colour: str) -> Any:
    """The members of a front in rows, the cheapest first."""
    data = front_data(live, number)
    if not data.points:
        return html.P("The front is empty: no network meets the constraints yet.", className="empty")
    names = [
        name for name in dict.fromkeys((*drawable(live), "test_accuracy")) if any(name in point.metrics for point in data.points)
    ]
    settings = list(dict.fromkeys(name for point in data.points for name in point.settings))
    of_members = [group_of(live, point, colour) for point in data.points]
    styles = group_styles(of_members, np.unique(groups(live, colour).astype(str)))
    columns: list[dict[str, Any]] = [
        {"field": "key", "headerName": "Network", "cellRenderer": "PageLink", "width": 145},
        {"field": "group", "headerName": COLOURS[colour].capitalize(), "cellRenderer": "Dot", "minWidth": 110, "flex": 1},
        *[
            {"field": name, "headerName": name.capitalize(), "minWidth": 110, "flex": 1}
            for name in ("method", "budget")
            if name != colour
        ],
        {"field": "width", "headerName": "Width", "width": 90},
        {"field": "trial", "headerName": "Trial", "cellRenderer": "TrialLink", "width": 80},
        *[{"field": f"setting-{place}", "headerName": name, "width": 110} for place, name in enumerate(settings)],
        *[
            numeric(f"metric-{place}", METRICS[name].heading, "percent" if name in text.FRACTIONS else "number", 115)
            for place, name in enumerate(names)
        ],
    ]
    rows = []
    for point, group in zip(data.points, of_members, strict=True):
        rows.append(
            {
                "id": point.id,
                "key": point.key[:12],
                "href": study_address(live.name, "networks", point.key),
                "group": group,
                "colour": styles[group][0],
                "method": point.method,
                "budget": text.budget(point.budget),
                "width": f"{point.skeleton.channels}×{point.skeleton.cells}",
                "trial": point.trial,
                "trialHref": trial_address(live.name, point.trial),
                **{f"setting-{place}": text.setting(point.settings.get(name, "")) for place, name in enumerate(settings)},
                **{f"metric-{place}": point.metrics[name].value for place, name in enumerate(names) if name in point.metrics},
            }
        )
    options = {"rowSelection": {"mode": "singleRow", "checkboxes": False, "enableClickSelection": True}}
    follows = {"cellFocused": ["chooseFocused(params)"]}  # arrow keys move the choice in the figure, too
    return grid("members", columns, rows, "id", options=options, eventListeners=follows)


def chosen(live: LiveStudy, choice: str, moment: int | None) -> Point | None:
    """The network of a marker: a member of the front, or the primary one of a trial."""
    number = moment if any(step.number == moment for step in live.history) else None
    if choice.startswith("network-"):
        return next((point for point in front_data(live, number).points if point.id == choice), None)
    trial = int(choice.removeprefix("trial-"))
    found = [one for one in live.store.candidates(live.record.id, trial=trial) if one.origin == "primary"]
    if not found:
        return None
    networks = live.study.networks_of(found[0].architecture)
    return point_of(next((network for network in networks if network.skeleton.key == found[0].skeleton), networks[0]))


def chosen_text(live: LiveStudy, point: Point | None) -> Any:
    """The chosen network in one line, with the way to its page."""
    if point is None:
        return None
    told = [
        f"{text.metric_label(outline(live.study), name)} {text.measured(name, point.metrics[name])}"
        for name in drawable(live)
        if name in point.metrics
    ]
    link = anchor(study_address(live.name, "networks", point.key), point.key[:12])
    trial = anchor(trial_address(live.name, point.trial), f"trial {point.trial}")
    return html.P([html.Strong(link), f" · {point.method}, ", trial, " · ", ", ".join(told)], className="chosen")


def _select(part: str, label: str, choices: list[dict[str, str]], value: str) -> Any:
    return dmc.Select(id=part, label=label, data=choices, value=value, size="sm", allowDeselect=False, className="control")
