"""Networks: one that was measured, and what a single search decodes to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from moonas.specs import device_text
from moonas.study.metrics import METRICS
from moonas.terminal.parts import (
    budget_shown,
    console,
    measured_text,
    number_text,
    titled_table,
    width_of,
)

if TYPE_CHECKING:
    from moonas.results.networks import Measured, Network
    from moonas.results.study import Study


def print_network(study: Study, network: Network) -> None:
    """One network: its cells, costs, measurements and where it came from."""
    skeleton = network.skeleton
    place = f"{'on the front of' if network.on_front else 'in'} {escape(study.name)}"
    origin = f"trial {network.trial}, {network.method}"
    if study.finds_networks:
        origin += f", budget {budget_shown(network.budget)}, {skeleton.channels} channels, {skeleton.cells} cells"
    origin += "".join(f", {name} {number_text(value)}" for name, value in network.settings.items())
    console.print(f"[bold]{network.key}[/bold]  {place}: {origin}" if study.finds_networks else f"{place}: {origin}")
    facts = Table.grid(padding=(0, 2))
    for name, measured in network.metrics.items():
        facts.add_row(
            Text(name, style="dim"), Text(measured_text(measured), justify="right"), Text(_origin(name, measured), style="dim")
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
    table = titled_table("decoded architectures")
    for heading in ("budget", "width", "key", "params", "mult-adds"):
        table.add_column(heading, justify="right" if heading in ("params", "mult-adds") else "left")
    for row in rows:
        table.add_row(row["budget"], width_of(row), row["key"][:8], number_text(row["params"]), number_text(row["macs"]))
    console.print(table)
    for row in rows:
        from moonas.architecture import Architecture

        console.print(f"{row['key'][:8]}  {Architecture.from_json(row['genotype']).to_text()}", soft_wrap=True, markup=False)


def _origin(name: str, measured: Measured) -> str:
    """How a value was come by."""
    if measured.protocol is None:
        return "by a device table" if METRICS[name].predicts else "exact"
    if measured.device is None:
        halved = f", {measured.halved} with half the batch" if measured.halved else ""
        return f"{measured.protocol}, {measured.replicates} measured{halved}"
    spread = "" if measured.spread is None else f", interquartile range {number_text(measured.spread)}"
    return f"{measured.protocol} on {device_text(measured.device)}{spread}"


def _node(number: int, inputs: int) -> str:
    if number >= inputs:
        return str(number)
    return f"c(k-{inputs - number})" if inputs > 1 else "input"
