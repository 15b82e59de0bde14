"""What colours the markers of networks and of trials."""

from __future__ import annotations

import numpy as np

from moonas.dashboard.live import LiveStudy
from moonas.report import text
from moonas.report.records import Point
from moonas.store.states import TrialState

COLOURS = {
    "method": "method",
    "budget": "budget",
    "width": "width",
    "replicate": "replicate",
    "protocol": "protocol",
    "state": "state of the trial",
}


def choices(live: LiveStudy) -> dict[str, str]:
    """What can be chosen for this study, with its label: the protocol only where trials end at several lengths of training."""
    return {name: label for name, label in COLOURS.items() if name != "protocol" or live.study.plan.rungs}


def group_of(live: LiveStudy, point: Point, by: str) -> str:
    """What colours a member of the front."""
    if by == "method":
        return point.method
    if by == "budget":
        return text.budget(point.budget)
    if by == "width":
        return f"{point.skeleton.channels}×{point.skeleton.cells}"
    if by == "replicate":
        return "several" if point.replicates > 1 else live.trials.word_of(point.trial, "replicate")
    if by == "protocol":
        return _protocols(live)[-1]  # fronts are of the whole protocol alone
    return live.trials.word_of(point.trial, "state")


def groups(live: LiveStudy, by: str) -> np.ndarray:
    """(n,) text: what colours each of the study's trials."""
    return live.once("trials by protocol", lambda: _by_protocol(live)) if by == "protocol" else live.trials.groups(by)


def _by_protocol(live: LiveStudy) -> np.ndarray:
    """A trial is told by the last training that its values come from: the whole one where it is complete, else that of its rung."""
    names, reached = _protocols(live), live.store.rungs(live.record.id)
    numbers, states = live.trials.numbers("number").astype(int), live.trials.words("state")
    last = len(names) - 1
    rungs = [
        last if state == TrialState.COMPLETE.value else min(reached.get(number, 0), last)
        for number, state in zip(numbers.tolist(), states, strict=True)
    ]
    return np.array(names, dtype=object)[rungs]


def _protocols(live: LiveStudy) -> list[str]:
    """Of each rung of promotion, and last the protocol itself."""
    protocol = live.study.config.protocol.to_json()
    return [f"{protocol['name']}, {epochs} epochs" for epochs in (*live.study.plan.rungs, protocol.get("epochs"))]
