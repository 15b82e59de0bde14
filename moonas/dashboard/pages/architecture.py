"""One architecture: its cells, where its costs come from, every measurement, and how it came to be."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from dash import Dash, html

from moonas.architecture import Architecture
from moonas.dashboard.catalogue import Catalogue
from moonas.dashboard.components import Page, anchor, cards, code, grid, numeric, panel, study_address, trial_address
from moonas.dashboard.drawing import cell_pictures, legend
from moonas.dashboard.live import LiveStudy
from moonas.report import text
from moonas.report.cells import operation_text
from moonas.report.collect import outline
from moonas.report.members import group_title
from moonas.report.records import Value
from moonas.results.networks import Measured, Network
from moonas.spaces.breakdown import breakdown
from moonas.specs import device_text
from moonas.store.records import CandidateRecord, EvaluationRecord
from moonas.store.weights import weights_of
from moonas.study.budgets import parse_budget
from moonas.study.metrics import METRICS


def page(catalogue: Catalogue, query: dict[str, str], name: str, key: str) -> Page:
    """Everything about the one architecture whose key begins with `key`; each width and depth it was measured at in a panel."""
    live = catalogue.live(name)
    networks = live.study.networks_of(key)
    architecture, full = networks[0].architecture, networks[0].key
    drawn = [
        panel(cell_pictures(architecture), legend(architecture), downloads(live, architecture, full), title="Cells", note=_LEGEND)
    ] * live.study.finds_networks
    content = [
        html.Div([html.H1(full, className="key"), html.P(f"An architecture of {name}.", className="facts")], className="head"),
        *drawn,
        *[part for network in networks for part in network_parts(live, network, len(networks) > 1)],
        evaluations(live, full),
        provenance(live, full),
        panel(code(f"moonas arch {name} {full[:12]}"), title="On the command line"),
    ]
    return Page(full[:12], [(name, study_address(name))], content)


def register(app: Dash, catalogue: Catalogue) -> None:
    """Nothing on this page moves."""


_LEGEND = "A node adds up its inputs; the output joins the nodes that lead to it. c(k−1) and c(k−2) are the two cells before."


def downloads(live: LiveStudy, architecture: Architecture, key: str) -> Any:
    """The architecture as JSON and as the community's genotype text, and from the REST service the weights that are kept of it."""
    files = {
        f"{key[:12]}.json": ("JSON", "application/json", json.dumps(architecture.to_json(), indent=1)),
        f"{key[:12]}.txt": ("Genotype text", "text/plain", architecture.to_text()),
    }
    links = [
        html.A(label, href=f"data:{kind};charset=utf-8,{quote(content)}", download=file, className="download")
        for file, (label, kind, content) in files.items()
    ]
    if weights_are_kept(live, key):
        address = f"/api/v1/studies/{quote(live.name, safe='')}/architectures/{key}/weights.safetensors"
        links.append(html.A("Weights (safetensors)", href=address, download=f"{key[:12]}.safetensors", className="download"))
    shown = html.Details([html.Summary("Genotype"), html.Code(architecture.to_text())])
    return html.Div(
        [shown, html.Div([html.Span("Download", className="label"), *links], className="downloads")], className="genotype"
    )


def weights_are_kept(live: LiveStudy, key: str) -> bool:
    """Whether some training of the architecture has left its weights."""
    tasks = [one.task_id for one in live.store.evaluations(live.record.id, architectures=[key]) if one.task_id is not None]
    return bool(weights_of(live.store.database, tasks))


def network_parts(live: LiveStudy, network: Network, several: bool) -> list[Any]:
    """The metrics and the costs of the architecture at one width and depth."""
    data = outline(live.study)
    width = f"{network.skeleton.channels} channels, {network.skeleton.cells} cells"
    where = "On the front" if network.on_front else "Off the front"
    facts = [
        (
            text.metric_label(data, name),
            text.measured(name, Value(value=measured.value, error=measured.error)),
            came_by(name, measured),
        )
        for name, measured in network.metrics.items()
    ]
    settings = "".join(f", {name} {text.setting(value)}" for name, value in network.settings.items())
    head = panel(
        cards(facts), title=f"At {width}" if several or live.study.finds_networks else "Metrics", note=f"{where}{settings}."
    )
    return [head, costs(network)] if live.study.finds_networks else [head]


def came_by(name: str, measured: Measured) -> str:
    """How a value was come by, in short."""
    if measured.protocol is None:
        return "by a device table" if METRICS[name].predicts else "exact"
    if measured.device is None:
        return f"{measured.protocol.partition('-')[0]}, {text.counted(measured.replicates or 0, 'replicate')}"
    spread = "" if measured.spread is None else f", half within {text.number(name, measured.spread)}"
    return f"on {device_text(measured.device)}{spread}"


def costs(network: Network) -> Any:
    """Where parameters and multiply-adds come from: by cell and by operation."""
    pieces, rest = breakdown(network.architecture, network.skeleton)
    whole = {name: rest_of + sum(getattr(piece, name) for piece in pieces) for name, rest_of in rest._asdict().items()}
    cells: dict[str, list[int]] = {}
    operations: dict[str, list[int]] = {}
    for piece in pieces:
        place = f"{piece.cell}: {piece.group}, {piece.channels} channels"
        chosen = f"{operation_text(piece.operation)} in {group_title(piece.group)}"
        for table, row in ((cells, place), (operations, chosen)):
            found = table.setdefault(row, [0, 0])
            found[0] += piece.params
            found[1] += piece.macs
    operations = dict(sorted(operations.items(), key=lambda row: -row[1][0]))
    other = {"stem, preprocessing, classifier": [rest.params, rest.macs]}
    note = "Exact, without building the network. Bars are shares of all parameters."
    return html.Div(
        [
            panel(_shares("cell", {**cells, **other}, whole), title="Costs by cell", note=note),
            panel(
                _shares("operation", {**operations, **other}, whole),
                title="Costs by operation",
                note="Over all cells of their group.",
            ),
        ],
        className="columns",
    )


