"""Figures about a whole study rather than its networks: methods side by side, parameters, workers over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from moonas.race import Runner
from moonas.report import text
from moonas.report.axes import safe
from moonas.report.theme import NEUTRAL, PALETTE, SCHEMES, method_styles, template

if TYPE_CHECKING:
    import plotly.graph_objects as go

ROW = 34  # pixels of a bar's row
SHADES = 6  # into which lines are sorted by the target
BRIGHTNESS = {"light": (0.9, 0.05), "dark": (0.2, 1.0)}  # of the lowest and of the highest line, 0 dark
STATES = {
    "COMPLETE": PALETTE[2],
    "RUNNING": PALETTE[0],
    "PAUSED": PALETTE[4],
    "PRUNED": PALETTE[4],
    "FAIL": PALETTE[1],
    "LOST": PALETTE[1],
}


def race_figure(runners: Sequence[Runner], scheme: str = "light") -> go.Figure:
    """Hypervolume of each method's networks alone, and of that what no other method has."""
    import plotly.graph_objects as go

    styles = method_styles(sorted(runner.method for runner in runners))
    names = [safe(runner.method) for runner in runners]
    colours = [styles[runner.method][0] for runner in runners]
    figure = go.Figure()
    for name, values, opacity in (
        ("alone", [runner.hypervolume for runner in runners], 0.4),
        ("found by no other method", [runner.exclusive for runner in runners], 1.0),
    ):
        figure.add_bar(
            y=names,
            x=values,
            orientation="h",
            name=name,
            opacity=opacity,
            marker={"color": colours},
            hovertemplate=f"%{{y}}: %{{x:.4f}} {name}<extra></extra>",
        )
    figure.update_xaxes(title_text="hypervolume", rangemode="tozero")
    figure.update_yaxes(autorange="reversed", ticks="", showline=False)
    figure.update_layout(template=template(scheme), barmode="group", height=race_height(len(runners)), bargap=0.35)
    return figure


def race_height(runners: int) -> int:
    """Pixels of the figure of so many methods."""
    return 130 + 44 * runners


def importance_figure(shares: Mapping[str, float], scheme: str = "light") -> go.Figure:
    """Shares of importance as bars, the largest on top."""
    import plotly.graph_objects as go

    figure = go.Figure()
    figure.add_bar(
        y=[safe(name) for name in shares],
        x=list(shares.values()),
        orientation="h",
        marker={"color": PALETTE[0]},
        hovertemplate="%{y}: %{x:.1%}<extra></extra>",
    )
    figure.update_xaxes(title_text="share of the importance", tickformat=".0%", rangemode="tozero")
    figure.update_yaxes(autorange="reversed", ticks="", showline=False)
    figure.update_layout(template=template(scheme), height=110 + ROW * len(shares), showlegend=False, bargap=0.35)
    return figure


