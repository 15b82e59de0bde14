"""A study of one search and one training that takes real workers a few seconds, and how to run it in this process."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import moonas
from moonas.outer.loop import Loop

EPOCHS = 12  # of the search: some are left when a loop that has heard of the second one asks it to pause

STUDY: dict[str, Any] = {
    "name": "tiny",
    "data": {"name": "digits", "images": 300},
    "space": {"name": "darts-cnn", "nodes": 1, "operations": ["none", "max_pool_3x3", "skip_connect", "sep_conv_3x3"]},
    "search": {"channels": 2, "cells": 3},
    "final": {"channels": 2, "cells": 3},
    "objectives": ["accuracy", "params"],
    "methods": [{"name": "darts", "epochs": EPOCHS, "batch": 32}],
    "budgets": {"params": ["80%"]},
    "protocol": {"name": "short", "epochs": 20},
    "workers": {"devices": "cpu", "tasks_per_device": 1},
}


class Watching:
    """Notes every line, and calls `at(loop)` at each tick."""

    def __init__(self, at: Any = None) -> None:
        self.lines: list[str] = []
        self.at = at

    def tick(self, loop: Loop) -> None:
        if self.at is not None:
            self.at(loop)

    def note(self, text: str) -> None:
        self.lines.append(text)


def run(folder: Path, watcher: Watching | None = None, **changed: Any) -> Any:
    """Run the study in a database of this folder, or go on with it."""
    return moonas.run({**STUDY, **changed}, f"sqlite:///{folder}/study.db", watcher=watcher or Watching())


def front(study: Any) -> list[dict[str, Any]]:
    return [member.to_json() for member in study.front()]


def epoch_of(loop: Loop) -> tuple[str, int]:
    """What runs in the first slot, and how many epochs of it have been reported."""
    running = loop.slots.running.get(0)
    return (running.task.record.kind, running.task.progress.get("step", 0)) if running else ("", 0)


def kill_worker(loop: Loop) -> None:
    os.kill(int(loop.slots.running[0].worker.rpartition("/")[2]), signal.SIGKILL)
