"""Figures of one trial: what its tasks reported epoch by epoch, and what its search said of its edges."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from moonas.architecture import Edge
from moonas.report.axes import safe
from moonas.report.cells import node_name, operation_text
from moonas.report.theme import PALETTE, SCHEMES, template
from moonas.spaces.mixture import GroupMixture
from moonas.spaces.space import CellGroup

if TYPE_CHECKING:
    import plotly.graph_objects as go

ROW = 16  # pixels of an operation's row


class Curve(NamedTuple):
    """One number over the epochs; None where it was not finite or not reported. strong: drawn in full, others dashed."""

    name: str
    epochs: Sequence[int]
    values: Sequence[float | None]
    strong: bool = True
    colour: int = 0


class Panel(NamedTuple):
    """A figure of several curves. share: they are fractions of 1."""

    title: str
    curves: Sequence[Curve]
    share: bool = False


VITALS: tuple[tuple[str, bool, Mapping[str, str]], ...] = (
    ("Entropy of an edge's operations [nats]", False, {"entropy": "mean over edges"}),
    ("Skips, and what has no weights", True, {"skips": "skips among kept edges", "weightless": "probability without weights"}),
    ("Edges whose strongest operation changed", False, {"changes": "edges"}),
    ("Parameters", False, {"expected_params": "expected", "decoded_params": "decoded"}),
    ("Dominant eigenvalue of the validation loss", False, {"eigenvalue": "eigenvalue"}),
)  # what `moonas.inner.health` looks at: title, whether fractions, {metric: what it is called beside the others}


def learning_panels(tasks: Mapping[str, Sequence[tuple[int, Mapping[str, float | None]]]]) -> list[Panel]:
    """Losses and accuracies of several tasks, on training and on validation images. tasks: {name: (epoch, metrics) in order}."""
    panels = []
    for what, share in (("loss", False), ("accuracy", True)):
        curves = [
            Curve(f"{name}, {part}" if len(tasks) > 1 else part, *_values(steps, f"{part}_{what}"), part == "valid", colour)
            for colour, (name, steps) in enumerate(tasks.items())
            for part in ("train", "valid")
            if any(f"{part}_{what}" in metrics for _, metrics in steps)
        ]
        if curves:
            panels.append(Panel(what.capitalize(), curves, share))
    return panels


def health_panels(steps: Sequence[tuple[int, Mapping[str, float | None]]]) -> list[Panel]:
    """What else a search reported: its vitals, then what its method adds."""
    names = list(dict.fromkeys(name for _, metrics in steps for name in metrics))
    told = {name for _, _, vitals in VITALS for name in vitals}
    rest = [name for name in names if name not in told and not name.endswith(("_loss", "_accuracy"))]
    asked = [*VITALS, *((name.replace("_", " ").capitalize(), False, {name: name.replace("_", " ")}) for name in rest)]
    panels = []
    for title, share, metrics in asked:
        there = [(place, name, told_as) for place, (name, told_as) in enumerate(metrics.items()) if name in names]
        curves = [Curve(told_as, *_values(steps, name), True, place) for place, name, told_as in there]
        if curves:
            panels.append(Panel(title, curves, share))
    return panels


def _values(steps: Sequence[tuple[int, Mapping[str, float | None]]], name: str) -> tuple[list[int], list[float | None]]:
    found = [(epoch, metrics[name]) for epoch, metrics in steps if name in metrics]
    return [epoch for epoch, _ in found], [value for _, value in found]


def course_figure(panel: Panel, scheme: str = "light", collapse: int | None = None) -> go.Figure:
    """The curves of a panel over epochs. collapse: the epoch in which a search collapsed, which is marked."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for curve in panel.curves:
        colour = PALETTE[curve.colour % len(PALETTE)]
        figure.add_scatter(
            x=list(curve.epochs),
            y=list(curve.values),
            mode="lines+markers" if len(curve.epochs) <= 30 else "lines",
            line={"width": 2, "color": colour, "dash": "solid" if curve.strong else "dot"},
            marker={"size": 5, "color": colour},
            name=safe(curve.name),
            hovertemplate=f"epoch %{{x}}: %{{y:{'.2%' if panel.share else '.5~g'}}}<extra>{safe(curve.name)}</extra>",
        )
    if collapse is not None:
        figure.add_vline(x=collapse, line={"dash": "dash", "width": 1.4, "color": SCHEMES[scheme]["bad"]})
        beside = {"xanchor": "right" if collapse > 3 else "left", "showarrow": False, "font": {"color": SCHEMES[scheme]["bad"]}}
        figure.add_annotation(x=collapse, y=1, yref="paper", yanchor="bottom", text="collapse", **beside)
    largest = max((abs(value) for curve in panel.curves for value in curve.values if value is not None), default=0.0)
    figure.update_xaxes(title_text="epoch", tickformat=",d", **({"dtick": 1} if _last(panel) <= 10 else {}))
    figure.update_yaxes(tickformat=".0~%" if panel.share else "~s" if largest >= 1000 else "", rangemode="tozero", nticks=6)
    figure.update_layout(
        template=template(scheme), height=270, hovermode="closest", showlegend=len(panel.curves) > 1, margin={"t": 20, "r": 14}
    )
    return figure


