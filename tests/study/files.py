"""A small sound study, and what a reader of study files complains about."""

from collections.abc import Callable
from typing import Any

from moonas.errors import Problem, StudyFileError
from moonas.study.loading import parse_study, study_from
from moonas.study.schema import StudyConfig


def raw(**changed: Any) -> dict[str, Any]:
    """The least a study file must say, with some entries changed; None takes one out."""
    least = {
        "name": "small",
        "data": "digits",
        "space": "darts-cnn",
        "search": {"channels": 8, "cells": 3},
        "final": {"channels": 8, "cells": 5},
        "objectives": ["accuracy", "params"],
        "methods": ["random", "darts"],
    }
    return {key: value for key, value in (least | changed).items() if value is not None}


def study(**changed: Any) -> StudyConfig:
    return study_from(raw(**changed))


def complaints(**changed: Any) -> dict[str, str]:
    """{path: message} of every mistake found in the changed study; empty where it is sound."""
    return _told(lambda: study(**changed))


def yaml_complaint(text: str) -> str:
    """The one complaint about a whole file of YAML text."""
    found = _told(lambda: parse_study(text))
    assert list(found) == [""], found
    return found[""]


def _told(read: Callable[[], Any]) -> dict[str, str]:
    problems: tuple[Problem, ...] = ()
    try:
        read()
    except StudyFileError as error:
        problems = error.problems
    assert len({problem.path for problem in problems}) == len(problems), problems
    return {problem.path: problem.message for problem in problems}
