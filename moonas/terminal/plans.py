"""Before and beside studies: what one would do, and what predicts latency or energy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.text import Text

from moonas.specs import device_text
from moonas.terminal.parts import (
    console,
    counted,
    duration,
    metric_heading,
    titled_table,
    width_of,
)


def print_preview(found: Mapping[str, Any]) -> None:
    """What a study would do."""
    console.print(
        f"[bold]{found['name']}[/bold]: {counted(found['trials'], 'trial')}, "
        f"{counted(found['searches'], 'distinct search', 'distinct searches')}, "
        f"{'about' if len(found['rungs']) > 1 else 'at most'} {counted(found['evaluations'], 'evaluation')}; "
        f"sampler {found['sampler']}"
    )
    if len(found["rungs"]) > 1:
        console.print(
            "promotion: " + ", then ".join(f"{rung['evaluations']} of {rung['epochs']} epochs" for rung in found["rungs"])
        )
    if found["asked"] < found["trials"]:
        console.print(
            f"[dim]searches and times by the first {found['asked']} trials: the sampler asks the others by the results[/dim]"
        )
    table = titled_table("budgets")
    for heading in ("budget", "width", *(metric_heading(name) for name in found["spans"]), "architectures"):
        table.add_column(heading, justify="left" if heading in ("budget", "width") else "right")
    left_out = [row for row in found["budgets"] if row["left_out"]]
    for row in found["budgets"]:
        if row not in left_out:
            spans = [f"{row[name][0]:,} to {row[name][1]:,}" for name in found["spans"]]
            number = row["architectures"]
            count = "too many to count" if number is None else f"{number:.3g}" if number > 1e6 else f"{number:,}"
            table.add_row(row["budget"], width_of(row), *spans, count)
    console.print(table)
    for row in left_out:
        console.print(Text(f"left out: {row['budget']} at {width_of(row)}: {row['left_out']}", style="yellow"))
    if "estimate" in found:
        estimate = found["estimate"]
        console.print(
            f"about {duration(estimate['seconds'])} on {estimate['slots']} slots ({estimate['device']}), "
            f"{estimate['memory_mib']:,.0f} MiB per slot at most"
        )
        for name, seconds in estimate["parts"].items():
            console.print(f"  [dim]{name}[/dim] {duration(seconds)}")


def print_device_table(table: Mapping[str, Any], path: str) -> None:
    """What a fitted device table predicts, and how well."""
    console.print(f"{path}: {table['metric']} on {device_text(table['device'])}", markup=False)
    shown = titled_table("networks held out of the fit")
    for heading in ("width", "fitted to", "held out", "mean error", "rank correlation", "spread of one network"):
        shown.add_column(heading, justify="left" if heading == "width" else "right")
    for fitted in table["skeletons"]:
        fit = fitted["fit"]
        numbers = (f"{fit['networks']:.0f}", f"{fit['held_out']:.0f}", f"{fit['error']:.1%}", f"{fit['rank_correlation']:.3f}")
        shown.add_row(width_of(fitted["skeleton"]), *numbers, f"{fit['spread']:.1%}")
    console.print(shown)
