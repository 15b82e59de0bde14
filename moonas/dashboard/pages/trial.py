"""One trial: its settings, what came of it, its curves, what its search said of its edges, every attempt; live while it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dash_mantine_components as dmc
from dash import Dash, Input, Output, State, dcc, html, no_update

from moonas.dashboard import courses
from moonas.dashboard.catalogue import Catalogue
from moonas.dashboard.components import (
    Page,
    anchor,
    badge,
    cards,
    code,
    in_thread,
    loading,
    panel,
    plain_table,
    study_address,
    trial_address,
)
from moonas.dashboard.live import LiveStudy
from moonas.dashboard.scheme import SCHEME
from moonas.errors import UsageError
from moonas.report import text
from moonas.report.collect import outline
from moonas.report.records import Value
from moonas.results.networks import read_archive
from moonas.results.trial import Setting, TrialStory, Work, has_search, settings_of_trial, trial_story
from moonas.store.pages import trial_stamp
from moonas.store.records import AttemptRecord, TrialRecord
from moonas.store.states import TrialState
from moonas.study.budgets import parse_budget
from moonas.study.metrics import METRICS

EVERY = 4_000  # milliseconds between two looks at what has changed
FOLDED = 8  # lines of an error from which on it is folded


def page(catalogue: Catalogue, query: dict[str, str], name: str, number: str) -> Page:
    """Everything about trial `number`. Raises UsageError where the study has no such trial."""
    live = catalogue.live(name)
    if not live.has_trial(number):
        count = sum(count for _, count in live.now.trials)
        raise UsageError(f"there is no trial {number}; the study has {text.counted(count, 'trial')}, counted from 0")
    story = trial_story(live.study, int(number))
    trial = story.trial
    content = [
        html.Div(
            [
                html.H1(f"Trial {trial.number}"),
                html.Span(badge(trial.state.value), id="trial-state"),
                html.Span(ways(live, trial), className="actions"),
                html.P(facts(live, trial), className="facts"),
            ],
            className="head",
        ),
        html.Div(outcome(live, story), id="trial-outcome", **{"aria-live": "polite"}),
        panel(loading(html.Div(id="trial-learning")), title="Learning curves", note=_curves_note(live, trial)),
        html.Div(of_search(live, story), hidden=not has_search(live.study, trial)),
        settings(settings_of_trial(live.study, trial)),
        html.Div(attempts(live, story), id="trial-attempts"),
        dcc.Store(id="trial", data={"study": name, "number": trial.number}),
        dcc.Store(id="trial-version", data=trial_stamp(live.store.database, trial.id)),
        dcc.Interval(id="trial-beat", interval=EVERY),
    ]
    return Page(f"Trial {trial.number}", [(name, study_address(name)), ("Trials", f"{study_address(name)}?view=trials")], content)


_MIXTURE_NOTE = (
    "The probability that the search gave each operation of each edge, epoch by epoch. Marked and in bold: what is in this trial's "
    "own network. Blank: dropped by the search."
)


def of_search(live: LiveStudy, story: TrialStory) -> list[Any]:
    """Its health, and a choice of what the heat map shows; also where there is none, since callbacks fill them."""
    shown = courses.shown_mixtures(live, story)
    first = shown[0]["value"] if shown else None
    look = {"label": "Of the", "size": "sm", "allowDeselect": False, "className": "control wide"}
    return [
        panel(
            html.P(health_note(story), id="trial-collapse", className="note"),
            loading(html.Div(id="trial-health")),
            title="Search health",
        ),
        panel(
            html.Div(dmc.Select(id="mixture-of", data=shown, value=first, **look), className="controls"),
            loading(html.Div(id="trial-mixture")),
            title="Architecture weights",
            note=_MIXTURE_NOTE,
        ),
    ]


def register(app: Dash, catalogue: Catalogue) -> None:
    """Look now and then whether anything was written of the trial, and draw what has changed."""

    @app.callback(
        Output("trial-version", "data"),
        Output("trial-state", "children"),
        Output("trial-outcome", "children"),
        Output("trial-collapse", "children"),
        Output("trial-attempts", "children"),
        Input("trial-beat", "n_intervals"),
        State("trial-version", "data"),
        State("trial", "data"),
        prevent_initial_call=True,
    )
    @in_thread
    def look(_: int, version: str, shown: dict[str, Any]) -> tuple[Any, ...]:
        live, story = told(catalogue, shown)
        now = trial_stamp(live.store.database, story.trial.id)
        if now == version:
            return (no_update,) * 5
        return now, badge(story.trial.state.value), outcome(live, story), health_note(story), attempts(live, story)

    @app.callback(
        Output("trial-learning", "children"),
        Output("trial-health", "children"),
        Input("trial-version", "data"),
        SCHEME,
        State("trial", "data"),
    )
    @in_thread
    def draw(_: str, scheme: str, shown: dict[str, Any]) -> tuple[Any, Any]:
        live, story = told(catalogue, shown)
        return courses.learning(live, story, scheme), courses.health(live, story, scheme)

    @app.callback(
        Output("trial-mixture", "children"),
        Input("mixture-of", "value"),
        Input("trial-version", "data"),
        SCHEME,
        State("trial", "data"),
    )
    @in_thread
    def weigh(which: str | None, _: str, scheme: str, shown: dict[str, Any]) -> Any:
        return courses.mixture(*told(catalogue, shown), which, scheme) if which else None


def told(catalogue: Catalogue, shown: Mapping[str, Any]) -> tuple[LiveStudy, TrialStory]:
    """The study and the trial of a page, as they are now."""
    live = catalogue.live(shown["study"])
    return live, trial_story(live.study, shown["number"])


def ways(live: LiveStudy, trial: TrialRecord) -> list[Any]:
    """To the trials before and behind this one."""
    beside = {"Previous": trial.number - 1, "Next": trial.number + 1}
    return [
        anchor(trial_address(live.name, number), label, className="action", id=f"trial-{label.lower()}")
        for label, number in beside.items()
        if number >= 0 and live.has_trial(str(number))
    ]


def facts(live: LiveStudy, trial: TrialRecord) -> str:
    """What it is, in one line."""
    params = trial.params
    network = [text.budget(parse_budget(params["budget"])), f"{params['channels']}×{params['cells']}"] * live.study.finds_networks
    budget = [f"budget {network[0]}", f"width {network[1]}"] if network else []
    return " · ".join([params["method"], *budget, f"replicate {trial.replicate}"])


def outcome(live: LiveStudy, story: TrialStory) -> list[Any]:
    """Why it ended as it did, its numbers, and the networks that were decoded for it."""
    trial = story.trial
    why = [html.P(trial.reason, className=f"reason {trial.state.value.lower()}")] if trial.reason else []
    return [*why, cards([*_metrics(live, trial), *_times(story)]), *_networks(live, trial)]


def _metrics(live: LiveStudy, trial: TrialRecord) -> list[tuple[str, str, str]]:
    data = outline(live.study)
    return [
        (text.metric_label(data, name), text.number(name, value), "of this trial alone")
        for name, value in (trial.values or {}).items()
        if name in METRICS and value is not None
    ]


_WAITING = "It has not begun: its turn comes when a worker is free."


def _times(story: TrialStory) -> list[tuple[str, str, str]]:
    trial = story.trial
    if trial.started is None:
        return [("Waiting since", text.moment(trial.created), _WAITING)]
    lasted = None if trial.finished is None else trial.finished - trial.started
    spent = sum(attempt.seconds or 0.0 for work in story.works for attempt in work.attempts)
    shared = any(len(work.trials) > 1 for work in story.works)
    took = ("Took", text.duration(lasted), f"from {text.moment(trial.started)}")
    if lasted is None:
        took = ("Running since", text.moment(trial.started), "")
    return [took, ("Device time", text.duration(spent), "of ended attempts" + ", shared work included" * shared)]


def _networks(live: LiveStudy, trial: TrialRecord) -> list[Any]:
    """The primary network and the extra ones, with their metrics over all replicates."""
    candidates = live.store.candidates(live.record.id, trial=trial.number)
    if not candidates:
        if trial.state in (TrialState.FAIL, TrialState.PRUNED) or not live.study.finds_networks:
            return []
        return [panel(html.P("Its networks show up once its search is over.", className="note"), title="Networks")]
    data = outline(live.study)
    measured = {(one.key, one.skeleton.key): one for one in read_archive(live.study, {one.architecture for one in candidates})}
    names = list(dict.fromkeys(name for one in measured.values() for name in one.metrics if name not in ("params", "macs")))
    rows = []
    for one in candidates:
        network = measured.get((one.architecture, one.skeleton))
        metrics = network.metrics if network else {}
        values = [metrics.get(name) for name in names]
        rows.append(
            [
                anchor(study_address(live.name, "networks", one.architecture), one.architecture[:12]) if network
                else one.architecture[:12],
                f"{one.origin}{', on the front' if network and network.on_front else ''}",
                f"{one.params:,}",
                f"{one.macs:,}",
                *(
                    text.measured(name, None if value is None else Value(value=value.value, error=value.error))
                    for name, value in zip(names, values, strict=True)
                ),
            ]
        )  # fmt: skip
    headings = ["network", "origin", "parameters", "multiply-adds", *(text.metric_label(data, name) for name in names)]
    note = "Decoded from its search. Accuracies are means over all replicates of a network, whichever trial measured them."
    return [panel(plain_table(headings, rows, range(2, len(headings))), title="Networks", note=note)]


def _curves_note(live: LiveStudy, trial: TrialRecord) -> str:
    return "On training images dotted, on validation images drawn through." + (
        " A search is measured on its mixture of all operations." if has_search(live.study, trial) else ""
    )


def health_note(story: TrialStory) -> str:
    """Whether its search collapsed, and by what that was told."""
    if story.collapse is None:
        return "No alarm: the search has not collapsed." if story.search and story.search.result else ""
    return f"The search collapsed in epoch {story.collapse['epoch']}: {story.collapse['reason']}."


def settings(found: Sequence[Setting]) -> Any:
    """Those that were chosen or are not the defaults; the others folded behind them."""
    differing = [one for one in found if one.differs]
    usual = [one for one in found if not one.differs]
    columns = ["setting", "of the", "value"]
    rows = [[_named(one), one.part, _setting(one.value), _beside(one)] for one in differing]
    rest = plain_table(columns, [[_named(one), one.part, _setting(one.value)] for one in usual])
    note = "What was chosen for this trial, and what is not the default."
    folded = html.Details([html.Summary(f"{len(usual)} settings at their defaults"), rest], className="folded")
    return panel(plain_table([*columns, "default"], rows), folded, title="Settings", note=note)


def _named(one: Setting) -> str:
    return one.part if one.name == "name" else one.name


def _beside(one: Setting) -> str:
    """What there is in place of a default where a value was chosen."""
    return "chosen for this trial" if one.chosen else "" if one.default is None else _setting(one.default)


def _setting(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_setting(one)}" for name, one in value.items() if not isinstance(one, Mapping))
    return "–" if value is None else str(value).lower() if isinstance(value, bool) else text.setting(value)


def attempts(live: LiveStudy, story: TrialStory) -> list[Any]:
    """Every task with its attempts, where they ran and what they said."""
    if not story.works:
        return [panel(html.P("Nothing has run for it yet.", className="note"), title="Attempts")]
    return [html.Section([html.H3("Attempts"), *[_work(live, story, work) for work in story.works]], **{"aria-label": "Attempts"})]


def _work(live: LiveStudy, story: TrialStory, work: Work) -> Any:
    others = [number for number in work.trials if number != story.trial.number]
    shared: list[Any] = []
    for number in others[:12]:
        shared += [", " if shared else "shared with trial ", anchor(trial_address(live.name, number), str(number))]
    shared += [f" and {len(others) - 12} more"] * (len(others) > 12)
    record = work.record
    head = [courses.task_name(record).capitalize(), " ", html.Code(record.key), " ", badge(record.state.value)]
    rows = [
        [
            badge(attempt.state.value),
            attempt.device,
            attempt.worker,
            text.moment(attempt.started),
            text.duration(attempt.seconds),
            attempt.reason or "",
        ]
        for attempt in work.attempts
    ]
    table = plain_table(["state", "device", "worker", "began", "took", "reason"], rows) if rows else None
    waiting = html.P("It waits for a free worker." if record.state.value == "WAITING" else "", className="note")
    errors = [_error(place, attempt) for place, attempt in enumerate(work.attempts, 1) if attempt.error]
    return panel(
        html.H4(head), html.P(shared, className="note") if shared else None, table or waiting, *errors, className="panel work"
    )


def _error(place: int, attempt: AttemptRecord) -> Any:
    """What a worker said last, as text; folded where it is long."""
    words = (attempt.error or "").rstrip()
    last = words.splitlines()[-1] if words else ""
    head = html.Summary([f"What attempt {place} said last: ", html.Code(last)])
    return html.Details([head, code(words)], open=words.count("\n") < FOLDED, className="error")
