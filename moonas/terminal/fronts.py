"""Fronts: of one study, why it has none, of several studies, and what each method added."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.text import Text

from moonas.study.metrics import COSTS
from moonas.terminal.parts import (
    budget_shown,
    console,
    counted,
    measured_text,
    metric_heading,
    number_text,
    other_metrics,
    titled_table,
)

if TYPE_CHECKING:
    from moonas.comparison import Comparison
    from moonas.results.networks import Network
    from moonas.results.study import Study


def print_front(study: Study, members: Sequence[Network], number: int | None = None) -> None:
    """A front, the cheapest network first: the present one, or front `number` of the history."""
    step = study.front_step(number)
    if not members or step is None:
        return print_infeasibility(study)
    which = f"front {number}" if number is not None else "Pareto front"
    table = titled_table(f"{which} of {study.name}: {counted(len(members), 'network')}, hypervolume {step.hypervolume:.4f}")
    settings = list(dict.fromkeys(name for member in members for name in member.settings))
    facts = {
        "key": lambda member: member.key[:8],
        "method": lambda member: member.method,
        "budget": lambda member: budget_shown(member.budget),
        "trial": lambda member: str(member.trial),
        "width": lambda member: f"{member.skeleton.channels}×{member.skeleton.cells}",
    }
    if not study.finds_networks:
        facts = {name: facts[name] for name in ("method", "trial")}
    for heading in (*facts, *settings):
        table.add_column(heading, justify="right" if heading in ("trial", *settings) else "left", no_wrap=True)
    metrics = [*(("accuracy", "test_accuracy", *COSTS) if study.finds_networks else ()), *other_metrics(study)]
    for name in metrics:
        table.add_column(metric_heading(name), justify="right", no_wrap=True)
    for member in members:
        table.add_row(
            *(fact(member) for fact in facts.values()),
            *(number_text(member.settings.get(name, "")) for name in settings),
            *(measured_text(member.metrics.get(name)) for name in metrics),
        )
    console.print(table)


def print_infeasibility(study: Study) -> None:
    """Why a study has no front: nothing is known yet, or what came closest and which constraints are in the way."""
    from moonas.infeasible import infeasibility

    found = infeasibility(study)
    if found is None:
        console.print(f"study {escape(study.name)} has no front yet: nothing was measured")
        return
    console.print(f"study {escape(study.name)} has no front: none of {counted(found.networks, 'network')} meets all constraints")
    table = titled_table("constraints")
    table.add_column("constraint")
    for heading in ("missed by", "as their only one"):
        table.add_column(heading, justify="right")
    for obstacle in found.obstacles:
        table.add_row(str(obstacle.bound), str(obstacle.excluded), str(obstacle.alone))
    console.print(table)
    names = list(dict.fromkeys(bound.metric for bound in study.config.constraints))
    table = titled_table("closest networks")
    for heading in ("key", "method", "trial", "width", *map(metric_heading, names), "violation", "would be admitted by"):
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
    table = titled_table(f"fronts over one box: together hypervolume {found.union:.4f}")
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
        f"{metric_heading(name)} {number_text(found.ideal[name])} to {number_text(at)}" for name, at in found.reference.items()
    )
    console.print(f"box: {corners}")
    for text in found.differences:
        console.print(Text(f"differs: {text}", style="yellow"), soft_wrap=True)


def print_race(study: Study) -> None:
    """What each method of a study alone added, and what it cost; nothing where there is one method only."""
    from moonas.race import race

    runners = race(study)
    pruned = any(runner.pruned for runner in runners)
    if len(runners) < 2 or not any(runner.complete for runner in runners):
        return
    table = titled_table("methods: what each alone adds to the front")
    table.add_column("method", no_wrap=True)
    headings = (
        "trials",
        *["pruned"] * pruned,
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
            *[str(runner.pruned)] * pruned,
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
