"""What a study saved by giving trainings up before their end."""

from __future__ import annotations

from dataclasses import dataclass

from moonas.results.study import Study
from moonas.store.states import TaskState


@dataclass(frozen=True)
class Savings:
    """trainings: that were given up. seconds: device-seconds they took. saved: about what their other epochs would have taken."""

    trainings: int
    seconds: float
    saved: float


def savings(study: Study) -> Savings | None:
    """None for a study that gives nothing up. An attempt runs to the end of the epoch in which it learns that it is to end."""
    if study.config.pruning is None:
        return None
    given_up = {task.id: task.result or {} for task in study.store.tasks(study.record.id, state=TaskState.PRUNED)}
    seconds = dict.fromkeys(given_up, 0.0)
    for attempt in study.store.attempts(study.record.id):
        if attempt.task_id in seconds:
            seconds[attempt.task_id] += attempt.seconds or 0.0
    saved = sum(seconds[id] * (why["epochs"] - why["epoch"] - 1) / (why["epoch"] + 1) for id, why in given_up.items())
    return Savings(len(given_up), sum(seconds.values()), saved)
