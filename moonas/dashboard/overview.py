"""Every study in one line, read in a few queries over whole tables."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from moonas.outer.planned import planned_trials
from moonas.store.database import Database
from moonas.store.pages import driven_since
from moonas.store.states import StudyState, TrialState
from moonas.store.store import Store
from moonas.store.summaries import study_summaries
from moonas.store.tables import Attempt, Front, Study, Task, Trial

STEPS = 40  # of a study's hypervolume in its sparkline, its first and its last among them
RECENT = 20  # finished trials that the time left is told from


@dataclass(frozen=True)
class StudyLine:
    """One study. trials: how many in each state. planned: how many there will be, as far as the file says.

    driven: whether a process drives it, as far as can be told from here.
    accuracy: the best on the front. hypervolume: after some of the front's changes. device_seconds: of all ended attempts.
    seconds_left: about, where trials are being finished; None elsewhere.
    """

    name: str
    state: StudyState
    driven: bool
    created: float
    trials: dict[TrialState, int]
    planned: int
    accuracy: float | None
    hypervolume: tuple[float, ...]
    device_seconds: float
    last_event: float | None
    seconds_left: float | None

    @property
    def finished(self) -> int:
        """Trials that are over, however they ended."""
        return sum(self.trials.get(state, 0) for state in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL))


def study_lines(store: Store) -> list[StudyLine]:
    """All studies, the oldest first."""
    database = store.database
    summaries = study_summaries(database)
    driven = driven_since(database)
    steps: dict[int, list[float]] = defaultdict(list)
    with database.connection() as connection:
        fronts = select(Front.study_id, Front.hypervolume).order_by(Front.study_id, Front.number)
        for study_id, hypervolume in connection.execute(fronts):
            steps[study_id].append(hypervolume)
        taken = select(Task.study_id, func.sum(Attempt.seconds)).join(Attempt, Attempt.task_id == Task.id).group_by(Task.study_id)
        seconds: dict[int, float] = {study_id: total or 0.0 for study_id, total in connection.execute(taken)}
        hashes: dict[int, str] = {row.id: row.config_hash for row in connection.execute(select(Study.id, Study.config_hash))}
    lines = []
    for study in [study for study in summaries if study.id in hashes]:  # the others have just been deleted
        planned = max(planned_trials(store, study.name, hashes[study.id]) or 0, sum(study.trials.values()))
        line = StudyLine(
            name=study.name,
            state=study.state,
            driven=study.id in driven,
            created=study.created,
            trials=study.trials,
            planned=planned,
            accuracy=study.accuracy,
            hypervolume=tuple(_thinned(steps[study.id])),
            device_seconds=seconds.get(study.id, 0.0),
            last_event=study.last_event,
            seconds_left=None,
        )
        left = planned - line.finished
        pace = seconds_per_trial(database, study.id) if study.state is StudyState.RUNNING and left else None
        lines.append(line if pace is None else StudyLine(**{**vars(line), "seconds_left": left * pace}))
    return lines


def standing(state: StudyState, driven: bool) -> str:
    """A study's state as pages show it. One that is RUNNING by its record alone has lost the process that drove it."""
    return "NO PROCESS" if state is StudyState.RUNNING and not driven else state.value


def seconds_per_trial(database: Database, study_id: int) -> float | None:
    """The pace at which the last trials were finished; None before there are three."""
    last = select(Trial.finished).where(Trial.study_id == study_id, Trial.finished.is_not(None))
    with database.connection() as connection:
        times: list[Any] = list(connection.scalars(last.order_by(Trial.finished.desc()).limit(RECENT)))
    return (times[0] - times[-1]) / (len(times) - 1) if len(times) > 2 else None


def _thinned(steps: list[float]) -> list[float]:
    if len(steps) <= STEPS:
        return steps
    return [steps[round(place * (len(steps) - 1) / (STEPS - 1))] for place in range(STEPS)]
