"""Whether a study still gains: the hypervolume of its front after each finished trial. The rule is our own choice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from moonas.store.records import FrontRecord, TrialRecord

CANCELLED = "cancelled on request"  # the reason of trials and attempts that were


def cause_of(trial: int) -> str:
    """What a change of the front is put down to."""
    return f"trial {trial}"


def volumes_after(trials: Iterable[TrialRecord], changes: Iterable[FrontRecord]) -> list[float]:
    """The hypervolume after each finished trial, in the order in which they finished; 0 before there is a front.

    Trials that were cancelled do not count: what became of them says nothing about the search.

    trials: of a study. changes: of its front, the oldest first; each counts once the trial that caused it is finished.
    """
    caused: dict[str, list[FrontRecord]] = {}
    for change in changes:
        caused.setdefault(change.cause, []).append(change)
    finished = [trial for trial in trials if trial.finished is not None and trial.reason != CANCELLED]
    volumes: list[float] = []
    for trial in sorted(finished, key=lambda trial: (trial.finished, trial.number)):
        before = volumes[-1] if volumes else 0.0
        volumes.append(caused[cause_of(trial.number)][-1].hypervolume if cause_of(trial.number) in caused else before)
    return volumes


def stagnates(volumes: Sequence[float], trials: int, tolerance: float) -> bool:
    """Whether the last so many finished trials raised the hypervolume by no more than `tolerance`, as a share of what it was.

    volumes: as of `volumes_after`. As long as there was no front before those trials, nothing stagnates.
    """
    if len(volumes) <= trials or not volumes[-1 - trials]:
        return False
    return volumes[-1] <= volumes[-1 - trials] * (1 + tolerance)
