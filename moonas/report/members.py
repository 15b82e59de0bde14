"""The front's members: a table to compare them, and a card for each with its cells, costs, metrics and genotype."""

from __future__ import annotations

from html import escape

from moonas.architecture import Architecture
from moonas.report import parts, text
from moonas.report.cells import draw_cell, legend, operation_text
from moonas.report.parts import Cell
from moonas.report.records import Point, ReportData
from moonas.spaces.space import space_of


def members_section(data: ReportData) -> str:
    """The table of members, the legend of operations, and the members' cards, cheapest first; of functions the table alone."""
    names = _metric_names(data)
    settings = list(dict.fromkeys(name for point in data.members for name in point.settings))
    metrics = [text.metric_label(data, name) for name in names]
    if not any(point.architecture.groups for point in data.members):
        rows = [(point.id, [*_origin(data, point), *_chosen(point, settings, names)]) for point in data.members]
        return f'<div class="panel">{parts.table("Members of the front", ["method", "trial", *settings, *metrics], rows)}</div>'
    headers = ["network", "method", "budget", "trial", "width", *settings, *metrics]
    rows = [(f"row-{point.id}", _row(data, point, settings, names)) for point in data.members]
    edges = (edge for point in data.members for group in point.architecture.groups.values() for edge in group)
    operations = (operation for _, _, operation in edges if operation != "none")
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


def _row(data: ReportData, point: Point, settings: list[str], names: list[str]) -> list[Cell]:
    method, trial = _origin(data, point)
    return [
        Cell(f"<code>{parts.link(point.id, point.key)}</code>", point.key),
        method,
        parts.word(text.budget(point.budget)),
        trial,
        parts.count(point.skeleton.channels),
        *_chosen(point, settings, names),
    ]


def _origin(data: ReportData, point: Point) -> tuple[Cell, Cell]:
    """Its method and its trial."""
    trial = Cell(parts.link(f"trial-{point.trial}", str(point.trial)), point.trial, "number")
    return Cell(parts.method(data, point.method), point.method), trial


def _chosen(point: Point, settings: list[str], names: list[str]) -> list[Cell]:
    """Its settings and what came of them."""
    values = [point.settings.get(name, "") for name in settings]
    told = [Cell(escape(text.setting(value)), value, "number") for value in values]
    return [*told, *(parts.metric(name, point.metrics.get(name)) for name in names)]


def _card(data: ReportData, point: Point, names: list[str]) -> str:
    numbers = "".join(
        f"<div><dt>{escape(text.metric_label(data, name))}</dt><dd>{text.measured(name, point.metrics.get(name))}</dd></div>"
        for name in names
    )
    cells = "".join(
        f'<figure class="cell-figure"><figcaption>{escape(group_title(group))}</figcaption>'
        f'<div class="scroll" tabindex="0" role="group" aria-label="{escape(group_title(group))} of {escape(point.key)}">'
        f"{drawing(point.architecture, group)}</div>{_links(point.architecture, group)}</figure>"
        for group in point.architecture.groups
    )
    trained = ("mean of " if point.replicates > 1 else "") + text.counted(point.replicates, "evaluation")
    settings = "".join(f" · {escape(name)} {escape(text.setting(value))}" for name, value in point.settings.items())
    return (
        f'<article class="panel member" id="{point.id}" tabindex="-1"><header><h3><code>{escape(point.key)}</code></h3>'
        f"<p>{parts.method(data, point.method)}, {parts.link(f'trial-{point.trial}', f'trial {point.trial}')}"
        f" · budget: {escape(text.budget(point.budget))} · {point.skeleton.channels} channels, {point.skeleton.cells} cells"
        f"{settings} · {trained}</p></header>"
        f'<dl class="metrics">{numbers}</dl><div class="cells">{cells}</div>'
        f'<div class="genotype"><details><summary>Genotype</summary><code>{escape(point.architecture.to_text())}</code></details>'
        '<button type="button">Copy</button></div></article>'
    )


def drawing(architecture: Architecture, group: str) -> str:
    """The cell of a group as SVG, without the edges that carry nothing."""
    edges = [edge for edge in architecture.groups[group] if edge[2] != "none"]
    inputs = space_of(architecture).groups[group].inputs
    return draw_cell(edges, architecture.concat.get(group, ()), inputs, group_title(group))


def _links(architecture: Architecture, group: str) -> str:
    """By what the inputs of a cell come, where a connection cell was chosen."""
    edges = architecture.links.get(group, ())
    told = ", ".join(f"c(k−{len(edges) - source}) by {operation_text(name)}" for _, source, name in edges)
    return f'<p class="note">{escape(told)}</p>' if edges else ""


def group_title(group: str) -> str:
    """What a group of cells is called."""
    return group if group == "cell" else f"{group} cell"
