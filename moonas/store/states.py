"""The states that studies, trials, tasks and attempts go through, and the roles of who calls the service."""

from __future__ import annotations

from enum import StrEnum


class StudyState(StrEnum):
    """NEW until its first loop; RUNNING while one drives it; what the last one left it in otherwise."""

    NEW = "NEW"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    STOPPED = "STOPPED"
    COMPLETE = "COMPLETE"


class TrialState(StrEnum):
    """Optuna's words."""

    WAITING = "WAITING"
    RUNNING = "RUNNING"
    COMPLETE = "COMPLETE"
    PRUNED = "PRUNED"
    FAIL = "FAIL"


class TaskState(StrEnum):
    """WAITING tasks may have a checkpoint to go on from. PRUNED: given up before the end."""

    WAITING = "WAITING"
    RUNNING = "RUNNING"
    COMPLETE = "COMPLETE"
    PRUNED = "PRUNED"
    FAIL = "FAIL"


class AttemptState(StrEnum):
    """One go at a task. PAUSED, PRUNED: ended at a checkpoint, as asked. LOST: its loop or worker died without a word."""

    RUNNING = "RUNNING"
    COMPLETE = "COMPLETE"
    PAUSED = "PAUSED"
    PRUNED = "PRUNED"
    FAIL = "FAIL"
    LOST = "LOST"


class Role(StrEnum):
    """viewer: reads everything. operator: also starts, changes and deletes studies, which is running code on the server."""

    viewer = "viewer"
    operator = "operator"
