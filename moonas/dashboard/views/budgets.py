"""Requested against achieved cost."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from dash import ALL, Dash, Input, Output, State, ctx

from moonas.dashboard.catalogue import Catalogue
from moonas.dashboard.components import empty, graph, in_thread, panel
from moonas.dashboard.live import LiveStudy
from moonas.dashboard.scheme import SCHEME
from moonas.report import text
from moonas.report.collect import outline
from moonas.report.figures import budget_figure, budget_metrics
from moonas.report.records import ReportData, TrialInfo
from moonas.report.theme import template
from moonas.study.budgets import parse_budget

TITLE = "Budgets"
MOST = 1_500  # trials that are drawn, spread evenly over all


def layout(live: LiveStudy) -> list[Any]:
    """A figure for each metric with an upper budget."""
    data = with_trials(live)
    metrics = budget_metrics(data)
    if not metrics:
        return [empty("No budgets", "No finished trial of this study had an upper budget to keep.")]
    note = "Each marker is a trial: on the dashed line its budget is used up, above it it would be broken."
    if len(live.trials) > len(data.trials):
        note += f" Of {len(live.trials):,} trials {len(data.trials):,} are drawn."
    return [
        panel(graph({"budget": name}, f"Requested and achieved {name}", 400), title=text.metric_label(data, name), note=note)
        for name in metrics
    ]


def register(app: Dash, catalogue: Catalogue) -> None:
    """Draw each."""

    @app.callback(Output({"budget": ALL}, "figure"), Input("version", "data"), SCHEME, State("study", "data"))
    @in_thread
    def draw(_: str, scheme: str, name: str) -> list[Any]:
        data = with_trials(catalogue.live(name))
        metrics = [output["id"]["budget"] for output in ctx.outputs_list]
        return [budget_figure(data, metric).update_layout(template=template(scheme)) for metric in metrics]


def with_trials(live: LiveStudy) -> ReportData:
    """The study with its finished trials, or some of them."""
    trials = live.trials
    rows = np.arange(len(trials))
    if len(rows) > MOST:
        rows = np.unique(np.linspace(0, len(rows) - 1, MOST).round().astype(int))
    metrics = trials.metrics()
    words = {name: trials.words(name)[rows] for name in ("state", "method", "budget")}
    numbers = {name: trials.numbers(name)[rows] for name in ("number", "replicate", *metrics)}
    bounds = {one: parse_budget(one) or None for one in set(words["budget"])}
    found = [
        TrialInfo(
            number=int(numbers["number"][row]),
            state=words["state"][row],
            method=words["method"][row],
            budget=bounds[words["budget"][row]],
            replicate=int(numbers["replicate"][row]),
            values={name: float(numbers[name][row]) for name in metrics if np.isfinite(numbers[name][row])},
        )
        for row in range(len(rows))
    ]
    return replace(outline(live.study), trials=tuple(found))