def _last(panel: Panel) -> int:
    return max((epoch for curve in panel.curves for epoch in curve.epochs), default=0)


def mixture_figure(
    group: CellGroup, steps: Sequence[tuple[int, GroupMixture]], chosen: Collection[Edge], scheme: str = "light"
) -> go.Figure:
    """A heat map: every operation of every edge in a row, epochs in columns. steps: (epoch, mixture), in order.

    chosen: the edges of the architecture that came of it, which are marked at the end of their rows. What was dropped stays blank.
    """
    labels: list[str] = []
    rows: list[list[float | None]] = []
    hovers: list[str] = []
    marks: list[int] = []
    blank: list[float | None] = [None] * len(steps)
    for edge, (predecessor, node) in enumerate(group.edges):
        way = f"{node_name(predecessor, group.inputs)} → {node_name(node, group.inputs)}"
        labels.append(f"<b>{way}</b>")
        rows.append(blank)
        hovers.append(way)
        for column, operation in enumerate(group.operations):
            kept = (node, predecessor, operation) in chosen
            marks += [len(rows)] * kept
            labels.append(f"<b>{safe(operation_text(operation))}</b>" if kept else safe(operation_text(operation)))
            rows.append([_number(mixture.operations[edge, column]) for _, mixture in steps])
            hovers.append(f"{way}, {safe(operation_text(operation))}" + ", in this trial's network" * kept)
    return _heat_map([epoch for epoch, _ in steps], labels, rows, hovers, marks, scheme)


def edge_figure(
    group: CellGroup, steps: Sequence[tuple[int, GroupMixture]], chosen: Collection[Edge], scheme: str = "light"
) -> go.Figure:
    """The same of how much whole edges count; every mixture of `steps` must say so."""
    ways = [f"{node_name(predecessor, group.inputs)} → {node_name(node, group.inputs)}" for predecessor, node in group.edges]
    kept = {(predecessor, node) for node, predecessor, _ in chosen}
    marks = [row for row, edge in enumerate(group.edges) if edge in kept]
    rows = [[_number(mixture.edges[row]) for _, mixture in steps if mixture.edges is not None] for row in range(len(ways))]
    labels = [f"<b>{way}</b>" if row in marks else way for row, way in enumerate(ways)]
    return _heat_map([epoch for epoch, _ in steps], labels, rows, ways, marks, scheme)


def _heat_map(
    epochs: list[int], labels: list[str], rows: list[list[float | None]], hovers: list[str], marks: list[int], scheme: str
) -> go.Figure:
    import plotly.graph_objects as go

    told = [value for row in rows for value in row if value]  # what is never drawn at all would take up half of the colours
    low, high = (min(told), max(told)) if told else (0.0, 1.0)
    figure = go.Figure()
    figure.add_heatmap(
        x=epochs,
        y=list(range(len(rows))),
        z=rows,
        zmin=low,
        zmax=max(high, low + 0.01),
        colorscale="Viridis",
        text=[[hover] * len(epochs) for hover in hovers],
        hovertemplate="%{text}<br>epoch %{x}: %{z:.1%}<extra></extra>",
        hoverongaps=False,
        colorbar={
            "orientation": "h",
            "thickness": 10,
            "y": 1,
            "yanchor": "bottom",
            "tickformat": ".0%",
            "outlinewidth": 0,
            "nticks": 6,
        },
    )
    step = epochs[1] - epochs[0] if len(epochs) > 1 else 1
    figure.add_scatter(
        x=[epochs[-1] + step / 2] * len(marks),
        y=marks,
        mode="text",
        text=["◂"] * len(marks),
        textposition="middle right",
        textfont={"size": 15, "color": SCHEMES[scheme]["accent"]},
        hovertext=[hovers[mark] for mark in marks],
        hovertemplate="%{hovertext}<extra></extra>",
        showlegend=False,
        cliponaxis=False,
    )
    ticks: dict[str, Any] = {"tickmode": "array", "tickvals": list(range(len(rows))), "ticktext": labels, "tickfont": {"size": 11}}
    figure.update_yaxes(range=[len(rows) - 0.5, -0.5], showgrid=False, ticks="", **ticks)
    figure.update_xaxes(title_text="epoch", showgrid=False, tickformat=",d", range=[epochs[0] - step / 2, epochs[-1] + step / 2])
    figure.update_layout(template=template(scheme), height=130 + ROW * len(rows), margin={"t": 42, "r": 26}, hovermode="closest")
    return figure


def _number(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)
