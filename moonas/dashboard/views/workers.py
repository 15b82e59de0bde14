"""What the workers did when."""

from __future__ import annotations

from typing import Any

from dash import Dash, Input, Output, State, html, no_update
from sqlalchemy import func, select

from moonas.dashboard.catalogue import Catalogue
from moonas.dashboard.components import empty, graph, in_thread, panel, trial_address
from moonas.dashboard.live import LiveStudy
from moonas.dashboard.scheme import SCHEME
from moonas.report import text
from moonas.report.analysis import Bar, timeline_figure
from moonas.report.axes import safe
from moonas.store.states import AttemptState
from moonas.store.tables import Attempt, Task, Trial, TrialTask, database_time

TITLE = "Workers"
MOST = 1_000  # attempts that are drawn, the latest


def layout(live: LiveStudy) -> list[Any]:
    """The timeline."""
    bars, total = attempts(live)
    if not bars:
        return [empty("Nothing has run yet", "Every attempt at a task shows up here as a bar.")]
    note = "Each bar is one attempt at a task, on the device that worked on it."
    if total > len(bars):
        note += f" The latest {len(bars):,} of {total:,} are drawn."
    height = 150 + 34 * len({bar.lane for bar in bars})
    return [
        panel(graph("timeline", "Timeline of workers", height), html.P(id="busy", className="note"), title="Attempts", note=note)
    ]


def register(app: Dash, catalogue: Catalogue) -> None:
    """Draw it."""

    @app.callback(
        Output("timeline", "figure"), Output("busy", "children"), Input("version", "data"), SCHEME, State("study", "data")
    )
    @in_thread
    def draw(_: str, scheme: str, name: str) -> tuple[Any, str]:
        bars, _total = attempts(catalogue.live(name))
        return timeline_figure(bars, scheme), busy(bars)

    @app.callback(
        Output("address", "pathname", allow_duplicate=True),
        Input("timeline", "clickData"),
        State("study", "data"),
        prevent_initial_call=True,
    )
    def go(click: dict[str, Any] | None, name: str) -> Any:
        number = click["points"][0].get("customdata") if click else None
        return no_update if number is None else trial_address(name, number)


def attempts(live: LiveStudy) -> tuple[list[Bar], int]:
    """The latest attempts, the oldest of them first; and how many there are."""
    of_study = Task.study_id == live.record.id
    trial = (
        select(func.min(Trial.number))
        .join(TrialTask, TrialTask.trial_id == Trial.id)
        .where(TrialTask.task_id == Task.id)
        .scalar_subquery()
    )
    columns = (Attempt.worker, Attempt.device, Attempt.state, Attempt.started, Attempt.finished, Attempt.reason, Task.kind, trial)
    query = select(*columns).join(Task, Task.id == Attempt.task_id).where(of_study).order_by(Attempt.id.desc()).limit(MOST)
    with live.store.database.connection() as connection:
        total = (
            connection.scalar(select(func.count()).select_from(Attempt).join(Task, Task.id == Attempt.task_id).where(of_study)) or 0
        )
        now = connection.scalar(select(database_time())) or 0.0
        rows: list[Any] = list(connection.execute(query))
    bars = []
    for worker, device, state, started, finished, reason, kind, number in reversed(rows):
        end = now if finished is None else finished
        ended = AttemptState(state).value
        lines = [f"<b>{safe(kind)}</b> for trial {number}, {ended.lower()}", f"{text.duration(end - started)} on {safe(device)}"]
        if reason:
            lines.append(safe(reason))
        lines += [] if number is None else ["click for the trial"]
        bars.append(Bar(f"{worker} {device}".strip(), started, end, ended, "<br>".join(lines), number))
    return bars, total


def busy(bars: list[Bar]) -> str:
    """The share of the time shown in which each lane had work."""
    span = max(bar.end for bar in bars) - min(bar.start for bar in bars)
    lanes = sorted({bar.lane for bar in bars})
    shares = {lane: sum(bar.end - bar.start for bar in bars if bar.lane == lane) / span if span > 0 else 0.0 for lane in lanes}
    return "At work: " + ", ".join(f"{lane} {share:.0%}" for lane, share in shares.items()) + " of the time shown."
