"""What has happened: changes of state, requests, warnings, trials that failed, and what a process that failed has printed."""

from __future__ import annotations

from typing import Any

from dash import Dash, Input, Output, State, html
from sqlalchemy import func, select

from moonas.dashboard.catalogue import Catalogue
from moonas.dashboard.components import anchor, empty, in_thread, panel, plain_table, trial_address
from moonas.dashboard.live import LiveStudy
from moonas.loop_log import last_run, log_end, log_time
from moonas.report import text
from moonas.store.queries import columns
from moonas.store.reads import STATE
from moonas.store.records import EventRecord
from moonas.store.states import StudyState, TrialState
from moonas.store.tables import Event, Trial

TITLE = "Events"
MOST = 50  # of each kind that are shown, the latest
LINES = 200  # of a log's end
LOOK = "happened"


def layout(live: LiveStudy) -> list[Any]:
    """A place for what `content` gives, which follows the study."""
    return [html.Div(content(live), id="happened")]


def register(app: Dash, catalogue: Catalogue) -> None:
    """Keep it up to date."""

    @app.callback(Output("happened", "children"), Input("version", "data"), State("study", "data"), prevent_initial_call=True)
    @in_thread
    def tell(_: str, name: str) -> list[Any]:
        return content(catalogue.live(name))


def content(live: LiveStudy) -> list[Any]:
    """The end of the log where the last process failed, then trials that failed, then events, the latest first."""
    found = [*_failed_process(live), *_failed_trials(live), *_events(live)]
    return found or [empty("Nothing has happened yet", "Changes of state, requests, warnings and failed trials show up here.")]


def _failed_process(live: LiveStudy) -> list[Any]:
    log = (live.store.database.shown, live.record.id)
    lines, failed = last_run(log_end(*log))
    has_died = live.state is StudyState.RUNNING and not live.now.driven
    if not lines or not (failed or has_died) or log_time(*log) < _last_state(live):  # another process has come since
        return []
    printed = html.Pre("\n".join(lines[-LINES:]), tabIndex=0, className="log")
    return [panel(printed, title="The process has failed", note="What the last process that was started here has printed.")]


def _failed_trials(live: LiveStudy) -> list[Any]:
    total = live.count(TrialState.FAIL)
    if not total:
        return []
    ended = select(Trial.number, Trial.finished, Trial.reason)
    failed = ended.where(Trial.study_id == live.record.id, Trial.state == TrialState.FAIL)
    with live.store.database.connection() as connection:
        rows: list[Any] = list(connection.execute(failed.order_by(Trial.finished.desc(), Trial.number.desc()).limit(MOST)))
    body = [
        [_moment(finished), anchor(trial_address(live.name, number), f"trial {number}"), _said(reason or "")]
        for number, finished, reason in rows
    ]
    table = plain_table(["Time", "Trial", "Reason"], body, look=LOOK)
    return [panel(table, title="Trials that failed", note=_cut(len(rows), total))]


def _events(live: LiveStudy) -> list[Any]:
    mine = Event.study_id == live.record.id
    with live.store.database.connection() as connection:
        total = connection.scalar(select(func.count()).where(mine)) or 0
        latest = select(*columns(EventRecord, Event)).where(mine).order_by(Event.id.desc()).limit(MOST)
        rows = [EventRecord(*row) for row in connection.execute(latest)]
    body = [[_moment(event.time), event.kind, _said(event.text)] for event in rows]
    table = plain_table(["Time", "Event", "What it says"], body, look=LOOK)
    return [panel(table, title="What happened", note=_cut(len(rows), total))] if rows else []


def _last_state(live: LiveStudy) -> float:
    """When the study came to be in its state."""
    changed = select(func.max(Event.time)).where(Event.study_id == live.record.id, Event.kind == STATE)
    with live.store.database.connection() as connection:
        return connection.scalar(changed) or 0.0


def _said(said: str) -> Any:
    """A text of several lines is folded but for its first one."""
    first, _, more = said.strip().partition("\n")
    return html.Details([html.Summary(first), html.Pre(more, tabIndex=0, className="log")]) if more else first


def _moment(seconds: float | None) -> str:
    return text.moment(seconds) if seconds is not None else ""


def _cut(shown: int, total: int) -> str:
    return f"The latest {shown:,} of {total:,}." if shown < total else ""