def parallel_figure(columns: Mapping[str, np.ndarray], target: str, scheme: str = "light") -> go.Figure:
    """A line per trial over upright axes; one of them colours it.

    columns: (n,) by heading, numbers or text, drawn from left to right. target: the heading of the one that does.
    """
    import plotly.graph_objects as go
    from plotly.colors import sample_colorscale

    places = {name: _place(column) for name, column in columns.items()}
    shade = np.minimum((places[target][0] * SHADES).astype(int), SHADES - 1)
    at = np.arange(len(columns), dtype=float)
    figure, ground = go.Figure(), SCHEMES[scheme]["surface"]
    for number, colour in enumerate(sample_colorscale("Viridis", np.linspace(*BRIGHTNESS[scheme], SHADES))):
        rows = np.flatnonzero(shade == number)
        if not len(rows):
            continue
        heights = np.column_stack([places[name][0][rows] for name in columns])
        figure.add_scatter(
            x=np.tile(np.append(at, np.nan), len(rows)),
            y=np.column_stack([heights, np.full(len(rows), np.nan)]).ravel(),
            mode="lines",
            line={"width": 1.4, "color": colour},
            opacity=0.55,
            hoverinfo="skip",
            showlegend=False,
        )
    notes, axes = [], []  # set at once: Plotly takes milliseconds over each that is added alone
    for number, (name, (_, ticks)) in enumerate(places.items()):
        axes.append({"type": "line", "x0": number, "x1": number, "y0": 0, "y1": 1, "line": {"width": 1.2, "color": NEUTRAL}})
        notes.append({"x": number, "y": 1.0, "yshift": 26, "text": f"<b>{safe(name)}</b>", "showarrow": False})
        beside = {"showarrow": False, "xanchor": "left", "xshift": 4, "font": {"size": 11}, "bgcolor": ground, "opacity": 0.85}
        notes += [{"x": number, "y": height, "text": safe(told), **beside} for height, told in ticks]
    figure.update_layout(annotations=notes, shapes=axes)
    figure.update_xaxes(visible=False, range=[-0.15, len(columns) - 0.3])
    figure.update_yaxes(visible=False, range=[-0.05, 1.05])
    figure.update_layout(template=template(scheme), height=430, margin={"l": 16, "r": 24, "t": 56, "b": 16})
    return figure


def _place(column: np.ndarray) -> tuple[np.ndarray, list[tuple[float, str]]]:
    """Heights between 0 and 1, and what to write at which of them; an absent number stands at the bottom."""
    if column.dtype == object:
        names, places = np.unique(column.astype(str), return_inverse=True)
        heights = np.linspace(0.0, 1.0, len(names)) if len(names) > 1 else np.array([0.5])
        return heights[places], list(zip(heights.tolist(), (str(name) or "–" for name in names), strict=True))
    low, high = float(np.nanmin(column)), float(np.nanmax(column))
    logarithmic = low > 0 and high / low > 20
    shown = np.log(column) if logarithmic else column
    start, span = np.nanmin(shown), float(np.nanmax(shown) - np.nanmin(shown)) or 1.0
    middle = float(np.sqrt(low * high)) if logarithmic else (low + high) / 2
    ticks = [(0.0, _tick(low)), (0.5, _tick(middle)), (1.0, _tick(high))] if high > low else [(0.0, _tick(low))]
    return np.nan_to_num((shown - start) / span), ticks


def _tick(value: float) -> str:
    return text.short(value) if abs(value) >= 1000 else f"{value:.4g}"


class Bar(NamedTuple):
    """One attempt on a worker. start, end: seconds since 1970. trial: the number of the first one it served."""

    lane: str
    start: float
    end: float
    state: str
    told: str
    trial: int | None = None


def timeline_figure(bars: Sequence[Bar], scheme: str = "light") -> go.Figure:
    """What each device worked on, over time."""
    import plotly.graph_objects as go

    lanes = sorted({bar.lane for bar in bars})
    figure = go.Figure()
    for state in dict.fromkeys(bar.state for bar in bars):
        mine = [bar for bar in bars if bar.state == state]
        figure.add_bar(
            y=[safe(bar.lane) for bar in mine],
            base=[1000 * bar.start for bar in mine],
            x=[1000 * max(bar.end - bar.start, 0.001) for bar in mine],
            orientation="h",
            name=state.lower(),
            marker={"color": STATES.get(state, NEUTRAL), "line": {"width": 0.5, "color": "rgba(128,128,128,.6)"}},
            customdata=[bar.trial for bar in mine],
            hovertext=[bar.told for bar in mine],
            hovertemplate="%{hovertext}<extra></extra>",
        )
    figure.update_xaxes(type="date")
    figure.update_yaxes(ticks="", showline=False, categoryorder="array", categoryarray=[safe(lane) for lane in lanes[::-1]])
    figure.update_layout(
        template=template(scheme), barmode="overlay", height=150 + ROW * len(lanes), hovermode="closest", bargap=0.25
    )
    return figure
