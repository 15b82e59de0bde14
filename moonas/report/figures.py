"""Plotly figures of a study, for the HTML report and the dashboard alike. Plotly is imported where a figure is made.

Names are escaped wherever Plotly shows text, since it renders a subset of HTML. Each marker's `customdata` lists the ids of what it
stands for, nearest first: a network's `Point.id`, and `trial-N`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal

from moonas.report import text
from moonas.report.axes import budget_lines, draw_budgets, draw_step_line, safe, scale, step_line
from moonas.report.overlays import add_band, add_knee
from moonas.report.records import Point, ReportData, TrialInfo
from moonas.report.theme import NEUTRAL, PALETTE, method_styles, template

if TYPE_CHECKING:
    import plotly.graph_objects as go

HOVER = "%{hovertext}<extra></extra>"


def front_axes(data: ReportData) -> list[tuple[str, str]]:
    """The (x, y) pairs worth drawing: the main objective over every other one.

    A study of one objective is drawn over its first known cost.
    """
    names = [objective.name for objective in data.objectives]
    y = data.main.name
    others = [name for name in names if name != y] or [name for name in data.known_costs if name != y][:1]
    return [(x, y) for x in others]


def front_figure(data: ReportData, x: str, y: str) -> go.Figure:
    """Every network as a marker over two metrics: front members strong with a step line, dominated ones faint, budgets dashed.

    With more than two objectives the step line joins the members that no other dominates in these two.
    """
    import plotly.graph_objects as go

    shown = [
        point for point in data.points if all(name in point.metrics and isfinite(point.metrics[name].value) for name in (x, y))
    ]
    figure = go.Figure()
    if (x, y) in data.bands:
        add_band(figure, data.bands[x, y])
    line = step_line(data, [point for point in shown if point.on_front], x, y)
    draw_step_line(figure, line, x, y, NEUTRAL, 1.6, name="front", legendrank=2)
    for on_front in (False, True):
        for method, (colour, symbol) in method_styles(data.methods).items():
            points = [point for point in shown if point.method == method and point.on_front == on_front]
            if points:
                figure.add_trace(_markers(data, points, x, y, colour, symbol, on_front))
    for point in shown:
        if point.id == data.knee:
            add_knee(figure, point, x, y)
    lines = [line for metric, axis in ((x, "x"), (y, "y")) for line in budget_lines(data.budgets, metric, axis)]
    values = {name: [point.metrics[name].value for point in shown] for name in (x, y)}
    scale(figure.layout.xaxis, values[x] + [at for axis, at, _ in lines if axis == "x"])
    rows = draw_budgets(figure, lines)
    figure.update_xaxes(title_text=safe(text.metric_label(data, x)))
    figure.update_yaxes(title_text=safe(text.metric_label(data, y)))
    for name, axis in ((x, figure.layout.xaxis), (y, figure.layout.yaxis)):
        axis.tickformat = ".1~%" if name in text.FRACTIONS else "~s" if max(map(abs, values[name]), default=0) >= 1000 else ""
    figure.update_layout(template=template(), height=460, hovermode="closest", margin_t=24 + 17 * rows)
    return figure


def hypervolume_figure(data: ReportData, over: Literal["evaluations", "device-hours"] = "evaluations") -> go.Figure:
    """The front's normalised hypervolume over evaluations or over the device time of all attempts, with what caused each step."""
    import plotly.graph_objects as go

    spent = [step.evaluations if over == "evaluations" else (step.seconds or 0.0) / 3600 for step in data.history]

    told = [
        f"<b>{step.hypervolume:.4f}</b> after {text.counted(step.evaluations, 'evaluation')}<br>{safe(step.cause)}"
        + (f"<br>device time {text.duration(step.seconds)}" if step.seconds is not None else "")
        for step in data.history
    ]
    figure = go.Figure()
    figure.add_scatter(
        x=spent,
        y=[step.hypervolume for step in data.history],
        mode="lines+markers",
        line={"shape": "hv", "width": 2, "color": PALETTE[0]},
        marker={"size": 6, "color": PALETTE[0]},
        hovertext=told,
        hovertemplate=HOVER,
        showlegend=False,
    )
    figure.update_xaxes(title_text=over, rangemode="tozero")
    if over == "evaluations":
        whole = {"dtick": 1} if max(spent, default=0) < 5 else {}  # with so few, ticks would lie between whole numbers
        figure.update_xaxes(tickformat=",d", **whole)
    figure.update_yaxes(title_text="hypervolume")
    figure.update_layout(template=template(), height=340, hovermode="closest")
    return figure


