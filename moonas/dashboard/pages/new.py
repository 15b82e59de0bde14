"""A new sweep: a form and the study file's text side by side, kept in step, and what it would do before it is started.

The page's script (assets/sweep.js) keeps the text in the browser, asks the service for the plan, and starts the study there.
"""

from __future__ import annotations

from typing import Any

import dash_mantine_components as dmc
from dash import ALL, ClientsideFunction, Dash, Input, Output, State, ctx, dcc, html, no_update

from moonas.dashboard.catalogue import Catalogue
from moonas.dashboard.components import Page, anchor, in_thread, panel, study_address
from moonas.dashboard.readers import reader
from moonas.dashboard.sweep.beginnings import beginning, templates
from moonas.dashboard.sweep.edits import is_name, with_budget_of, with_entry, with_more, without
from moonas.dashboard.sweep.form import form, path_of
from moonas.dashboard.sweep.plan import plan
from moonas.dashboard.sweep.verdict import Verdict, is_yaml, judge, told
from moonas.store.states import TrialState

STUDY = "study:"  # before the name of one to start again from
KEYS_TOLD = "Tab indents; Escape, then Tab, leaves the text. It is kept in this browser until it is started."
PARTS = {"form": "Form", "yaml": "Text", "verdict": "Start", "plan": "What it would do"}
NO_SERVICE = "This dashboard stands alone, without the service that starts studies; the text can be given to moonas run."
NOT_YOURS = "Starting a study needs a token of the role operator; yours is one of a viewer."


def page(catalogue: Catalogue, query: dict[str, str]) -> Page:
    """The editor with what it begins with; `?from=NAME` starts again from a stored study."""
    source = query.get("from")
    text = beginning(catalogue, source)
    verdict, names = judge(text, catalogue), catalogue.names()
    begin = dmc.Select(
        id="begin",
        placeholder="Begin with",
        data=[
            {"group": "Examples", "items": [{"value": name, "label": title} for name, (title, _) in templates().items()]},
            *[{"group": "Start again from", "items": [{"value": STUDY + name, "label": name} for name in names]}] * bool(names),
        ],
        size="sm",
        className="begin",
        attributes={"input": {"aria-label": "Begin with"}},
    )
    editor = html.Div(
        [
            html.Div(id="gutter", className="gutter", **{"aria-hidden": "true"}),
            dcc.Textarea(
                id="yaml",
                value=text,
                spellCheck=False,
                wrap="off",
                className="yaml",
            ),
        ],
        className="editor",
    )
    content = [
        html.Div([html.H1("New sweep"), begin], className="head"),
        html.P(_origin(source), className="facts"),
        html.Nav([html.A(text, href=f"#{part}") for part, text in PARTS.items()], className="jump", **{"aria-label": "Parts"}),
        html.Div(id="kept", role="status", className="kept", hidden=True),
        html.Div(
            [
                html.Div(html.Fieldset(form(text), id="form", className="form"), className="side"),
                html.Div(
                    [
                        panel(editor, html.P(KEYS_TOLD, id="keys", className="note"), title="Study file"),
                        html.Div(_spoken(verdict), id="verdict", role="status", **{"aria-live": "polite"}),
                        panel(html.Div(id="plan", **{"aria-live": "polite"}), title="What it would do"),
                    ],
                    className="side text",
                ),
            ],
            className="columns sweep",
        ),
        dcc.Store(id="typed"),
        dcc.Store(id="judged", data={"text": text, **told(verdict)}),
        dcc.Store(id="planned"),
        dcc.Store(id="pace", data=_pace(catalogue, source)),
        dcc.Store(id="texts", data={name: content for name, (_, content) in templates().items()}),
        html.Span("yes" if reader().drives else "", id="drives", hidden=True),
    ]
    return Page("New sweep", [], content)


