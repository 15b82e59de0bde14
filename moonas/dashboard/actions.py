"""What a reader may do to studies: buttons, each with a dialog that says beforehand what will happen.

The page's script (assets/actions.js) opens the dialog of a button and sends the request to the REST service of the same server:
nothing is changed from here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dash_mantine_components as dmc
from dash import html

from moonas.dashboard.readers import reader
from moonas.store.states import StudyState, TrialState

BEGUN = (TrialState.WAITING, TrialState.RUNNING)


@dataclass(frozen=True)
class Verb:
    """label: of its button. told: what will happen. method, path: of the request, below a study's address.

    for_many: whether it is offered in the list of studies, too. typed: whether the study's name is to be typed first.
    """

    label: str
    told: str
    path: str
    method: str = "POST"
    for_many: bool = True
    typed: bool = False


VERBS = {
    "pause": Verb(
        "Pause",
        "Running tasks end at their next checkpoint, then the process that drives the study ends. Nothing is lost; resume goes on.",
        "/pause",
    ),
    "resume": Verb("Resume", "A new process goes on with the study, on this server.", "/resume"),
    "stop": Verb(
        "Stop",
        "Nothing new starts, trials that have begun are finished, then the process that drives the study ends. Resume goes on.",
        "/stop",
    ),
    "cancel": Verb(
        "Cancel",
        "All trials that have begun fail: their running tasks are killed, nothing new starts, and the process ends.",
        "/cancel",
    ),
    "retry": Verb(
        "Retry failed",
        "Failed and cancelled trials are opened again, and go on from their last checkpoints where any are left; where no process "
        "drives the study, resume runs them.",
        "/retry",
        for_many=False,
    ),
    "delete": Verb(
        "Delete",
        "The study is deleted with its trials, fronts and artifacts. Nothing brings it back.",
        "",
        method="DELETE",
        for_many=False,
        typed=True,
    ),
}


def offered(state: StudyState, driven: bool, trials: Mapping[TrialState, int], planned: int) -> list[str]:
    """The verbs that make sense. driven: whether a process drives the study. trials: how many in each state; planned: in all."""
    begun = sum(trials.get(one, 0) for one in BEGUN)
    is_done = state is StudyState.COMPLETE and sum(trials.values()) - begun >= planned
    wanted = {
        "pause": driven,
        "resume": not driven and not is_done,
        "stop": driven,
        "cancel": driven or bool(begun),
        "retry": bool(trials.get(TrialState.FAIL)),
        "delete": not driven,
    }
    return [verb for verb in VERBS if wanted[verb]]


def for_many(verbs: Sequence[str]) -> list[str]:
    """Those among verbs that the list of studies offers."""
    return [verb for verb in verbs if VERBS[verb].for_many]


def buttons(verbs: Mapping[str, Sequence[str]], counted: bool = False) -> list[Any]:
    """Buttons for the reader who is being answered; none for one who may only read.

    verbs: the studies that each is for. counted: say on the button how many these are.
    """
    if not reader().drives:
        return []
    return [
        html.Button(
            f"{VERBS[verb].label} {len(studies)}" if counted else VERBS[verb].label,
            type="button",
            className=f"action {verb}",
            **{"data-verb": verb, "data-studies": json.dumps(list(studies))},
        )
        for verb, studies in verbs.items()
    ]


def dialogs() -> list[Any]:
    """The dialog of every verb, closed; none for a reader who may only read."""
    return [_dialog(key, verb) for key, verb in VERBS.items()] if reader().drives else []


def _dialog(key: str, verb: Verb) -> Any:
    name = dmc.TextInput(id="typed", label="To go on, type its name", attributes={"input": {"autoComplete": "off"}})
    return html.Dialog(
        html.Form(
            [
                html.H2(id=f"ask-{key}-title"),
                html.P(className="which"),
                html.P(verb.told),
                *[name] * verb.typed,
                html.Div(
                    [
                        html.Button("Not now", type="button", className="action", **{"data-close": "true"}),
                        html.Button(verb.label, type="submit", className=f"action sure {key}"),
                    ],
                    className="answers",
                ),
            ]
        ),
        id=f"ask-{key}",
        className="ask",
        **{"aria-labelledby": f"ask-{key}-title", "data-label": verb.label, "data-method": verb.method, "data-path": verb.path},
    )
