"""One study: how it stands, and what its views show, brought up to date while it runs."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import dash_mantine_components as dmc
from dash import Dash, Input, Output, State, ctx, dcc, html, no_update

from moonas.dashboard.actions import buttons, offered
from moonas.dashboard.catalogue import Catalogue
from moonas.dashboard.components import NOTHING, Page, anchor, badge, cards, in_thread, study_address
from moonas.dashboard.live import LiveStudy
from moonas.dashboard.overview import seconds_per_trial, standing
from moonas.dashboard.views import VIEWS
from moonas.report import text
from moonas.report.collect import outline
from moonas.store.states import StudyState, TrialState

EVERY = 4_000  # milliseconds between two looks at what has changed


def page(catalogue: Catalogue, query: dict[str, str], name: str) -> Page:
    """The head, the headline numbers and the tabs; the first view is opened unless the address says `?view=`."""
    live = catalogue.live(name)
    asked = query.get("view", "")
    opened = asked if asked in VIEWS else next(iter(VIEWS))
    tabs = dmc.Tabs(
        [dmc.TabsList([dmc.TabsTab(view.TITLE, value=key) for key, view in VIEWS.items()])],
        id="view",
        value=opened,
        className="tabs",
    )
    links = [
        anchor(study_address(name, "pick"), "Pick a network", className="action"),
        anchor(f"/compare?studies={name}", "Compare", className="action"),
        anchor(f"/new?from={quote(name, safe='')}", "Start again", className="action"),
    ]
    view = VIEWS[opened].layout(live)
    content = [
        html.Div(
            [
                html.H1(name),
                html.Span(badge(standing(live.state, live.now.driven)), id="state"),
                html.Span([*links, html.Span(verbs(live), id="verbs")], className="actions"),
                html.P(facts(live), className="facts"),
                html.P(remark(live), id="remark", className="facts"),
            ],
            className="head",
        ),
        html.Div(headline(live), id="headline"),
        tabs,
        html.Div(view, id="opened"),
        dcc.Store(id="bare", data=is_bare(view)),
        dcc.Store(id="study", data=name),
        dcc.Store(id="version", data=live.now.text),
        dcc.Interval(id="beat", interval=EVERY),
        dcc.Store(id="study-news"),
    ]
    return Page(name, [], content)


def register(app: Dash, catalogue: Catalogue) -> None:
    """Open views; look now and then whether anything has changed, and let what is open be drawn anew only then."""

    @app.callback(
        Output("opened", "children"),
        Output("bare", "data"),
        Input("view", "value"),
        Input("version", "data"),
        State("bare", "data"),
        State("study", "data"),
        prevent_initial_call=True,
    )
    @in_thread
    def open_view(view: str, _: str, bare: bool, name: str) -> tuple[Any, Any]:
        if ctx.triggered_id == "version" and not bare:  # what is there follows by itself
            return no_update, no_update
        opened = VIEWS[view].layout(catalogue.live(name))
        return opened, is_bare(opened)

    @app.callback(
        Output("version", "data"),
        Output("headline", "children"),
        Output("state", "children"),
        Output("verbs", "children"),
        Output("remark", "children"),
        Input("beat", "n_intervals"),
        Input("study-news", "data"),
        State("version", "data"),
        State("study", "data"),
    )
    @in_thread
    def look(beats: int | None, news: Any, version: str, name: str) -> tuple[Any, ...]:
        live = catalogue.live(name)
        if live.now.text == version:
            return (no_update,) * 5
        return live.now.text, headline(live), badge(standing(live.state, live.now.driven)), verbs(live), remark(live)

    for view in VIEWS.values():
        view.register(app, catalogue)


def is_bare(view: list[Any]) -> bool:
    """Whether a view only says that there is nothing to show yet."""
    return any(getattr(part, "className", "") == NOTHING for part in view)


def verbs(live: LiveStudy) -> list[Any]:
    """Buttons for what may be done to it now."""
    trials = {TrialState(state): count for state, count in live.now.trials}
    found = offered(live.state, live.now.driven, trials, live.planned)
    return buttons({verb: [live.name] for verb in found})


def remark(live: LiveStudy) -> str:
    """Why it is in its state, where there is something to say."""
    if live.state is StudyState.RUNNING and not live.now.driven:
        return "No process drives it any more: the one that did ended without a word. What it reported is kept; resume goes on."
    note = live.store.state_note(live.record.id)
    return f"{live.state.value.capitalize()}: {note}" if note else ""


def facts(live: LiveStudy) -> str:
    """What the study asks, in one line."""
    data, config = outline(live.study), live.study.config
    aims = [f"{objective.direction} {text.metric_label(data, objective.name)}" for objective in data.objectives]
    where = [config.data.name, config.space.name] if live.study.finds_networks else []
    return " · ".join([*aims, *where, f"protocol {config.protocol.name}", f"created {text.moment(live.record.created)}"])


def headline(live: LiveStudy) -> Any:
    """The numbers to look at first."""
    data = outline(live.study)
    members = live.members()
    told = [f"{count:,} {text.STATES.get(state, state.lower())}" for state, count in live.now.trials]
    planned = live.planned
    over = live.count(TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
    pace = seconds_per_trial(live.store.database, live.record.id) if live.state is StudyState.RUNNING and over < planned else None
    left = f"about {text.duration(pace * (planned - over))} left" if pace is not None else ", ".join(told)
    found = [("Trials", f"{over:,} of {planned:,}", left or "none yet")]
    aim = data.main
    if members:
        best = (max if aim.direction == "maximize" else min)(members, key=lambda network: network.metrics[aim.name].value)
        tested = best.metrics.get("test_accuracy")
        aside = f"test accuracy {text.number('test_accuracy', tested.value)}" if tested else f"trial {best.trial}, {best.method}"
        found.append((f"Best {text.metric_label(data, aim.name)}", text.number(aim.name, best.metrics[aim.name].value), aside))
        if "params" in members[0].metrics:
            small = members[0]
            aside = f"parameters, at {text.number(aim.name, small.metrics[aim.name].value)}"
            found.append(("Smallest member", text.short(small.metrics["params"].value), aside))
    found.append(("Front", f"{len(members)}", f"{text.counted(len(live.history), 'change')} so far"))
    if live.history:
        last = live.history[-1]
        found.append(("Hypervolume", f"{last.hypervolume:.4f}", f"after {text.counted(last.evaluations, 'evaluation')}"))
    found.append(("Device time", text.duration(live.store.device_seconds(live.record.id)), "all attempts together"))
    return cards(found)
