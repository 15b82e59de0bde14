"""What a study would do, as the service's plan tells it: how many trials, and what each budget reaches at each size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dash import html

from moonas.dashboard.components import cards
from moonas.report import text
from moonas.study.metrics import METRICS


def plan(found: Mapping[str, Any], pace: Mapping[str, Any] | None) -> list[Any]:
    """found: the answer of the service. pace: {name, seconds}: what trials of the study that this one starts from have taken."""
    drawn = "" if found["asked"] == found["trials"] else f"scaled from the first {found['asked']:,}"
    facts = [
        ("Trials", f"{found['trials']:,}", f"by the sampler {found['sampler']}"),
        ("Searches", f"{found['searches']:,}", drawn or "trials of equal searches share one"),
        ("Evaluations", f"{found['evaluations']:,}", _rungs(found) or "trainings or look-ups"),
    ]
    rows, costs = found["budgets"], list(found["spans"])
    return [
        cards(facts),
        *[_reached(rows, costs)] * bool(rows),
        html.P(
            "Nothing has been measured. "
            + (f"Trials of {pace['name']} have taken {text.duration(pace['seconds'])} of device time each." if pace else "")
            + " How long it takes is told by moonas plan on the command line, which measures a few steps.",
            className="note",
        ),
    ]


def _rungs(found: Mapping[str, Any]) -> str:
    told = [f"{rung['evaluations']:,} of {rung['epochs']} epochs" for rung in found.get("rungs", []) if rung["epochs"]]
    return ", ".join(told)


def _reached(rows: list[Mapping[str, Any]], costs: list[str]) -> Any:
    """A row for each budget and size."""
    heads = ["Budget", "Channels", "Cells", "Architectures", *(METRICS[cost].label for cost in costs)]
    return html.Div(
        html.Table(
            [
                html.Thead(html.Tr([html.Th(head, className="number" if place else "") for place, head in enumerate(heads)])),
                html.Tbody([_row(row, costs) for row in rows]),
            ]
        ),
        className="scroll plain tall",
        tabIndex=0,
        role="region",
        **{"aria-label": "What each budget reaches"},
    )


def _row(row: Mapping[str, Any], costs: list[str]) -> Any:
    first = [html.Td(row["budget"]), *(html.Td(row[name], className="number") for name in ("channels", "cells"))]
    if row["left_out"]:
        return html.Tr([*first, html.Td(f"left out: {row['left_out']}", colSpan=1 + len(costs), className="wrap")])
    spans = [html.Td(f"{text.short(row[cost][0])} to {text.short(row[cost][1])}", className="number") for cost in costs]
    count = row["architectures"]
    many = text.short(count) if count < 1e12 else f"{count:.1e}"
    return html.Tr([*first, html.Td(many, className="number"), *spans])
