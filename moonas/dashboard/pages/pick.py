"""The one network to take: the best under a budget, or the knee, with what stands beside it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import dash_mantine_components as dmc
from dash import Dash, Input, Output, State, dcc, html

from moonas.dashboard.catalogue import Catalogue
from moonas.dashboard.components import Page, anchor, cards, code, empty, graph, in_thread, loading, panel, study_address
from moonas.dashboard.live import LiveStudy
from moonas.dashboard.scheme import SCHEME, WEBGL
from moonas.dashboard.views.front import drawable, front_data, member_marks, trial_crowd
from moonas.errors import MoonasError
from moonas.report import text
from moonas.report.collect import outline
from moonas.report.explore import explore_figure
from moonas.report.records import BudgetInfo, Value
from moonas.results.choosing import choose
from moonas.results.networks import Network
from moonas.study.bounds import Bound, parse_under

BETWEEN = re.compile(r"(?<=[\w%.])\s+(?=[A-Za-z_]\w*\s*[<>=])")  # the space between two bounds


def page(catalogue: Catalogue, query: dict[str, str], name: str) -> Page:
    """A line to type the budget in; the answer comes below."""
    live = catalogue.live(name)
    asked = dmc.TextInput(
        id="under",
        label="Budget",
        description="Bounds such as params=2M latency_ms=5 or accuracy>=0.9; with none, the best network of all.",
        placeholder="params=2M",
        value=query.get("under", ""),
        debounce=400,
        className="under",
    )
    kind = dmc.SegmentedControl(
        id="kind",
        data=[
            {"value": "best", "label": f"Best {live.study.config.objectives[0].entry.label}"},
            {"value": "knee", "label": "Knee"},
        ],
        value="best",
    )
    content = [
        html.Div(
            [html.H1("Pick a network"), html.P(f"Of {name}, among all networks that it has measured.", className="facts")],
            className="head",
        ),
        panel(html.Div([asked, kind], className="controls")),
        loading(html.Div(id="pick", className="filled")),
        dcc.Store(id="study", data=name),
    ]
    return Page("Pick", [(name, study_address(name))], content)


def register(app: Dash, catalogue: Catalogue) -> None:
    """Answer what is typed."""

    @app.callback(Output("pick", "children"), Input("under", "value"), Input("kind", "value"), State("study", "data"))
    @in_thread
    def pick(under: str, kind: str, name: str) -> Any:
        live = catalogue.live(name)
        try:
            return answer(live, under, kind == "knee")
        except MoonasError as error:
            return empty("No such network", str(error))

    @app.callback(
        Output("pick-figure", "figure"), Input("picked", "data"), SCHEME, WEBGL, State("under", "value"), State("study", "data")
    )
    @in_thread
    def draw(picked: dict[str, float], scheme: str, webgl: bool, under: str, name: str) -> Any:
        return figure(catalogue.live(name), picked, read_bounds(under), scheme, webgl)


def read_bounds(under: str | None) -> list[Bound]:
    """The bounds of a line, between commas or spaces. Raises UsageError."""
    return parse_under(BETWEEN.sub(",", under.strip())) if under and under.strip() else []


def answer(live: LiveStudy, under: str | None, knee: bool) -> list[Any]:
    """The network, its margins, its neighbours on the front, and how to get hold of it. Raises UsageError where none fits."""
    bounds = read_bounds(under)
    network = best(live, bounds, knee)
    data = outline(live.study)
    facts = [
        (
            text.metric_label(data, name),
            text.measured(name, _value(network, name)),
            margin(bounds, name, network.metrics[name].value),
        )
        for name in (*drawable(live), "test_accuracy")
        if name in network.metrics
    ]
    link = anchor(study_address(live.name, "networks", network.key), network.key)
    where = "on the front" if network.on_front else "off the front"
    about = f"{network.method}, trial {network.trial}, budget {text.budget(network.budget)}, {where}"
    asked = f" --under {','.join(map(str, bounds))!r}" if bounds else ""
    shown = f"moonas best {live.name}{asked}{' --knee' if knee else ''}\nmoonas arch {live.name} {network.key[:12]}"
    built = (
        f'import moonas\n\nstudy = moonas.load_study("{live.name}")\nnetwork = study.networks_of("{network.key[:12]}")[0]\n'
        "model = moonas.build(network.architecture, network.skeleton)  # a torch.nn.Module with fresh weights"
    )
    return [
        panel(html.P([html.Strong(link), f" · {about}"]), cards(facts), title="The network", className="panel picked"),
        panel(graph("pick-figure", "The network among the others", 420), title="Among the others"),
        panel(
            neighbours(live, network),
            title="Neighbours on the front",
            note="What the next members of the front give for what they take.",
        ),
        html.Div(
            [panel(code(shown), title="On the command line")] + [panel(code(built), title="In Python")] * live.study.finds_networks,
            className="columns",
        ),
        dcc.Store(id="picked", data=network.values),
    ]


def best(live: LiveStudy, bounds: list[Bound], knee: bool) -> Network:
    """What `Study.best` gives."""
    return choose(live.study, bounds, knee, None, live.tally)


def margin(bounds: list[Bound], name: str, value: float) -> str:
    """How much of a bound is left over; empty where none is on this metric."""
    told = []
    for bound in bounds:
        if bound.metric == name:
            for sign, end in (("≤", bound.upper), ("≥", bound.lower)):
                if end is not None:
                    spare = abs(value - end) / abs(end) if end else abs(value - end)
                    told.append(f"{spare:.1%} to spare ({sign} {text.short(end)})")
    return ", ".join(told)


def neighbours(live: LiveStudy, network: Network) -> Any:
    """The members of the front before and behind the network, by its first cost, with the differences to it."""
    objectives = [objective.metric for objective in live.study.config.objectives]
    by = next((name for name in objectives[::-1] if name in network.metrics), objectives[0])
    members = sorted((one for one in live.members() if one.place != network.place), key=lambda one: one.metrics[by].value)
    before = [one for one in members if one.metrics[by].value <= network.metrics[by].value][-2:]
    behind = [one for one in members if one.metrics[by].value > network.metrics[by].value][:2]
    if not before and not behind:
        return html.P("The front has no other member.", className="empty")
    data = outline(live.study)
    labels = [html.Th(text.metric_label(data, name), className="number") for name in objectives]
    head = html.Tr([html.Th("network"), *labels])
    rows = [
        html.Tr(
            [
                html.Td(anchor(study_address(live.name, "networks", one.key), one.key[:12]) if one is not network else "this one"),
                *[html.Td(_difference(one, network, name), className="number") for name in objectives],
            ],
            className="this" if one is network else "",
        )
        for one in (*before, network, *behind)
    ]
    return html.Div(html.Table([html.Thead(head), html.Tbody(rows)]), className="scroll plain", tabIndex=0)


def figure(live: LiveStudy, picked: dict[str, float], bounds: list[Bound], scheme: str, webgl: bool = False) -> Any:
    """The front with the network in a ring, and the lines of what was asked."""
    data = front_data(live, None)
    axes = [data.main.name, *(name for name in drawable(live) if name != data.main.name)][:2][::-1]
    asked = tuple(BudgetInfo(text=str(b), metric=b.metric, lower=b.lower, upper=b.upper, required=True) for b in bounds)
    data = replace(data, budgets=asked)
    members = member_marks(live, data, axes, "method")
    drawn = explore_figure(data, members, trial_crowd(live, axes, "method", "auto", webgl)[0], axes, "auto", scheme)
    drawn.data[0].update(x=[picked[axes[0]]], y=[picked[axes[1]]])
    return drawn


def _value(network: Network, name: str) -> Value:
    return Value(value=network.metrics[name].value, error=network.metrics[name].error)


def _difference(one: Network, other: Network, name: str) -> str:
    value = one.metrics[name].value
    if one is other:
        return text.number(name, value)
    gap = value - other.metrics[name].value
    told = f"{100 * abs(gap):.2f} points" if name in text.FRACTIONS else text.short(abs(gap))
    return f"{text.number(name, value)} ({'+' if gap >= 0 else '−'}{told})"
