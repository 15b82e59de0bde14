"""What the command line prints: tables, errors, one network."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from moonas.specs import device_text
from moonas.store.states import TrialState
from moonas.study.metrics import COSTS, METRICS

if TYPE_CHECKING:
    from moonas.comparison import Comparison
    from moonas.results import Measured, Network, Study
    from moonas.store.records import TrialRecord

console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
errors = Console(stderr=True, highlight=False)


def print_error(message: str) -> None:
    """One message on standard error."""
    errors.print(Text("error: ", style="bold red") + Text(message), soft_wrap=True)


def print_outcome(study: Study) -> bool:
    """The end of a run: the front, and where to go from here. False where every trial failed."""
    print_front(study, study.front())
    print_race(study)
    failed = [trial.number for trial in study.trials() if trial.state is TrialState.FAIL]
    if failed:
        console.print(f"{_count(len(failed), 'trial')} failed, first trial {failed[0]}: moonas logs {study.name} {failed[0]}")
    reason = study.store.state_note(study.record.id)
    state = f"{study.state.value}: {escape(reason)}" if reason else study.state.value
    console.print(f"state {state}; the report: [bold]moonas report {study.name}[/bold]")
    return not failed or len(failed) < len(study.trials())


def print_race(study: Study) -> None:
    """What each method of a study alone added, and what it cost; nothing where there is one method only."""
    from moonas.race import race

    runners = race(study)
    if len(runners) < 2 or not any(runner.complete for runner in runners):
        return
    table = _table("methods: what each alone adds to the front")
    table.add_column("method", no_wrap=True)
    headings = (
        "trials",
        "networks",
        "mean accuracy",
        "hypervolume",
        "exclusive",
        "device-hours",
        "per hour",
        "collapsed",
        "missed",
    )
    for heading in headings:
        table.add_column(heading, justify="right")
    for runner in runners:
        table.add_row(
            escape(runner.method),
            str(runner.complete),
            str(runner.networks),
            "" if runner.accuracy is None else f"{runner.accuracy:.4f}",
            f"{runner.hypervolume:.4f}",
            f"{runner.exclusive:.5f}",
            f"{runner.device_hours:.3f}",
            "" if runner.exclusive_per_hour is None else f"{runner.exclusive_per_hour:.4f}",
            str(runner.collapses),
            str(runner.misses),
        )
    console.print(table)


def print_front(study: Study, members: Sequence[Network], number: int | None = None) -> None:
    """A front, the cheapest network first: the present one, or front `number` of the history."""
    step = study.front_step(number)
    if not members or step is None:
        return print_infeasibility(study)
    which = f"front {number}" if number is not None else "Pareto front"
    table = _table(f"{which} of {study.name}: {_count(len(members), 'network')}, hypervolume {step.hypervolume:.4f}")
    settings = list(dict.fromkeys(name for member in members for name in member.settings))
    facts = {
        "key": lambda member: member.key[:8],
        "method": lambda member: member.method,
        "budget": lambda member: _budget(member.budget),
        "trial": lambda member: str(member.trial),
        "width": lambda member: f"{member.skeleton.channels}×{member.skeleton.cells}",
    }
    if not study.finds_networks:
        facts = {name: facts[name] for name in ("method", "trial")}
    for heading in (*facts, *settings):
        table.add_column(heading, justify="right" if heading in ("trial", *settings) else "left", no_wrap=True)
    metrics = [*(("accuracy", "test_accuracy", *COSTS) if study.finds_networks else ()), *_other_metrics(study)]
    for name in metrics:
        table.add_column(_heading(name), justify="right", no_wrap=True)
    for member in members:
        table.add_row(
            *(fact(member) for fact in facts.values()),
            *(number_text(member.settings[name]) for name in settings),
            *(_measured(member.metrics.get(name)) for name in metrics),
        )
    console.print(table)


def print_infeasibility(study: Study) -> None:
    """Why a study has no front: nothing is known yet, or what came closest and which constraints are in the way."""
    from moonas.infeasible import infeasibility

    found = infeasibility(study)
    if found is None:
        console.print(f"study {escape(study.name)} has no front yet: nothing was measured")
        return
    console.print(f"study {escape(study.name)} has no front: none of {_count(found.networks, 'network')} meets all constraints")
    table = _table("constraints")
    table.add_column("constraint")
    for heading in ("missed by", "as their only one"):
        table.add_column(heading, justify="right")
    for obstacle in found.obstacles:
        table.add_row(str(obstacle.bound), str(obstacle.excluded), str(obstacle.alone))
    console.print(table)
    names = list(dict.fromkeys(bound.metric for bound in study.config.constraints))
    table = _table("closest networks")
    for heading in ("key", "method", "trial", "width", *map(_heading, names), "violation", "would be admitted by"):
        table.add_column(heading, justify="left" if heading in ("key", "method", "width", "would be admitted by") else "right")
    for misfit in found.closest:
        table.add_row(
            misfit.key[:8],
            escape(misfit.method),
            str(misfit.trial),
            f"{misfit.skeleton.channels}×{misfit.skeleton.cells}",
            *(number_text(misfit.metrics[name]) if name in misfit.metrics else "" for name in names),
            f"{misfit.violation:.3g}",
            ", ".join(map(str, misfit.relaxed)) + ("" if misfit.trained else " (not trained)"),
        )
    console.print(table)
    for line in found.admissions:
        console.print(line, soft_wrap=True, markup=False)


def print_comparison(found: Comparison) -> None:
    """Several studies over one box, and what makes their numbers hard to compare."""
    table = _table(f"fronts over one box: together hypervolume {found.union:.4f}")
    table.add_column("study", no_wrap=True)
    names = [standing.study for standing in found.standings]
    for heading in ("members", "in the union", "hypervolume", "exclusive", *(f"covers {name}" for name in names)):
        table.add_column(escape(heading), justify="right")
    for standing in found.standings:
        table.add_row(
            escape(standing.study),
            str(standing.members),
            str(standing.in_union),
            f"{standing.hypervolume:.4f}",
            f"{standing.exclusive:.5f}",
            *("" if name not in standing.covers else f"{standing.covers[name]:.0%}" for name in names),
        )
    console.print(table)
    corners = ", ".join(
        f"{_heading(name)} {number_text(found.ideal[name])} to {number_text(at)}" for name, at in found.reference.items()
    )
    console.print(f"box: {corners}")
    for text in found.differences:
        console.print(Text(f"differs: {text}", style="yellow"), soft_wrap=True)


def print_studies(rows: Sequence[Mapping[str, Any]]) -> None:
    """All studies of a database."""
    if not rows:
        console.print("no studies yet; run one with: moonas run STUDY.yaml")
        return
    table = _table("studies")
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

    infeasible = infeasibility(study)
    history = study.front_history()
    counts: dict[str, int] = {}
    for trial in study.trials():
        counts[trial.state.value] = counts.get(trial.state.value, 0) + 1
    return {
        "name": study.name,
        "state": study.state.value,
        "reason": study.store.state_note(study.record.id),
        "driven_by": study.record.lease_holder,
        "created": study.record.created,
        "version": study.record.version,
        "trials": counts,
        "collapsed": list(study.collapses()),
        "methods": [runner.to_json() for runner in race(study)],
        "front": len(study.front()),
        "infeasible": infeasible.to_json() if infeasible else None,
        "architectures": len(study.archive()),
        "hypervolume": history[-1].hypervolume if history else None,
        "device_hours": study.store.device_seconds(study.record.id) / 3600,
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
        ("trials", ", ".join(f"{count} {name.lower()}" for name, count in found["trials"].items()) or "none yet"),
        ("architectures", str(found["architectures"])),
        ("data", study.config.data.name),
        ("methods", ", ".join(method.label for method in study.config.methods)),
        ("budgets", "; ".join(map(_budget, study.plan.budgets))),
        ("collapsed", f"the searches of {len(collapsed)} trials; see: moonas trials {study.name}" if collapsed else "no search"),
        *([("history", _history(study))] if study.config.history else []),
        ("protocol", study.config.protocol.name),
        ("device-hours", f"{found['device_hours']:.3f}"),
        ("created", f"{datetime.fromtimestamp(found['created']):%Y-%m-%d %H:%M} by moonas {found['version']}"),
    ):
        facts.add_row(Text(label, style="dim"), value)
    console.print(Text(study.name, style="bold"))
    console.print(facts)
    print_front(study, study.front())
    print_race(study)


def _history(study: Study) -> str:
    """What the sampler knew before the first trial."""
    return ", ".join(f"{_count(len(past.trials or ()), 'trial')} of {past}" for past in study.config.history)


def trial_row(trial: TrialRecord, collapse: str | None, fallback: str | None) -> dict[str, Any]:
    """A trial as one flat mapping.

    collapse: what became of its search, where that collapsed. fallback: why it was decoded by an earlier stage, where it was.
    """
    return {
        "number": trial.number,
        "state": trial.state.value,
        "replicate": trial.replicate,
        **trial.params,
        "metrics": trial.values or {},
        "violation": trial.violation,
        "reason": trial.reason,
        "collapse": collapse,
        "fallback": fallback,
    }


def print_trials(study: Study, rows: Sequence[Mapping[str, Any]]) -> None:
    """Trials in the order of their numbers."""
    settings = list(dict.fromkeys(key for row in rows for key in row if key.startswith("setting.")))
    table = _table(f"trials of {study.name}")
    of_networks = ("budget", "width") if study.finds_networks else ()
    for heading in ("trial", "state", "method", *of_networks, "repl.", *(key.removeprefix("setting.") for key in settings)):
        table.add_column(heading, justify="right" if heading in ("trial", "repl.") else "left")
    metrics = [*(("accuracy", *COSTS) if study.finds_networks else ()), *_other_metrics(study)]
    for name in metrics:
        table.add_column(_heading(name), justify="right")
    table.add_column("remarks")
    for row in rows:
        values = [row["metrics"].get(name) for name in metrics]
        network = [row["budget"], _width(row)] if study.finds_networks else []
        fixed = [str(row["number"]), row["state"], row["method"], *network, str(row["replicate"])]
        chosen = ["" if key not in row else number_text(row[key]) for key in settings]
        remarks = "; ".join(row[key] for key in ("reason", "collapse", "fallback") if row[key])
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
            if attempt["error"]:
                console.print(Text(f"  {attempt['reason']}\n{attempt['error']}".rstrip(), style="red"))
        if row["steps"]:
            names = [name for name in row["steps"][-1] if name != "step"]
            table = Table(box=None, padding=(0, 2))
            for name in ("epoch", *names):
                table.add_column(name, justify="right", header_style="dim")
            for step in row["steps"]:
                table.add_row(str(step["step"]), *("" if step.get(n) is None else f"{step[n]:.4g}" for n in names))
            console.print(table)


def print_network(study: Study, network: Network) -> None:
    """One network: its cells, costs, measurements and where it came from."""
    skeleton = network.skeleton
    place = f"{'on the front of' if network.on_front else 'in'} {escape(study.name)}"
    origin = f"trial {network.trial}, {network.method}"
    if study.finds_networks:
        origin += f", budget {_budget(network.budget)}, {skeleton.channels} channels, {skeleton.cells} cells"
    origin += "".join(f", {name} {number_text(value)}" for name, value in network.settings.items())
    console.print(f"[bold]{network.key}[/bold]  {place}: {origin}" if study.finds_networks else f"{place}: {origin}")
    facts = Table.grid(padding=(0, 2))
    for name, measured in network.metrics.items():
        facts.add_row(
            Text(name, style="dim"), Text(_measured(measured), justify="right"), Text(_origin(name, measured), style="dim")
        )
    console.print(facts)
    if not study.finds_networks:
        return
    from moonas.spaces.space import space_of

    groups = space_of(network.architecture).groups
    for group, edges in network.architecture.groups.items():
        console.print(f"\n[bold]{group}[/bold]")
        for node in sorted({node for node, _, _ in edges}):
            terms = [f"{operation}({_node(p, groups[group].inputs)})" for n, p, operation in edges if n == node]
            console.print(f"  node {node} = {'  +  '.join(terms)}", soft_wrap=True)
        for _, source, operation in network.architecture.links.get(group, ()):
            console.print(f"  {_node(source, groups[group].inputs)} comes by {operation}", soft_wrap=True)
    console.print(f"\n{network.architecture.to_text()}\n", soft_wrap=True, markup=False)


def print_decoded(rows: Sequence[Mapping[str, Any]]) -> None:
    """What one search decodes to at each budget and size."""
    table = _table("decoded architectures")
    for heading in ("budget", "width", "key", "params", "mult-adds"):
        table.add_column(heading, justify="right" if heading in ("params", "mult-adds") else "left")
    for row in rows:
        table.add_row(row["budget"], _width(row), row["key"][:8], number_text(row["params"]), number_text(row["macs"]))
    console.print(table)
    for row in rows:
        from moonas.architecture import Architecture

        console.print(f"{row['key'][:8]}  {Architecture.from_json(row['genotype']).to_text()}", soft_wrap=True, markup=False)


def print_device_table(table: Mapping[str, Any], path: str) -> None:
    """What a fitted device table predicts, and how well."""
    console.print(f"{path}: {table['metric']} on {device_text(table['device'])}", markup=False)
    shown = _table("networks held out of the fit")
    for heading in ("width", "fitted to", "held out", "mean error", "rank correlation", "spread of one network"):
        shown.add_column(heading, justify="left" if heading == "width" else "right")
    for fitted in table["skeletons"]:
        fit = fitted["fit"]
        numbers = (f"{fit['networks']:.0f}", f"{fit['held_out']:.0f}", f"{fit['error']:.1%}", f"{fit['rank_correlation']:.3f}")
        shown.add_row(_width(fitted["skeleton"]), *numbers, f"{fit['spread']:.1%}")
    console.print(shown)


def print_preview(found: Mapping[str, Any]) -> None:
    """What a study would do."""
    console.print(
        f"[bold]{found['name']}[/bold]: {_count(found['trials'], 'trial')}, "
        f"{_count(found['searches'], 'distinct search', 'distinct searches')}, "
        f"at most {_count(found['evaluations'], 'evaluation')}; sampler {found['sampler']}"
    )
    if found["asked"] < found["trials"]:
        console.print(
            f"[dim]searches and times by the first {found['asked']} trials: the sampler asks the others by the results[/dim]"
        )
    table = _table("budgets")
    for heading in ("budget", "width", *(_heading(name) for name in found["spans"]), "architectures"):
        table.add_column(heading, justify="left" if heading in ("budget", "width") else "right")
    left_out = [row for row in found["budgets"] if row["left_out"]]
    for row in found["budgets"]:
        if row not in left_out:
            spans = [f"{row[name][0]:,} to {row[name][1]:,}" for name in found["spans"]]
            number = row["architectures"]
            count = "too many to count" if number is None else f"{number:.3g}" if number > 1e6 else f"{number:,}"
            table.add_row(row["budget"], _width(row), *spans, count)
    console.print(table)
    for row in left_out:
        console.print(Text(f"left out: {row['budget']} at {_width(row)}: {row['left_out']}", style="yellow"))
    if "estimate" in found:
        estimate = found["estimate"]
        console.print(
            f"about {duration(estimate['seconds'])} on {estimate['slots']} slots ({estimate['device']}), "
            f"{estimate['memory_mib']:,.0f} MiB per slot at most"
        )
        for name, seconds in estimate["parts"].items():
            console.print(f"  [dim]{name}[/dim] {duration(seconds)}")


def _table(title: str) -> Table:
    return Table(title=escape(title), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1))


def _budget(budget: Mapping[str, Mapping[str, int]] | None) -> str:
    from moonas.study.budgets import budget_text

    return budget_text(budget)


def _measured(measured: Measured | None) -> str:
    if measured is None:
        return ""
    return number_text(measured.value) + (f" ±{measured.error:.4f}" if measured.error is not None else "")


def _other_metrics(study: Study) -> list[str]:
    """What the tables show besides accuracies and exact costs: the study's further metrics."""
    asked = [*(o.metric for o in study.config.objectives), *(c.metric for c in study.config.constraints)]
    further = [*study.plan.measured, *(table.name for table in study.config.device_tables), *asked]
    return [name for name in dict.fromkeys(further) if name not in ("accuracy", "test_accuracy", *COSTS)]


