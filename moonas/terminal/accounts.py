"""The ledger of a study: the device time of its tasks, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.table import Table

from moonas.store.accounts import accounts
from moonas.store.states import AttemptState
from moonas.terminal.parts import console, duration, titled_table

if TYPE_CHECKING:
    from moonas.results.study import Study

HEADINGS = {
    AttemptState.COMPLETE: "done",
    AttemptState.PAUSED: "paused",
    AttemptState.PRUNED: "pruned",
    AttemptState.FAIL: "failed",
    AttemptState.LOST: "lost",
    AttemptState.RUNNING: "running",
}


def ledger_rows(study: Study) -> list[dict[str, Any]]:
    """One row for each kind of task, device and end of its attempts."""
    return [{**asdict(account), "state": account.state.value} for account in accounts(study.store.database, study.record.id)]


def print_ledger(rows: Sequence[Mapping[str, Any]]) -> None:
    """A line for each kind of task on each device, a column for each way in which attempts ended."""
    if not rows:
        return
    states = [state for state in HEADINGS if any(row["state"] == state for row in rows)]
    table = titled_table("device time")
    for heading in ("task", "device"):
        table.add_column(heading)
    for heading in ("attempts", *(HEADINGS[state] for state in states), "total"):
        table.add_column(heading, justify="right")
    lines = list(dict.fromkeys((row["kind"], row["device"]) for row in rows))
    for line in lines:
        _add(table, line, [row for row in rows if (row["kind"], row["device"]) == line], states)
    if len(lines) > 1:
        table.add_section()
        _add(table, ("all", ""), rows, states)
    console.print(table)


def _add(table: Table, line: tuple[str, str], rows: Sequence[Mapping[str, Any]], states: Sequence[AttemptState]) -> None:
    spent = {state: sum(row["seconds"] for row in rows if row["state"] == state) for state in states}
    of_state = [duration(seconds) if any(row["state"] == state for row in rows) else "" for state, seconds in spent.items()]
    table.add_row(*line, str(sum(row["attempts"] for row in rows)), *of_state, duration(sum(spent.values())))
