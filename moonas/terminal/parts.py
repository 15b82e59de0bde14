"""What the tables and texts of the command line are put together from."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from moonas.study.metrics import COSTS, METRICS

if TYPE_CHECKING:
    from moonas.results.networks import Measured
    from moonas.results.study import Study

console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
errors = Console(stderr=True, highlight=False)


def print_error(message: str) -> None:
    """One message on standard error."""
    errors.print(Text("error: ", style="bold red") + Text(message), soft_wrap=True)


def titled_table(title: str) -> Table:
    return Table(title=escape(title), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1))


def budget_shown(budget: Mapping[str, Mapping[str, int]] | None) -> str:
    from moonas.study.budgets import budget_text

    return budget_text(budget)


def measured_text(measured: Measured | None) -> str:
    if measured is None:
        return ""
    return number_text(measured.value) + (f" ±{measured.error:.4f}" if measured.error is not None else "")


def other_metrics(study: Study) -> list[str]:
    """What the tables show besides accuracies and exact costs: the study's further metrics."""
    asked = [*(o.metric for o in study.config.objectives), *(c.metric for c in study.config.constraints)]
    further = [*study.plan.measured, *(table.name for table in study.config.device_tables), *asked]
    return [name for name in dict.fromkeys(further) if name not in ("accuracy", "test_accuracy", *COSTS)]


def metric_heading(name: str) -> str:
    """A metric as a column is called."""
    short = {"params": "params", "macs": "mult-adds", "accuracy": "accuracy", "test_accuracy": "test"}
    return short.get(name) or escape(METRICS[name].heading)


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


def counted(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def width_of(row: Mapping[str, Any]) -> str:
    """Channels and cells."""
    return f"{row['channels']}×{row['cells']}"


def duration(seconds: float) -> str:
    """Hours and minutes, minutes and seconds, or seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
