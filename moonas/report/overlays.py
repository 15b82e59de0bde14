"""What a front's figure shows besides the networks: what the replicates alone attain, and the knee."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moonas.report.records import Band, Corner, Point
from moonas.report.theme import NEUTRAL

if TYPE_CHECKING:
    import plotly.graph_objects as go

FAINT = "rgba(128, 128, 128, 0.18)"  # on the light page and on the dark one


def add_band(figure: go.Figure, band: Band) -> None:
    """The band between two attainment surfaces, and the median front in it; the legend shows and hides both together.

    A surface goes on for ever towards the worse values; both are drawn to the worst corner of any surface of the band.
    """
    corners = [corner for surface in (band.easy, band.median, band.hard) for corner in surface]
    if not corners:
        return
    x_worst, y_worst = (max if best is min else min for best in band.better)
    ends = x_worst(x for x, _ in corners), y_worst(y for _, y in corners)
    outline = _stairs(band.easy, ends, band) + _stairs(band.hard, ends, band)[::-1]
    median = _stairs(band.median, ends, band)
    shown = {"mode": "lines", "hoverinfo": "skip", "legendgroup": "replicates", "legendrank": 4}
    name = f"half of {band.replicates} replicates"
    line = {"dash": "dot", "width": 1.4, "color": NEUTRAL}
    figure.add_scatter(
        x=[x for x, _ in outline],
        y=[y for _, y in outline],
        fill="toself",
        fillcolor=FAINT,
        line={"width": 0},
        showlegend=False,
        **shown,
    )
    figure.add_scatter(x=[x for x, _ in median], y=[y for _, y in median], line=line, name=name, **shown)


def _stairs(surface: tuple[Corner, ...], ends: Corner, band: Band) -> list[Corner]:
    """The border of what a surface attains, from its best x to the end of the axis."""
    ordered = sorted(surface, key=lambda corner: corner[0], reverse=band.better[0] is max)
    path, y = [], ends[1]
    for corner in ordered:
        path += [(corner[0], y), corner]
        y = corner[1]
    return [*path, (ends[0], y)]


def add_knee(figure: go.Figure, point: Point, x: str, y: str) -> None:
    """A ring around the knee."""
    figure.add_scatter(
        x=[point.metrics[x].value],
        y=[point.metrics[y].value],
        mode="markers",
        marker={"symbol": "circle-open", "size": 22, "color": NEUTRAL, "line": {"width": 2}},
        hoverinfo="skip",
        name="knee",
        legendrank=2,
    )
