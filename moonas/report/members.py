"""The front's members: a table to compare them, and a card for each with its cells, costs, metrics and genotype."""

from __future__ import annotations

from html import escape

from moonas.report import parts, text
from moonas.report.cells import draw_cell, legend
from moonas.report.parts import Cell
from moonas.report.records import Point, ReportData


def members_section(data: ReportData) -> str:
    """The table of members, the legend of operations, and the members' cards, cheapest first."""
    names = _metric_names(data)
    headers = ["network", "method", "budget", "trial", "width", *(text.metric_label(data, name) for name in names)]
    rows = [(f"row-{point.id}", _row(data, point, names)) for point in data.members]
    operations = (operation for p in data.members for edges in p.architecture.groups.values() for _, _, operation in edges)
    return (
        f'<div class="panel">{parts.table("Members of the front", headers, rows)}</div>'
        '<div class="panel member"><h3>Cells</h3><p class="note">A node adds up its inputs; the output joins the nodes that lead '
        f"to it. c(k−1) and c(k−2) are the two cells before.</p>{legend(operations)}</div>"
        + "".join(_card(data, point, names) for point in data.members)
    )


def _metric_names(data: ReportData) -> list[str]:
    """Known costs, then objectives, then the rest, such as test accuracy."""
    objectives = (objective.name for objective in data.objectives)
    measured = {name: None for point in data.members for name in point.metrics}
    return [name for name in dict.fromkeys((*data.known_costs, *objectives, *measured)) if name in measured]


def _row(data: ReportData, point: Point, names: list[str]) -> list[Cell]:
    return [
        Cell(f"<code>{parts.link(point.id, point.key)}</code>", point.key),
        Cell(parts.method(data, point.method), point.method),
        parts.word(text.budget(point.budget)),
        Cell(parts.link(f"trial-{point.trial}", str(point.trial)), point.trial, "number"),
        parts.count(point.skeleton.channels),
        *(parts.metric(name, point.metrics.get(name)) for name in names),
    ]


def _card(data: ReportData, point: Point, names: list[str]) -> str:
    numbers = "".join(
        f"<div><dt>{escape(text.metric_label(data, name))}</dt><dd>{text.measured(name, point.metrics.get(name))}</dd></div>"
        for name in names
    )
    cells = "".join(
        f'<figure class="cell-figure"><figcaption>{escape(group)} cell</figcaption>'
        f'<div class="scroll" tabindex="0" role="group" aria-label="{escape(group)} cell of {escape(point.key)}">'
        f"{draw_cell(edges, point.architecture.concat.get(group, ()), title=f'{group} cell')}</div></figure>"
        for group, edges in point.architecture.groups.items()
    )
    trained = ("mean of " if point.replicates > 1 else "") + text.counted(point.replicates, "evaluation")
    return (
        f'<article class="panel member" id="{point.id}" tabindex="-1"><header><h3><code>{escape(point.key)}</code></h3>'
        f"<p>{parts.method(data, point.method)}, {parts.link(f'trial-{point.trial}', f'trial {point.trial}')}"
        f" · budget: {escape(text.budget(point.budget))} · {point.skeleton.channels} channels, {point.skeleton.cells} cells"
        f" · {trained}</p></header>"
        f'<dl class="metrics">{numbers}</dl><div class="cells">{cells}</div>'
        f'<div class="genotype"><details><summary>Genotype</summary><code>{escape(point.architecture.to_text())}</code></details>'
        '<button type="button">Copy</button></div></article>'
    )
