"""Trials by the thousand, as faint markers behind a figure: all of them by WebGL, or as many as a screen can tell apart."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from moonas.report import text
from moonas.report.axes import safe

if TYPE_CHECKING:
    import plotly.graph_objects as go

MOST = 2500  # markers that a browser draws at once without a wait; more are WebGL's
CELLS = (300, 240, 120)  # of the screen along each axis, one marker each, before there are too many


@dataclass(frozen=True, kw_only=True)
class Crowd:
    """Trials as points. values: (n,) by metric, all finite. groups: (n,) text, what colours them. numbers: (n,) theirs."""

    values: Mapping[str, np.ndarray]
    groups: np.ndarray
    numbers: np.ndarray

    def __len__(self) -> int:
        return len(self.numbers)

    def take(self, rows: np.ndarray) -> Crowd:
        """Some of them, by their places."""
        values = {name: column[rows] for name, column in self.values.items()}
        return Crowd(values=values, groups=self.groups[rows], numbers=self.numbers[rows])

    def thinned(self, logarithmic: Sequence[bool]) -> Crowd:
        """As many as a screen can tell apart. logarithmic: of each axis, in the order of the values."""
        return self.take(thin(list(self.values.values()), logarithmic, self.groups))

    @classmethod
    def of_none(cls, names: Sequence[str]) -> Crowd:
        """Nobody, at these metrics."""
        return cls(values={name: np.zeros(0) for name in names}, groups=np.zeros(0, dtype=object), numbers=np.zeros(0, dtype=int))


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


def add_crowd(
    figure: go.Figure,
    crowd: Crowd,
    labels: Mapping[str, str],
    styles: Mapping[str, tuple[str, str]],
    marker: Mapping[str, Any],
    named: Collection[str] = (),
) -> None:
    """A trace of markers for each group, in two dimensions or in three; a click on one gives its trial's number.

    labels: of each axis by its metric. styles: colour and symbol of each group. marker: how all of them look. named: groups that
    stand in the legend already.
    """
    flat = figure.add_scatter if len(crowd) <= MOST else figure.add_scattergl
    for group, (colour, symbol) in styles.items():
        mine = crowd.take(np.flatnonzero(crowd.groups == group))
        if len(mine):
            (flat if len(labels) == 2 else figure.add_scatter3d)(
                **{letter: packed(mine.values[name]) for letter, name in zip("xyz", labels, strict=False)},
                **_said(mine, group, labels),
                marker={"color": colour, "symbol": symbol, **marker},
                showlegend=group not in named,
            )


def _said(crowd: Crowd, group: str, labels: Mapping[str, str]) -> dict[str, Any]:
    """Mode, name, numbers and hover of a group's trace."""
    lines = [f"<b>trial %{{customdata}}</b>, {safe(group)}" if group else "<b>trial %{customdata}</b>"]
    lines += [
        f"{safe(label)}: %{{{letter}:{written(name, crowd.values[name])}}}"
        for letter, (name, label) in zip("xyz", labels.items(), strict=False)
    ]
    return {
        "mode": "markers",
        "name": safe(group) or "none",
        "legendgroup": group,
        "legendrank": 3,
        "customdata": crowd.numbers.astype(int).tolist(),  # as text: Dash tells no click where they come as bytes
        "hovertemplate": "<br>".join(lines) + "<extra></extra>",
    }


def written(name: str, values: np.ndarray) -> str:
    """How Plotly is to write values in a hover, as `text.number` does."""
    if name in text.FRACTIONS:
        return ".2%"
    return ",d" if not np.mod(values, 1).any() else ",.4~g"


def packed(values: np.ndarray) -> np.ndarray:
    """Whole numbers exact and others to seven digits, in the four bytes that are sent of each."""
    whole = not np.mod(values, 1).any() and np.abs(values).max(initial=0) < 2**31
    return values.astype(np.int32 if whole else np.float32)
