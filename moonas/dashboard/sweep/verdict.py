"""What is to be said of a study file's text: every mistake with its line, else what starting it would mean here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from moonas import api
from moonas.dashboard.catalogue import Catalogue
from moonas.errors import MoonasError, NoDatabaseError, Problem, StudyFileError, UnknownStudyError
from moonas.outer.past import with_past
from moonas.outer.plan import Plan
from moonas.outer.warm_start import with_distributions
from moonas.study.changes import Change, changes
from moonas.study.loading import parse_yaml, study_from
from moonas.study.reserved import REFUSAL, reserved
from moonas.study.yaml_text import line_of, read_path

_LINE = re.compile(r"not YAML: line (\d+)")


@dataclass(frozen=True)
class Mistake:
    """line: from 1. path: as the study file's reader names it; empty for the whole."""

    line: int
    path: str
    message: str


@dataclass(frozen=True)
class Verdict:
    """mistakes: where there are any, nothing else is known. name: of the study.

    stored: whether there is one of that name. refused: what must not change under its name. added: what needs to be accepted.
    """

    mistakes: tuple[Mistake, ...] = ()
    name: str = ""
    stored: bool = False
    refused: tuple[Change, ...] = ()
    added: tuple[Change, ...] = ()

    @property
    def startable(self) -> bool:
        return not self.mistakes and not self.refused


def judge(text: str, catalogue: Catalogue) -> Verdict:
    """The same checks as on the command line and in the service."""
    try:
        raw = parse_yaml(text)
        if isinstance(raw, Mapping) and (ours := [Problem(path, REFUSAL) for path in reserved(raw)]):
            raise StudyFileError("study", ours)
        return _standing(api.validate(raw if isinstance(raw, Mapping) else {}), catalogue)
    except StudyFileError as error:
        return Verdict(mistakes=tuple(sorted((_placed(text, one) for one in error.problems), key=lambda one: one.line)))
    except MoonasError as error:
        return Verdict(mistakes=(Mistake(1, "", str(error)),))


def is_yaml(text: str) -> bool:
    """Whether text can be shown as a form."""
    try:
        data = parse_yaml(text)
    except StudyFileError:
        return False
    return data is None or isinstance(data, Mapping)


def _placed(text: str, problem: Problem) -> Mistake:
    if found := _LINE.match(problem.message):
        return Mistake(int(found[1]), problem.path, problem.message)
    return Mistake(line_of(text, read_path(problem.path)), problem.path, problem.message)


def _standing(plan: Plan, catalogue: Catalogue) -> Verdict:
    """How a sound study stands to the stored one of its name. Raises MoonasError where it needs what is not there."""
    name = plan.config.name
    with suppress(NoDatabaseError, UnknownStudyError):
        record = catalogue.store.study(name)
        stored = study_from(record.config, f"study {name}")
        config = with_distributions(plan.config, catalogue.store, stored)
        config = replace(config, history=with_past(plan, catalogue.store, stored))
        found = changes(stored, config)
        refused, added = ([one for one in found if one.kind == kind] for kind in ("refused", "addition"))
        return Verdict(name=name, stored=True, refused=tuple(refused), added=tuple(added))
    return Verdict(name=name)


def told(verdict: Verdict) -> dict[str, Any]:
    """What the page's script needs to know."""
    return {
        "ok": verdict.startable,
        "sound": not verdict.mistakes,
        "name": verdict.name,
        "extend": bool(verdict.added),
        "mistakes": [{"line": one.line, "path": one.path, "message": one.message} for one in verdict.mistakes],
    }