def register(app: Dash, catalogue: Catalogue) -> None:
    """Keep the form and the text in step, and say what the text means."""

    @app.callback(
        Output("form", "children"),
        Output("form", "disabled"),
        Output("judged", "data"),
        Output("verdict", "children"),
        Input("typed", "data"),
        State("judged", "data"),
        prevent_initial_call=True,
    )
    @in_thread
    def show(typed: dict[str, str], judged: dict[str, Any]) -> tuple[Any, ...]:
        text = typed["text"]
        readable = is_yaml(text)
        return (form(text) if readable else no_update), not readable, *_answer(text, catalogue)

    @app.callback(
        Output("yaml", "value"),
        Output("form", "children", allow_duplicate=True),
        Output("judged", "data", allow_duplicate=True),
        Output("verdict", "children", allow_duplicate=True),
        Input({"type": "ask", "path": ALL}, "value"),
        Input({"type": "metric", "path": ALL}, "value"),
        Input({"type": "more", "path": ALL}, "n_clicks"),
        Input({"type": "less", "path": ALL}, "n_clicks"),
        State("yaml", "value"),
        prevent_initial_call=True,
    )
    @in_thread
    def write(asked: Any, metrics: Any, more: Any, less: Any, text: str) -> tuple[Any, ...]:
        if not is_yaml(text):
            return (no_update,) * 4
        new, is_redrawn = text, False
        for changed in ctx.triggered:
            new, redrawn = _edited(new, ctx.triggered_prop_ids[changed["prop_id"]], changed["value"])
            is_redrawn |= redrawn
        if new == text:
            return (no_update,) * 4
        return new, form(new) if is_redrawn else no_update, *_answer(new, catalogue)

    @app.callback(Output("plan", "children"), Input("planned", "data"), State("pace", "data"), prevent_initial_call=True)
    def show_plan(planned: dict[str, Any], pace: dict[str, Any] | None) -> Any:
        if "plan" in planned:
            return plan(planned["plan"], pace)
        return html.P(planned["told"], className="empty working" if planned.get("working") else "empty")

    app.clientside_callback(
        ClientsideFunction("sweep", "editor"),
        Output("gutter", "id"),  # stays as it is; without an output nothing is called when the page opens
        Input("yaml", "value"),
        Input("judged", "data"),
        Input("form", "children"),
    )
    app.clientside_callback(ClientsideFunction("sweep", "begin"), Input("begin", "value"), State("texts", "data"))


def _edited(text: str, field: dict[str, str], value: Any) -> tuple[str, bool]:
    """The text after what was done in the form, and whether the form is another one by it."""
    path = path_of(field)
    if field["type"] == "ask":
        new = with_entry(text, path, value)
        return new, new != text and (is_name(path) or path[-1] == "function")
    if value is None:  # a part that has just been drawn
        return text, False
    change = {"more": with_more, "less": without, "metric": lambda text, path: with_budget_of(text, path, value)}
    new = change[field["type"]](text, path)
    return new, new != text


def _answer(text: str, catalogue: Catalogue) -> tuple[dict[str, Any], Any]:
    verdict = judge(text, catalogue)
    return {"text": text, **told(verdict)}, _spoken(verdict)


def _spoken(verdict: Verdict) -> Any:
    """The mistakes, each leading to its line; else what a start would do, with the button that does it."""
    if verdict.mistakes:
        found = [
            html.Li(
                [
                    html.Button(f"line {one.line}", type="button", className="goto", **{"data-line": str(one.line)}),
                    html.Span([html.Strong(one.path), ": "] if one.path else []),
                    html.Span(one.message, className="message"),
                ]
            )
            for one in verdict.mistakes
        ]
        count = len(found)
        return panel(html.Ul(found, className="mistakes"), _start("Start", False), title=f"{count} mistake{'s' * (count > 1)}")
    changes = [html.Li(html.Code(str(one))) for one in (*verdict.refused, *verdict.added)]
    listed = [html.Ul(changes, className="changes")] * bool(changes)
    link = anchor(study_address(verdict.name), verdict.name)
    if verdict.refused:
        advice = "Give this one another name, or delete that study."
        about = [html.P(["There is a study ", link, " with other settings, which must not change under its name:"]), *listed]
        return panel(*about, html.P(advice), _start("Start", False), title="This name is taken")
    if verdict.added:
        about = [html.P(["There is a study ", link, ", and this adds to it:"]), *listed]
        return panel(*about, _start(f"Extend {verdict.name} and start", True), title="Ready")
    if verdict.stored:
        about = [html.P(["There is this very study ", link, " already; a start goes on with it."])]
        return panel(*about, _start(f"Go on with {verdict.name}", True), title="Ready")
    return panel(_start(f"Start {verdict.name}", True), title="Ready")


def _start(label: str, sound: bool) -> Any:
    """The button, and why it cannot be used by this reader."""
    who = reader()
    why = "" if who.drives else NOT_YOURS if who.served else NO_SERVICE
    more = {"disabled": not sound or bool(why), "aria-describedby": "why"}
    button = html.Button(label, id="start", type="button", className="action sure", **more)
    about = [html.Span(why, id="why", className="note"), html.Div(id="outcome", role="alert")]
    return html.Div([button, *about], className="starting")


def _origin(source: str | None) -> Any:
    if source is None:
        return "A study file, as a form and as text: what is changed on one side shows on the other."
    return ["From ", anchor(study_address(source), source), ", under a name of its own."]


def _pace(catalogue: Catalogue, source: str | None) -> dict[str, Any] | None:
    """What finished trials of a study have taken each; None where nothing is known."""
    if source is None:
        return None
    live = catalogue.live(source)
    finished = live.count(TrialState.COMPLETE)
    return {"name": source, "seconds": live.store.device_seconds(live.record.id) / finished} if finished else None
