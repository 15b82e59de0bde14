"""Studies: a list of them, one, and the end of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from moonas.store.states import StudyState, TrialState
from moonas.terminal.accounts import ledger_rows, print_ledger
from moonas.terminal.fronts import print_front, print_race
from moonas.terminal.parts import (
    budget_shown,
    console,
    counted,
    duration,
    titled_table,
)

if TYPE_CHECKING:
    from moonas.results.study import Study
    from moonas.study.promotion import Promotion


def print_outcome(study: Study) -> bool:
    """The end of a run: the front, and where to go from here. False where it is complete and every trial failed."""
    from moonas.savings import savings

    print_front(study, study.front())
    print_race(study)
    failed = [trial.number for trial in study.trials() if trial.state is TrialState.FAIL]
    if failed:
        console.print(f"{counted(len(failed), 'trial')} failed, first trial {failed[0]}: moonas logs {study.name} {failed[0]}")
    if saved := savings(study):
        console.print(f"pruned {_saved(asdict(saved))}")
    reason = study.store.state_note(study.record.id)
    state = f"{study.state.value}: {escape(reason)}" if reason else study.state.value
    console.print(f"state {state}; the report: [bold]moonas report {study.name}[/bold]")
    if study.state is StudyState.COMPLETE:
        return not failed or len(failed) < len(study.trials())
    console.print(f"go on with: [bold]moonas resume {study.name}[/bold]")
    return True


def print_studies(rows: Sequence[Mapping[str, Any]]) -> None:
    """All studies of a database."""
    if not rows:
        console.print("no studies yet; run one with: moonas run STUDY.yaml")
        return
    table = titled_table("studies")
    for heading, side in (
        ("name", "left"),
        ("state", "left"),
        ("trials", "right"),
        ("failed", "right"),
        ("best accuracy", "right"),
    ):
        table.add_column(heading, justify=side)  # type: ignore[arg-type]
    table.add_column("last event")
    for row in rows:
        counts = row["trials"]
        when = f"{datetime.fromtimestamp(row['last_event']):%Y-%m-%d %H:%M}" if row["last_event"] else ""
        done = f"{counts.get('COMPLETE', 0)}/{sum(counts.values())}"
        accuracy = "" if row["accuracy"] is None else f"{row['accuracy']:.4f}"
        table.add_row(row["name"], row["state"], done, str(counts.get("FAIL", 0)), accuracy, when)
    console.print(table)


def summary(study: Study) -> dict[str, Any]:
    """A study in one mapping, as `moonas show --format json` prints it."""
    from moonas.infeasible import infeasibility
    from moonas.race import race
    from moonas.savings import savings

    infeasible, saved = infeasibility(study), savings(study)
    history = study.front_history()
    counts: dict[str, int] = {}
    for trial in study.trials():
        counts[trial.state.value] = counts.get(trial.state.value, 0) + 1
    return {
        "name": study.name,
        "state": study.state.value,
        "reason": study.store.state_note(study.record.id),
        "driven_by": study.record.lease_holder,
        "requests": [request.kind for request in study.store.requests(study.record.id)],
        "created": study.record.created,
        "version": study.record.version,
        "trials": counts,
        "collapsed": list(study.collapses()),
        "halved": list(study.halved()),
        "pruned": asdict(saved) if saved else None,
        "methods": [runner.to_json() for runner in race(study)],
        "front": len(study.front()),
        "infeasible": infeasible.to_json() if infeasible else None,
        "architectures": len(study.archive()),
        "hypervolume": history[-1].hypervolume if history else None,
        "device_hours": study.store.device_seconds(study.record.id) / 3600,
        "ledger": ledger_rows(study),
        "config": study.config.to_json(),
    }


def print_study(study: Study) -> None:
    """State, counts, budgets and the front."""
    found = summary(study)
    state = f"{found['state']}: {found['reason']}" if found["reason"] else found["state"]
    if state == "RUNNING" and not study.is_driven:
        state = f"RUNNING, but no process drives it; go on with: moonas resume {study.name}"
    facts = Table.grid(padding=(0, 2))
    collapsed = found["collapsed"]
    for label, value in (
        ("state", state),
        *([("asked for", f"{', '.join(found['requests'])}; not taken up yet")] if found["requests"] else []),
        ("trials", ", ".join(f"{count} {name.lower()}" for name, count in found["trials"].items()) or "none yet"),
        ("architectures", str(found["architectures"])),
        ("data", study.config.data.name),
        ("methods", ", ".join(method.label for method in study.config.methods)),
        ("budgets", "; ".join(map(budget_shown, study.plan.budgets))),
        ("collapsed", f"the searches of {len(collapsed)} trials; see: moonas trials {study.name}" if collapsed else "no search"),
        *(
            [("half the batch", f"{counted(len(found['halved']), 'trial')}; see: moonas trials {study.name}")]
            if found["halved"]
            else []
        ),
        *([("history", _history(study))] if study.config.history else []),
        ("protocol", study.config.protocol.name),
        *([("promotion", _promotion(study.config.promotion))] if study.config.promotion else []),
        *([("pruned", _saved(found["pruned"]))] if found["pruned"] else []),
        ("device-hours", f"{found['device_hours']:.3f}"),
        ("created", f"{datetime.fromtimestamp(found['created']):%Y-%m-%d %H:%M} by moonas {found['version']}"),
    ):
        facts.add_row(Text(label, style="dim"), value)
    console.print(Text(study.name, style="bold"))
    console.print(facts)
    print_front(study, study.front())
    print_race(study)
    print_ledger(found["ledger"])


def _promotion(promotion: Promotion) -> str:
    """What comes before the protocol."""
    return f"first {', then '.join(map(str, promotion.epochs))} epochs; one in {promotion.factor} goes on"


def _history(study: Study) -> str:
    """What the sampler knew before the first trial."""
    return ", ".join(f"{counted(len(past.trials or ()), 'trial')} of {past}" for past in study.config.history)


def _saved(pruned: Mapping[str, Any]) -> str:
    """What giving trainings up has saved."""
    return f"{counted(pruned['trainings'], 'training')}, which saved about {duration(pruned['saved'])} of device time"
