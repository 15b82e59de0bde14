"""The front as the dashboard explores it: any two or three metrics, groups by any property, and many thousands of trials behind.

Members of the front are drawn as SVG, over the crowd. Three metrics are drawn in space.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from moonas.report import text
from moonas.report.axes import WIDE, budget_lines, draw_budgets, draw_step_line, safe, scale, step_line
from moonas.report.crowd import MOST, Crowd, add_crowd
from moonas.report.overlays import add_band
from moonas.report.records import ReportData
from moonas.report.theme import NEUTRAL, SCHEMES, method_styles, template

if TYPE_CHECKING:
    import plotly.graph_objects as go

IN_SPACE = {"cross": "cross", "square": "square", "diamond": "diamond"}  # symbols that Plotly has in three dimensions, too

Scale = Literal["auto", "linear", "log"]


@dataclass(frozen=True, kw_only=True)
class Marks:
    """Members of a front. values: (n,) by metric. groups: (n,) what colours them. ids, told: (n,) what a click and a hover give."""

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


def group_styles(*groups: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Colour and symbol of each group, numbers in their order."""
    names = {str(name) for some in groups for name in some}
    return method_styles(sorted(names, key=lambda name: (0, float(name), "") if _is_number(name) else (1, 0.0, name)))


def is_logarithmic(asked: Scale, values: np.ndarray) -> bool:
    """Whether an axis with these values is drawn so; "auto" where the largest is many times the smallest."""
    if not len(values) or asked == "linear" or values.min() <= 0:
        return False
    return asked == "log" or bool(values.max() / values.min() > WIDE)


def explore_figure(
    data: ReportData, members: Marks, others: Crowd, axes: Sequence[str], asked: Scale = "auto", scheme: str = "light"
) -> go.Figure:
    """Members of the front strong, with their step line in two metrics; others faint.

    data: the study, whose `points` are the members. axes: two or three metrics, all of them in both marks. The first trace is an
    empty ring for the point that is chosen.
    """
    import plotly.graph_objects as go

    together = {name: np.concatenate([members.values[name], others.values[name]]) for name in axes}
    logarithmic = {name: name not in text.FRACTIONS and is_logarithmic(asked, together[name]) for name in axes}
    figure = go.Figure(layout={"template": template(scheme), "hovermode": "closest", "uirevision": f"{axes} {asked}"})
    styles = group_styles(members.groups, np.unique(others.groups.astype(str)))
    labels = {name: text.metric_label(data, name) for name in axes}
    if len(axes) == 3:
        _add_in_space(figure, members, others, labels, styles)
        _title_space(figure, labels, logarithmic, scheme)
        return figure
    x, y = axes
    _add_ring(figure, go.Scatter, axes)
    if (x, y) in data.bands:
        add_band(figure, data.bands[x, y])
    line = step_line(data, data.members, x, y)
    draw_step_line(figure, line, x, y, NEUTRAL, 1.6, name="front", legendrank=2)
    faint = {"size": 6.5, "opacity": 0.4} if len(others) <= MOST else {"size": 5, "opacity": 0.25}
    add_crowd(figure, others, labels, styles, faint, members.groups)
    for group, chosen in _by_group(members, styles):
        colour, symbol = styles[group]
        look = {"color": colour, "symbol": symbol, "size": 11, "line": {"width": 0}}
        figure.add_scatter(x=chosen.values[x], y=chosen.values[y], marker=look, **_said(chosen, group))
    lines = [found for metric, axis in ((x, "x"), (y, "y")) for found in budget_lines(data.budgets, metric, axis)]
    for name, axis in ((x, figure.layout.xaxis), (y, figure.layout.yaxis)):
        if logarithmic[name]:
            scale(axis, [*together[name], *(at for kind, at, _ in lines if kind == axis.plotly_name[0])], 1)
        axis.update(title_text=safe(labels[name]), tickformat=_ticks(name, together[name]))
    rows = draw_budgets(figure, lines)
    figure.update_layout(margin_t=24 + 17 * rows)
    return figure


def _add_ring(figure: go.Figure, kind: Any, axes: Sequence[str]) -> None:
    ring = {"symbol": "circle-open", "size": 20, "color": NEUTRAL, "line": {"width": 3}}
    empty: dict[str, Any] = {letter: [] for letter, _ in zip("xyz", axes, strict=False)}
    figure.add_trace(kind(**empty, mode="markers", marker=ring, hoverinfo="skip", showlegend=False, name="chosen"))


def _by_group(members: Marks, styles: Mapping[str, tuple[str, str]]) -> Iterator[tuple[str, Marks]]:
    for group in styles:
        chosen = members.take(np.flatnonzero(members.groups == group))
        if chosen.ids:
            yield group, chosen


def _said(chosen: Marks, group: str) -> dict[str, Any]:
    """Hovers, ids and the name of a trace of markers."""
    return {
        "mode": "markers",
        "name": safe(group) or "none",
        "legendgroup": group,
        "legendrank": 1,
        "customdata": [[one] for one in chosen.ids],
        "hovertext": list(chosen.told),
        "hovertemplate": "%{hovertext}<extra></extra>",
    }


def _add_in_space(
    figure: go.Figure, members: Marks, others: Crowd, labels: Mapping[str, str], styles: Mapping[str, tuple[str, str]]
) -> None:
    import plotly.graph_objects as go

    _add_ring(figure, go.Scatter3d, list(labels))
    shapes = {group: (colour, IN_SPACE.get(symbol, "circle")) for group, (colour, symbol) in styles.items()}
    add_crowd(figure, others, labels, shapes, {"size": 2.5, "opacity": 0.35}, members.groups)
    for group, chosen in _by_group(members, styles):
        colour, symbol = shapes[group]
        places = {letter: chosen.values[name] for letter, name in zip("xyz", labels, strict=True)}
        look = {"color": colour, "symbol": symbol, "size": 6, "opacity": 1.0}
        figure.add_scatter3d(**places, marker=look, **_said(chosen, group))


def _title_space(figure: go.Figure, labels: Mapping[str, str], logarithmic: Mapping[str, bool], scheme: str) -> None:
    colours = SCHEMES[scheme]
    for letter, (name, label) in zip("xyz", labels.items(), strict=True):
        look = {"gridcolor": colours["line"], "color": colours["ink"], "showbackground": False, "zeroline": False}
        kind = {"type": "log"} if logarithmic[name] else {}
        figure.update_layout(
            {f"scene_{letter}axis": {**look, **kind, "title": {"text": safe(label)}, "tickformat": _ticks(name, None)}}
        )
    figure.update_layout(margin={"l": 0, "r": 0, "t": 0, "b": 40}, scene_camera_eye={"x": 1.5, "y": 1.5, "z": 0.9})


def _ticks(name: str, values: np.ndarray | None) -> str:
    if name in text.FRACTIONS:
        return ".1~%"
    return "~s" if values is None or (len(values) and np.abs(values).max() >= 1000) else ""


def _is_number(name: str) -> bool:
    return name.replace(".", "", 1).isdigit()
