"""A sampler in a process of its own, for one that loads torch, as Optuna's `gp` does: the process of the loop never does.

It gets the study, then, for each ask, what became known since the one before, and answers with a design: a line of JSON each.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import weakref
from collections.abc import Mapping
from typing import IO, Any

from moonas.errors import TaskError
from moonas.outer.plan import Design, Plan
from moonas.outer.samplers.optuna import OptunaSampler
from moonas.outer.samplers.sampler import Draw, History
from moonas.study.loading import study_from
from moonas.worker.devices import THREAD_VARIABLES


class Apart:
    """Asks an `OptunaSampler` in another process, which begins with the first ask and ends with this object."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._process: subprocess.Popen[str] | None = None
        self._seen = 0  # how many of the history's changes the other process knows

    def propose(self, history: History, index: int) -> tuple[Design, Mapping[str, Any]]:
        """See `OptunaSampler.propose`. Raises TaskError where the other process ends."""
        process = self._process or self._start()
        changed = sorted(set(history.changes[self._seen :]))
        self._seen = len(history.changes)
        draws = [(number, _to_json(history.draw(number))) for number in changed]
        try:
            _write(process.stdin, {"index": index, "draws": draws})
            answer = json.loads(process.stdout.readline())  # type: ignore[union-attr]
        except (OSError, ValueError) as error:
            self._process = None
            name = self.plan.config.sampler.name
            raise TaskError(
                f"the process of the sampler {name!r} ended with code {process.wait()}; what it said stands above"
            ) from error
        return Design.from_params(answer["params"]), answer["attributes"]

    def _start(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "moonas.outer.samplers.apart"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **dict.fromkeys(THREAD_VARIABLES, "1")},
            start_new_session=True,  # Ctrl-C is the loop's to handle
        )
        weakref.finalize(self, _end, process)
        _write(process.stdin, self.plan.config.to_json())
        self._process, self._seen = process, 0
        return process


class _Mirror(History):
    """What the other process knows of the history."""

    def put(self, number: int, draw: Draw) -> None:
        self._draws[number] = draw
        self.changes.append(number)

    @property
    def drawn(self) -> int:
        return len(self._draws)


def serve(lines: IO[str], answers: IO[str]) -> None:
    """Answer asks until there are no more lines."""
    sampler, known = OptunaSampler(Plan(study_from(json.loads(lines.readline())))), _Mirror()
    for line in lines:
        asked = json.loads(line)
        for number, draw in asked["draws"]:
            known.put(number, _from_json(draw))
        design, attributes = sampler.propose(known, asked["index"])
        _write(answers, {"params": design.to_params(), "attributes": attributes})


def _to_json(draw: Draw) -> dict[str, Any]:
    return {**vars(draw), "design": draw.design.to_params()}


def _from_json(draw: Mapping[str, Any]) -> Draw:
    return Draw(**{**draw, "design": Design.from_params(draw["design"])})


def _write(to: IO[str] | None, message: Any) -> None:
    assert to is not None
    to.write(json.dumps(message) + "\n")
    to.flush()


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


if __name__ == "__main__":
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever a library prints is no answer
    serve(sys.stdin, answers)
