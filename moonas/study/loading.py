"""Study files from disk or from a database, checked as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from moonas.errors import Problem, StudyFileError, UsageError
from moonas.study.checks import check_no_password, check_parts, without_password
from moonas.study.device_tables import read_tables
from moonas.study.schema import StudyConfig, read_study
from moonas.study.strict_yaml import StrictLoader
from moonas.study.validation import Place


def load_study(path: str | Path) -> StudyConfig:
    """The study that a YAML file asks for. Raises StudyFileError with every mistake, each with its path in the file."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise StudyFileError(str(path), [Problem("", "no such file")]) from error
    except (OSError, UnicodeDecodeError) as error:
        raise StudyFileError(str(path), [Problem("", f"cannot be read: {error}")]) from error
    return parse_study(text, str(path), path.parent)


def parse_study(text: str, source: str = "study file", folder: Path | None = None) -> StudyConfig:
    """The study that YAML text asks for. folder: where files that it names lie; none are read without. Raises StudyFileError."""
    try:
        raw = yaml.load(text, Loader=StrictLoader)  # a SafeLoader
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        message = getattr(error, "problem", None) or str(error) or "nested too deeply"
        raise StudyFileError(source, [Problem("", f"not YAML: {where}{message}")]) from error
    if folder is not None:
        try:
            raw = read_tables(raw, folder)
        except UsageError as error:
            raise StudyFileError(source, [Problem("device_tables", str(error))]) from error
    return study_from(raw, source)


def study_from(raw: Mapping[str, Any] | Any, source: str = "study") -> StudyConfig:
    """The study that plain data describes: a parsed file, or what `StudyConfig.to_json` gave. Raises StudyFileError."""
    problems: list[Problem] = []
    place = Place(problems)
    check_no_password(raw, place)
    parts = read_study(raw, place)
    check_parts(parts, place)
    if problems:
        raise StudyFileError(source, [Problem(without_password(p.path), without_password(p.message)) for p in problems])
    return StudyConfig(**parts)
