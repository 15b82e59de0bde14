"""Several studies' fronts over each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from moonas.report import text
from moonas.report.axes import draw_step_line, safe, scale, step_line
from moonas.report.figures import hover_text
from moonas.report.records import ReportData
from moonas.report.theme import method_styles, template

if TYPE_CHECKING:
    import plotly.graph_objects as go


def versus_figure(fronts: Mapping[str, ReportData], x: str, y: str, scheme: str = "light") -> go.Figure:
    """A step line and its markers for each study. fronts: by name, studies whose points are the members of their fronts."""
    import plotly.graph_objects as go

    figure = go.Figure()
    values: dict[str, list[float]] = {x: [], y: []}
    for name, (colour, symbol) in method_styles(list(fronts)).items():
        data = fronts[name]
        points = [point for point in data.points if x in point.metrics and y in point.metrics]
        line = step_line(data, points, x, y)
        for metric in (x, y):
            values[metric] += [point.metrics[metric].value for point in points]
        draw_step_line(figure, line, x, y, colour, 1.8, showlegend=False, legendgroup=name)
        figure.add_scatter(
            x=[point.metrics[x].value for point in points],
            y=[point.metrics[y].value for point in points],
            mode="markers",
            marker={"color": colour, "symbol": symbol, "size": 10},
            name=safe(name),
            legendgroup=name,
            hovertext=[f"<b>{safe(name)}</b><br>{hover_text(data, point)}" for point in points],
            hovertemplate="%{hovertext}<extra></extra>",
        )
    data = next(iter(fronts.values()))
    for metric, axis in ((x, figure.layout.xaxis), (y, figure.layout.yaxis)):
        if metric not in text.FRACTIONS:
            scale(axis, values[metric])
        large = max(map(abs, values[metric]), default=0) >= 1000
        axis.update(
            title_text=safe(text.metric_label(data, metric)), tickformat=".1~%" if metric in text.FRACTIONS else "~s" * large
        )
    figure.update_layout(template=template(scheme), hovermode="closest")
    return figure
