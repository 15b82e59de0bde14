"""The front as the dashboard explores it: any two or three metrics, groups by any property, and many thousands of trials behind.

Drawn without WebGL, whose library compiles text to code, which a strict content security policy refuses; what is off the front is
thinned to what a screen can tell apart instead. Three metrics are drawn in space.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from moonas.report import text
from moonas.report.axes import WIDE, budget_lines, draw_budgets, draw_step_line, safe, scale, step_line
from moonas.report.overlays import add_band
from moonas.report.records import ReportData
from moonas.report.theme import NEUTRAL, SCHEMES, method_styles, template

if TYPE_CHECKING:
    import plotly.graph_objects as go

MOST = 2500  # markers off the front: as many as a browser draws at once without a wait
CELLS = (300, 240, 120)  # of the screen along each axis, one marker each, before there are too many
IN_SPACE = {"cross": "cross", "square": "square", "diamond": "diamond"}  # symbols that Plotly has in three dimensions, too

Scale = Literal["auto", "linear", "log"]


@dataclass(frozen=True, kw_only=True)
class Marks:
    """Points of one kind. values: (n,) by metric. groups: (n,) what colours them. ids, told: (n,) what a click and a hover give."""

    values: Mapping[str, np.ndarray]
    groups: np.ndarray
    ids: Sequence[str]
    told: Sequence[str]

    def take(self, rows: np.ndarray) -> Marks:
        """Some of them, by their numbers."""
        return Marks(
            values={name: column[rows] for name, column in self.values.items()},
            groups=self.groups[rows],
            ids=[self.ids[row] for row in rows],
            told=[self.told[row] for row in rows],
        )


def group_styles(members: Marks, others: Marks) -> dict[str, tuple[str, str]]:
    """Colour and symbol of each group, numbers in their order."""
    names = {str(name) for name in (*members.groups, *others.groups)}
    return method_styles(sorted(names, key=lambda name: (0, float(name), "") if _is_number(name) else (1, 0.0, name)))


def thin(columns: Sequence[np.ndarray], logarithmic: Sequence[bool], groups: np.ndarray, most: int = MOST) -> np.ndarray:
    """The numbers of the rows to draw: of each group one in every cell of the screen, in cells so large that `most` suffice.

    columns: (n,) each, one per axis, all finite.
    """
    rows = np.arange(len(groups))
    if len(rows) <= most:
        return rows
    places = []
    for values, log in zip(columns, logarithmic, strict=True):
        shown = np.log(values) if log else values
        low, span = shown.min(), np.ptp(shown)
        places.append((shown - low) / (span if span > 0 else 1.0))
    group = np.unique(groups.astype(str), return_inverse=True)[1]
    shrink = 1.0
    while True:
        cells = [np.floor(place * max(1.0, count * shrink)).astype(np.int64) for place, count in zip(places, CELLS, strict=False)]
        mixed = group
        for cell in cells:
            mixed = mixed * 1024 + cell
        kept = np.sort(np.unique(mixed, return_index=True)[1])
        if len(kept) <= most:
            return kept
        shrink *= 0.8


def is_logarithmic(asked: Scale, values: np.ndarray) -> bool:
    """Whether an axis with these values is drawn so; "auto" where the largest is many times the smallest."""
    if not len(values) or asked == "linear" or values.min() <= 0:
        return False
    return asked == "log" or bool(values.max() / values.min() > WIDE)


def explore_figure(
    data: ReportData, members: Marks, others: Marks, axes: Sequence[str], asked: Scale = "auto", scheme: str = "light"
) -> go.Figure:
    """Members of the front strong, with their step line in two metrics; others faint.

    data: the study, whose `points` are the members. axes: two or three metrics, all of them in both marks. The first trace is an
    empty ring for the point that is chosen.
    """
    import plotly.graph_objects as go

    together = {name: np.concatenate([members.values[name], others.values[name]]) for name in axes}
    logarithmic = {name: name not in text.FRACTIONS and is_logarithmic(asked, together[name]) for name in axes}
    figure = go.Figure(layout={"template": template(scheme), "hovermode": "closest", "uirevision": f"{axes} {asked}"})
    styles = group_styles(members, others)
    if len(axes) == 3:
        _add_in_space(figure, members, others, axes, styles)
        _title_space(figure, data, axes, logarithmic, scheme)
        return figure
    x, y = axes
    _add_ring(figure, go.Scatter, axes)
    if (x, y) in data.bands:
        add_band(figure, data.bands[x, y])
    line = step_line(data, data.members, x, y)
    draw_step_line(figure, line, x, y, NEUTRAL, 1.6, name="front", legendrank=2)
    for marks, strong in ((others, False), (members, True)):
        for group, (colour, symbol) in styles.items():
            chosen = marks.take(np.flatnonzero(marks.groups == group))
            if chosen.ids:
                look = {"size": 11, "line": {"width": 0}} if strong else {"size": 6.5, "opacity": 0.4}
                figure.add_scatter(
                    x=chosen.values[x],
                    y=chosen.values[y],
                    marker={"color": colour, "symbol": symbol, **look},
                    **_said(chosen, group, strong, members),
                )
    lines = [found for metric, axis in ((x, "x"), (y, "y")) for found in budget_lines(data.budgets, metric, axis)]
    for name, axis in ((x, figure.layout.xaxis), (y, figure.layout.yaxis)):
        if logarithmic[name]:
            scale(axis, [*together[name], *(at for kind, at, _ in lines if kind == axis.plotly_name[0])], 1)
        axis.update(title_text=safe(text.metric_label(data, name)), tickformat=_ticks(name, together[name]))
    rows = draw_budgets(figure, lines)
    figure.update_layout(margin_t=24 + 17 * rows)
    return figure


def _add_ring(figure: go.Figure, kind: Any, axes: Sequence[str]) -> None:
    ring = {"symbol": "circle-open", "size": 20, "color": NEUTRAL, "line": {"width": 3}}
    empty: dict[str, Any] = {letter: [] for letter, _ in zip("xyz", axes, strict=False)}
    figure.add_trace(kind(**empty, mode="markers", marker=ring, hoverinfo="skip", showlegend=False, name="chosen"))


def _said(chosen: Marks, group: str, strong: bool, members: Marks) -> dict[str, Any]:
    """Hovers, ids and the name of a trace of markers, which stands in the legend once for the strong and the faint of a group."""
    return {
        "mode": "markers",
        "name": safe(group) or "none",
        "legendgroup": group,
        "showlegend": strong or group not in members.groups,
        "legendrank": 1 if strong else 3,
        "customdata": [[one] for one in chosen.ids],
        "hovertext": list(chosen.told),
        "hovertemplate": "%{hovertext}<extra></extra>",
    }


def _add_in_space(
    figure: go.Figure, members: Marks, others: Marks, axes: Sequence[str], styles: Mapping[str, tuple[str, str]]
) -> None:
    import plotly.graph_objects as go

    _add_ring(figure, go.Scatter3d, axes)
    for marks, strong in ((others, False), (members, True)):
        for group, (colour, symbol) in styles.items():
            chosen = marks.take(np.flatnonzero(marks.groups == group))
            if chosen.ids:
                look = {"size": 6, "opacity": 1.0} if strong else {"size": 2.5, "opacity": 0.35}
                figure.add_scatter3d(
                    **{letter: chosen.values[name] for letter, name in zip("xyz", axes, strict=True)},
                    marker={"color": colour, "symbol": IN_SPACE.get(symbol, "circle"), **look},
                    **_said(chosen, group, strong, members),
                )


def _title_space(figure: go.Figure, data: ReportData, axes: Sequence[str], logarithmic: Mapping[str, bool], scheme: str) -> None:
    colours = SCHEMES[scheme]
    for letter, name in zip("xyz", axes, strict=True):
        look = {"gridcolor": colours["line"], "color": colours["ink"], "showbackground": False, "zeroline": False}
        kind = {"type": "log"} if logarithmic[name] else {}
        title = safe(text.metric_label(data, name))
        figure.update_layout({f"scene_{letter}axis": {**look, **kind, "title": {"text": title}, "tickformat": _ticks(name, None)}})
    figure.update_layout(margin={"l": 0, "r": 0, "t": 0, "b": 40}, scene_camera_eye={"x": 1.5, "y": 1.5, "z": 0.9})


def _ticks(name: str, values: np.ndarray | None) -> str:
    if name in text.FRACTIONS:
        return ".1~%"
    return "~s" if values is None or (len(values) and np.abs(values).max() >= 1000) else ""


def _is_number(name: str) -> bool:
    return name.replace(".", "", 1).isdigit()
