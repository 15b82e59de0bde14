"""Study files from disk or from a database, checked as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from moonas.errors import Problem, StudyFileError, UsageError
from moonas.study.checks import check_no_password, check_parts, without_password
from moonas.study.device_tables import read_tables
from moonas.study.history import read_history
from moonas.study.schema import StudyConfig, read_study
from moonas.study.strict_yaml import StrictLoader
from moonas.study.validation import Place


def load_study(path: str | Path) -> StudyConfig:
    """The study that a YAML file asks for. Raises StudyFileError with every mistake, each with its path in the file."""
    return study_from(read_file(Path(path)), str(path))


def read_file(path: Path, with_tables: bool = True) -> Any:
    """The content of a study file, unchecked, with the rows of the CSV files in its history.

    with_tables: also device tables in place of the paths it names. Raises StudyFileError.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise StudyFileError(str(path), [Problem("", "no such file")]) from error
    except (OSError, UnicodeDecodeError) as error:
        raise StudyFileError(str(path), [Problem("", f"cannot be read: {error}")]) from error
    raw = parse_yaml(text, str(path))
    try:
        raw = read_history(raw, path.parent)
    except UsageError as error:
        raise StudyFileError(str(path), [Problem("history", str(error))]) from error
    try:
        return read_tables(raw, path.parent) if with_tables else raw
    except UsageError as error:
        raise StudyFileError(str(path), [Problem("device_tables", str(error))]) from error


def parse_study(text: str, source: str = "study file") -> StudyConfig:
    """The study that YAML text asks for. Raises StudyFileError."""
    return study_from(parse_yaml(text, source), source)


def parse_yaml(text: str, source: str = "study file") -> Any:
    """The content of YAML text, unchecked. Raises StudyFileError."""
    try:
        return yaml.load(text, Loader=StrictLoader)  # a SafeLoader
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        message = getattr(error, "problem", None) or str(error) or "nested too deeply"
        raise StudyFileError(source, [Problem("", f"not YAML: {where}{message}")]) from error


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
