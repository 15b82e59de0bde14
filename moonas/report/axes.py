"""What figures of networks over two metrics share: names, scales, lines of bounds, the step line of a front."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from math import ceil, floor, log10
from typing import TYPE_CHECKING, Any

from moonas.report import text
from moonas.report.records import BudgetInfo, Point, ReportData
from moonas.report.theme import NEUTRAL
from moonas.study.metrics import METRICS

if TYPE_CHECKING:
    import plotly.graph_objects as go

WIDE = 20  # an axis whose largest value is more than so many times its smallest is drawn on a logarithmic scale
LABEL_ROOM = 0.17  # of the axis: what a budget's label takes on a narrow screen; nearer ones stand in another row


def safe(name: str) -> str:
    """Text that Plotly shows as it is. It knows no entity for quotes, which stand in no attribute here."""
    return escape(name, quote=False)


def step_line(data: ReportData, members: Iterable[Point], x: str, y: str) -> list[Point]:
    """Members that no other dominates in two metrics, from the best x to the worst."""
    sign = {name: -1 if maximised(data, name) else 1 for name in (x, y)}
    steps: list[Point] = []
    for point in sorted(members, key=lambda p: (sign[x] * p.metrics[x].value, sign[y] * p.metrics[y].value)):
        if not steps or sign[y] * point.metrics[y].value < sign[y] * steps[-1].metrics[y].value:
            steps.append(point)
    return steps


def draw_step_line(figure: go.Figure, line: Sequence[Point], x: str, y: str, color: str, width: float, **named: Any) -> None:
    """Add a `step_line` to a figure. named: further properties of its trace."""
    figure.add_scatter(
        x=[point.metrics[x].value for point in line],
        y=[point.metrics[y].value for point in line],
        mode="lines",
        line={"shape": "hv", "width": width, "color": color},
        hoverinfo="skip",
        **named,
    )


def maximised(data: ReportData, name: str) -> bool:
    directions = {objective.name: objective.direction for objective in data.objectives}
    return (directions.get(name) or METRICS[name].direction) == "maximize"


def scale(axis: Any, values: Sequence[float], wide: float = WIDE) -> None:
    """Make an axis logarithmic where its values span much: ticks at 1, 2, 5, 10 ... over two decades, at 1, 10 ... over more.

    wide: how many times the smallest the largest has to be.
    """
    if values and min(values) > 0 and max(values) / min(values) > wide:
        lowest, highest = floor(log10(min(values))), ceil(log10(max(values)))
        steps = (1, 2, 5) if max(values) / min(values) <= 100 else (1,)
        axis.update(type="log", tickvals=[step * 10.0**power for power in range(lowest, highest + 1) for step in steps])


def budget_lines(budgets: Iterable[BudgetInfo], metric: str, axis: str) -> list[tuple[str, float, str]]:
    """(axis, place, label) of each bound on a metric, lowest first; equal places are drawn once."""
    ends = ((info, sign, at) for info in budgets if info.metric == metric for sign, at in (("≥", info.lower), ("≤", info.upper)))
    lines = {
        at: (axis, at, f"{sign} {text.short(at)}{', required' if info.required else ''}")
        for info, sign, at in ends
        if at is not None
    }
    return [lines[at] for at in sorted(lines)]


def draw_budgets(figure: go.Figure, lines: Sequence[tuple[str, float, str]]) -> int:
    """Dashed lines with their labels outside the plot; returns how many rows of labels stand above it."""
    rows: list[float] = []  # where the last label of each row stands, as a share of the x axis
    along_x = [at for trace in figure.data for at in trace.x] + [at for axis, at, _ in lines if axis == "x"]
    logarithmic = figure.layout.xaxis.type == "log"
    shares = [log10(at) if logarithmic else at for at in along_x]
    for axis, at, label in lines:
        line = {"dash": "dash", "width": 1.2, "color": NEUTRAL}
        if axis == "y":
            figure.add_hline(y=at, line=line)
            figure.add_annotation(x=1, xref="paper", y=at, text=label, showarrow=False, xanchor="right", yanchor="bottom")
            continue
        figure.add_vline(x=at, line=line)
        share = ((log10(at) if logarithmic else at) - min(shares)) / ((max(shares) - min(shares)) or 1)
        row = next((row for row, last in enumerate(rows) if share - last >= LABEL_ROOM), len(rows))
        rows[row : row + 1] = [share]
        place = log10(at) if logarithmic else at  # Plotly reads an annotation's place on such an axis as a logarithm
        above = {"y": 1, "yref": "paper", "yanchor": "bottom", "yshift": 2 + 17 * row}
        figure.add_annotation(x=place, text=label, showarrow=False, font={"size": 12}, **above)
    return len(rows)