def budget_metrics(data: ReportData) -> list[str]:
    """Metrics with an upper budget that at least one trial's architecture can be held against."""
    names = dict.fromkeys(name for trial in data.trials for name in trial.budget or {})
    return [name for name in names if _held(data, name)]


def budget_figure(data: ReportData, metric: str) -> go.Figure:
    """Requested against achieved cost, a marker per trial: on the diagonal a budget is used up, above it would be broken."""
    import plotly.graph_objects as go

    held = _held(data, metric)
    figure = go.Figure()
    limits = [limit for _, limit in held]
    values = limits + [trial.values[metric] for trial, _ in held]
    span = [min(limits) * 0.9, max(limits) * 1.1]
    figure.add_scatter(
        x=span, y=span, mode="lines", line={"dash": "dash", "width": 1.4, "color": NEUTRAL}, hoverinfo="skip", name="budget used up"
    )
    for method, (colour, symbol) in method_styles(data.methods).items():
        mine = [(trial, limit) for trial, limit in held if trial.method == method]
        if not mine:
            continue
        figure.add_scatter(
            x=[limit for _, limit in mine],
            y=[trial.values[metric] for trial, _ in mine],
            mode="markers",
            marker={"color": colour, "symbol": symbol, "size": 10, "opacity": 0.8},
            name=safe(method),
            customdata=[(f"trial-{trial.number}",) for trial, _ in mine],
            hovertext=[
                f"<b>trial {trial.number}</b>, {safe(method)}<br>{safe(text.budget(trial.budget))}<br>achieved "
                f"{text.number(metric, trial.values[metric])}, {trial.values[metric] / limit:.1%} of the budget"
                for trial, limit in mine
            ],
            hovertemplate=HOVER,
        )
    label = safe(text.metric_label(data, metric))
    for axis, title in ((figure.layout.xaxis, "requested"), (figure.layout.yaxis, "achieved")):
        axis.update(title_text=f"{label}, {title}", tickformat="~s" if max(values) >= 1000 else "")
        scale(axis, values)
    figure.update_layout(template=template(), height=400, hovermode="closest")
    return figure


def _held(data: ReportData, metric: str) -> list[tuple[TrialInfo, float]]:
    """Trials with an upper bound on a metric and a value to hold against it."""
    bounds = ((trial, (trial.budget or {}).get(metric, {}).get("upper")) for trial in data.trials if metric in trial.values)
    return [(trial, upper) for trial, upper in bounds if upper]


def _markers(data: ReportData, points: Sequence[Point], x: str, y: str, colour: str, symbol: str, on_front: bool) -> go.Scatter:
    """The networks of one method, front members or the rest."""
    import plotly.graph_objects as go

    method = points[0].method
    look: dict[str, Any] = {"marker": {"color": colour, "symbol": symbol, "size": 12, "line": {"width": 0}}}
    if on_front:
        errors = [point.metrics[y].error or 0 for point in points]
        if any(errors):
            look["error_y"] = {"type": "data", "array": errors, "thickness": 1.2, "width": 3}
    else:
        look["marker"] |= {"size": 8, "opacity": 0.45}
    return go.Scatter(
        x=[point.metrics[x].value for point in points],
        y=[point.metrics[y].value for point in points],
        mode="markers",
        name=safe(method) if on_front else f"{safe(method)}, off the front",
        customdata=[(point.id, f"trial-{point.trial}") for point in points],
        hovertext=[hover_text(data, point) for point in points],
        hovertemplate=HOVER,
        legendrank=1 if on_front else 3,
        **look,
    )


def hover_text(data: ReportData, point: Point) -> str:
    """What a network's hover says; metrics that are only reported, such as test accuracy, for front members only."""
    lines = [
        f"<b>{safe(point.key)}</b>" + (" (extra)" if point.origin == "extra" else ""),
        f"{safe(point.method)}, trial {point.trial}",
        f"budget: {safe(text.budget(point.budget))}",
        f"{point.skeleton.channels} channels, {point.skeleton.cells} cells",
        *(f"{safe(name)}: {safe(text.setting(value))}" for name, value in point.settings.items()),
    ]
    lines += [
        f"{safe(text.metric_label(data, name))}: {text.measured(name, value)}"
        for name, value in point.metrics.items()
        if point.on_front or not text.reported_only(name)
    ]
    return "<br>".join(lines)