def _heading(name: str) -> str:
    """A metric as a column is called."""
    short = {"params": "params", "macs": "mult-adds", "accuracy": "accuracy", "test_accuracy": "test"}
    return short.get(name) or escape(METRICS[name].heading)


def _origin(name: str, measured: Measured) -> str:
    """How a value was come by."""
    if measured.protocol is None:
        return "by a device table" if METRICS[name].predicts else "exact"
    if measured.device is None:
        return f"{measured.protocol}, {measured.replicates} measured"
    spread = "" if measured.spread is None else f", interquartile range {number_text(measured.spread)}"
    return f"{measured.protocol} on {device_text(measured.device)}{spread}"


def number_text(value: Any) -> str:
    """A number as people read it: thousands separated, four digits behind the point."""
    if isinstance(value, int):
        return f"{value:,}"
    return (
        f"{value:.4f}"
        if isinstance(value, float) and 1e-3 <= abs(value) < 1e4
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _width(row: Mapping[str, Any]) -> str:
    """Channels and cells."""
    return f"{row['channels']}×{row['cells']}"


def _node(number: int, inputs: int) -> str:
    if number >= inputs:
        return str(number)
    return f"c(k-{inputs - number})" if inputs > 1 else "input"


def duration(seconds: float) -> str:
    """Hours and minutes, minutes and seconds, or seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