def _shares(heading: str, rows: dict[str, list[int]], whole: dict[str, int]) -> Any:
    head = html.Tr([html.Th(heading), html.Th("parameters", colSpan=2), html.Th("multiply-adds")])
    lines = [
        html.Tr(
            [
                html.Td(label),
                html.Td(html.Span(style={"width": f"{100 * params / max(1, whole['params']):.1f}%"}), className="bar-cell"),
                html.Td(f"{params:,}", className="number"),
                html.Td(f"{macs:,}", className="number"),
            ]
        )
        for label, (params, macs) in rows.items()
    ]
    total = html.Tr(
        [
            html.Th("all", colSpan=2),
            html.Th(f"{whole['params']:,}", className="number"),
            html.Th(f"{whole['macs']:,}", className="number"),
        ]
    )
    return html.Div(html.Table([html.Thead(head), html.Tbody(lines), html.Tfoot(total)]), className="scroll plain", tabIndex=0)


def evaluations(live: LiveStudy, key: str) -> Any:
    """Every measurement, by protocol and replicate."""
    found = live.store.evaluations(live.record.id, architectures=[key])
    names = list(dict.fromkeys(name for one in found for name in one.metrics if name in METRICS))
    columns = [
        {"field": "protocol", "headerName": "Protocol", "minWidth": 170, "flex": 1},
        numeric("replicate", "Replicate", "whole", 100),
        *[
            numeric(f"metric-{place}", METRICS[name].heading, "percent" if name in text.FRACTIONS else "number", 115)
            for place, name in enumerate(names)
        ],
        {"field": "device", "headerName": "Device", "minWidth": 200, "flex": 2, "tooltipField": "device"},
        {"field": "took", "headerName": "Took", "width": 120},
        numeric("when", "When", "moment", 120),
    ]
    rows = [_evaluation(one, names) for one in found]
    table = grid("evaluations", columns, rows, "id")
    note = "Of this study and of any other that met the architecture in the same database."
    return html.Section([html.H3("Evaluations"), html.P(note, className="note"), table], **{"aria-label": "Evaluations"})


def _evaluation(one: EvaluationRecord, names: Sequence[str]) -> dict[str, Any]:
    return {
        "id": str(one.id),
        "protocol": one.protocol,
        "replicate": one.replicate,
        "device": " ".join(str(one.device[part]) for part in ("type", "name") if part in one.device),
        "took": text.duration(one.seconds),
        "when": one.created,
        **{f"metric-{place}": one.metrics[name] for place, name in enumerate(names) if name in one.metrics},
    }


def provenance(live: LiveStudy, key: str) -> Any:
    """The trials that proposed it, and the versions it was measured with."""
    candidates = live.store.candidates(live.record.id, architectures=[key])
    trials = {trial.id: trial for trial in live.store.trials(live.record.id, architectures=[key])}
    columns = [
        {"field": "trial", "headerName": "Trial", "cellRenderer": "TrialLink", "width": 85},
        {"field": "method", "headerName": "Method", "minWidth": 120, "flex": 1},
        {"field": "budget", "headerName": "Budget", "minWidth": 150, "flex": 1},
        {"field": "width", "headerName": "Width", "width": 95},
        numeric("replicate", "Replicate", "whole", 100),
        {"field": "origin", "headerName": "Origin", "width": 100},
        numeric("score", "Score", "number", 100),
        {"field": "settings", "headerName": "Settings", "minWidth": 160, "flex": 2, "tooltipField": "settings"},
    ]
    rows = [
        {
            **_proposal(one, trials[one.trial_id].params, trials[one.trial_id].replicate),
            "trialHref": trial_address(live.name, one.trial),
        }
        for one in candidates
    ]
    versions: dict[str, str] = {"moonas (study)": live.record.version}
    for one in live.store.evaluations(live.record.id, architectures=[key]):
        versions |= {name: str(version) for name, version in one.versions.items()}
        versions |= {"data": one.data_checksum[:16]} if one.data_checksum else {}
    listed = html.Dl([part for name, told in versions.items() for part in (html.Dt(name), html.Dd(told))], className="versions")
    link = anchor(study_address(live.name), live.name)
    return html.Div(
        [
            html.Section([html.H3(["Trials of ", link, " that came to it"]), grid("proposals", columns, rows, "id")]),
            panel(listed, title="Versions"),
        ],
        className="column",
    )


def _proposal(one: CandidateRecord, params: dict[str, Any], replicate: int) -> dict[str, Any]:
    settings = {name.partition(".")[2]: value for name, value in params.items() if name.startswith("setting.")}
    return {
        "id": str(one.id),
        "trial": one.trial,
        "method": params["method"],
        "budget": text.budget(parse_budget(params["budget"])),
        "width": f"{params['channels']}×{params['cells']}",
        "replicate": replicate,
        "origin": one.origin,
        "score": one.score,
        "settings": ", ".join(f"{name} {text.setting(value)}" for name, value in settings.items()),
    }
