"""Trials and what their tasks reported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from moonas.outer.samplers.sampler import ENQUEUED
from moonas.study.metrics import COSTS
from moonas.terminal.parts import (
    console,
    metric_heading,
    number_text,
    other_metrics,
    titled_table,
    width_of,
)

if TYPE_CHECKING:
    from moonas.results.study import Study
    from moonas.store.records import TrialRecord


def trial_row(trial: TrialRecord, collapse: str | None, fallback: str | None, halved: str | None = None) -> dict[str, Any]:
    """A trial as one flat mapping.

    collapse: what became of its search, where that collapsed. fallback: why it was decoded by an earlier stage, where it was.
    halved: which of its tasks took half the batch, where any did.
    """
    return {
        "number": trial.number,
        "state": trial.state.value,
        "replicate": trial.replicate,
        **trial.params,
        **{f"user_attrs.{name}": value for name, value in trial.sampler_attrs.get("user_attrs", {}).items()},
        "metrics": trial.values or {},
        "violation": trial.violation,
        "reason": trial.reason,
        "collapse": collapse,
        "fallback": fallback,
        "halved": halved,
        "enqueued": bool(trial.sampler_attrs.get(ENQUEUED)),
    }


def print_trials(study: Study, rows: Sequence[Mapping[str, Any]]) -> None:
    """Trials in the order of their numbers."""
    settings = list(dict.fromkeys(key for row in rows for key in row if key.startswith("setting.")))
    table = titled_table(f"trials of {study.name}")
    of_networks = ("budget", "width") if study.finds_networks else ()
    for heading in ("trial", "state", "method", *of_networks, "repl.", *(key.removeprefix("setting.") for key in settings)):
        table.add_column(heading, justify="right" if heading in ("trial", "repl.") else "left")
    metrics = [*(("accuracy", *COSTS) if study.finds_networks else ()), *other_metrics(study)]
    for name in metrics:
        table.add_column(metric_heading(name), justify="right")
    table.add_column("remarks")
    for row in rows:
        values = [row["metrics"].get(name) for name in metrics]
        network = [row["budget"], width_of(row)] if study.finds_networks else []
        fixed = [str(row["number"]), row["state"], row["method"], *network, str(row["replicate"])]
        chosen = ["" if key not in row else number_text(row[key]) for key in settings]
        told = [row[key] for key in ("reason", "collapse", "fallback", "halved") if row[key]]
        remarks = "; ".join(told + ["enqueued"] * row["enqueued"])
        table.add_row(*fixed, *chosen, *("" if v is None else number_text(v) for v in values), escape(remarks))
    console.print(table)


def log_rows(study: Study, number: int) -> list[dict[str, Any]]:
    """Everything a trial's tasks reported: their attempts, errors and epochs."""
    trial = study.store.trial(study.record.id, number)
    rows = []
    for task in study.store.tasks(study.record.id, trial=number):
        attempts = [
            {
                "worker": attempt.worker,
                "device": attempt.device,
                "state": attempt.state.value,
                "seconds": attempt.seconds,
                "reason": attempt.reason,
                "error": attempt.error,
            }
            for attempt in study.store.attempts(study.record.id, task_id=task.id)
        ]
        steps = [{"step": step.step, **step.metrics} for step in study.store.progress(task.id)]
        rows.append(
            {
                "trial": trial.number,
                "task": task.kind,
                "key": task.key,
                "state": task.state.value,
                "attempts": attempts,
                "steps": steps,
            }
        )
    return rows


def print_logs(study: Study, number: int) -> None:
    """The same for people."""
    trial = study.store.trial(study.record.id, number)
    params = ", ".join(f"{name.removeprefix('setting.')} {value}" for name, value in trial.params.items())
    console.print(f"[bold]trial {number}[/bold]  {trial.state.value}  {escape(params)}, replicate {trial.replicate}")
    if trial.reason:
        console.print(Text(trial.reason, style="red"))
    for row in log_rows(study, number):
        console.print(f"\n[bold]{row['task']}[/bold] {row['key']}  {row['state']}")
        for attempt in row["attempts"]:
            seconds = "" if attempt["seconds"] is None else f", {attempt['seconds']:.1f} s"
            console.print(f"  {attempt['state'].lower()} on {attempt['device']} by {escape(attempt['worker'])}{seconds}")
            if attempt["reason"]:
                console.print(Text(f"  {attempt['reason']}\n{attempt['error'] or ''}".rstrip(), style="red"))
        if row["steps"]:
            names = [name for name in row["steps"][-1] if name != "step"]
            table = Table(box=None, padding=(0, 2))
            for name in ("epoch", *names):
                table.add_column(name, justify="right", header_style="dim")
            for step in row["steps"]:
                table.add_row(str(step["step"]), *("" if step.get(n) is None else f"{step[n]:.4g}" for n in names))
            console.print(table)
