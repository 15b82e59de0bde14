"""Hypervolume over evaluations and over device time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from dash import Dash, Input, Output, State
from sqlalchemy import select

from moonas.dashboard.catalogue import Catalogue
from moonas.dashboard.components import empty, graph, in_thread, panel
from moonas.dashboard.live import LiveStudy
from moonas.dashboard.scheme import SCHEME
from moonas.report import text
from moonas.report.collect import outline
from moonas.report.figures import hypervolume_figure
from moonas.report.records import HypervolumeStep, ReportData
from moonas.report.theme import template
from moonas.store.tables import Attempt, Task

TITLE = "Hypervolume"


def layout(live: LiveStudy) -> list[Any]:
    """Two figures, one above the other."""
    if not live.history:
        return [empty("No front yet", "Hypervolume is told from the first network on that meets the constraints.")]
    reference = ", ".join(
        f"{text.metric_label(outline(live.study), name)} {_corner(name, value)}" for name, value in live.study.reference.items()
    )
    note = f"The share of the space between the best and the reference values that the front dominates. Reference: {reference}."
    return [
        panel(graph("volume-evaluations", "Hypervolume over evaluations", 340), title="Over evaluations", note=note),
        panel(
            graph("volume-hours", "Hypervolume over device-hours", 340),
            title="Over device-hours",
            note="Of all attempts, lost ones too.",
        ),
    ]


def register(app: Dash, catalogue: Catalogue) -> None:
    """Draw both."""

    @app.callback(
        Output("volume-evaluations", "figure"),
        Output("volume-hours", "figure"),
        Input("version", "data"),
        SCHEME,
        State("study", "data"),
    )
    @in_thread
    def draw(_: str, scheme: str, name: str) -> tuple[Any, Any]:
        data = with_history(catalogue.live(name))
        look = template(scheme)
        return (
            hypervolume_figure(data).update_layout(template=look),
            hypervolume_figure(data, "device-hours").update_layout(template=look),
        )


def with_history(live: LiveStudy) -> ReportData:
    """The study with its front's changes, each with the device time until then."""
    query = select(Attempt.finished, Attempt.seconds).join(Task, Task.id == Attempt.task_id)
    ended = query.where(Task.study_id == live.record.id, Attempt.finished.is_not(None), Attempt.seconds.is_not(None))
    with live.store.database.connection() as connection:
        rows = np.array([tuple(row) for row in connection.execute(ended)], dtype=np.float64).reshape(-1, 2)
    rows = rows[rows[:, 0].argsort()]
    spent = np.concatenate([[0.0], rows[:, 1].cumsum()])
    history = tuple(
        HypervolumeStep(
            evaluations=step.evaluations,
            hypervolume=step.hypervolume,
            cause=step.cause,
            seconds=float(spent[np.searchsorted(rows[:, 0], step.time, side="right")]),
        )
        for step in live.history
    )
    return replace(outline(live.study), history=history)


def _corner(name: str, value: float) -> str:
    return text.number(name, value) if name in text.FRACTIONS else text.short(value)
