"""Trials of elsewhere that a study's sampler learns from: `history: [{study: NAME}, {csv: FILE}]`."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ConfigDict

from moonas.errors import UsageError, nearest
from moonas.study.metrics import METRICS

PARAMETERS = ("method", "budget", "channels", "cells", "replicate")
PREFIXES = ("setting.", "choice.", "metrics.", "user_attrs.")
# What `moonas trials` prints besides.
REMARKS = ("number", "state", "violation", "reason", "collapse", "fallback", "halved", "enqueued")

Rows = dict[str, dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Past:
    """Trials of another study of the database, or rows of a CSV file.

    trials: {trial number, or line of the file: {column: value}}, with the columns of `moonas trials --format csv`.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    study: str | None = None
    """a study of the same database; its complete trials"""
    csv: str | None = None
    """a CSV file, beside the study file unless absolute; only a study file on disk may name one"""
    trials: Rows | None = None
    """the rows themselves, by trial number or line, as they are stored; filled in by `moonas run`"""

    def __str__(self) -> str:
        return f"study {self.study}" if self.study else f"{self.csv}"

    def where(self, key: str) -> str:
        """Where the trial that stands under `key` comes from."""
        return f"{self}, {'trial' if self.study else 'line'} {key}"


def read_history(raw: Any, folder: Path) -> Any:
    """`raw`, a study file's content, with the rows of the CSV files that it names, below `folder`.

    Raises UsageError where a file cannot be read, naming line and column; what its cells mean is not looked at.
    """
    if not isinstance(raw, Mapping) or not isinstance(raw.get("history"), list):
        return raw
    return {**raw, "history": [_with_rows(item, folder) for item in raw["history"]]}


def _with_rows(item: Any, folder: Path) -> Any:
    if not isinstance(item, Mapping) or not isinstance(item.get("csv"), str) or "trials" in item:
        return item
    return {**item, "trials": csv_rows(folder / item["csv"])}


def csv_rows(path: Path) -> Rows:
    """{line: {column: text}} of the complete trials in a CSV file, empty cells left out. Raises UsageError."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            columns = next(reader, [])
            _check_columns(columns, path)
            lines = {str(reader.line_num): cells for cells in reader if any(cells)}
    except FileNotFoundError as error:
        raise UsageError(f"there is no file {path}") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error
    rows: Rows = {}
    for line, cells in lines.items():
        if len(cells) != len(columns):
            raise UsageError(f"{path}, line {line}: {len(cells)} cells under {len(columns)} columns")
        row = {column: cell for column, cell in zip(columns, cells, strict=True) if cell}
        if row.get("state", "COMPLETE") == "COMPLETE":
            rows[line] = {column: cell for column, cell in row.items() if column not in REMARKS}
    return rows


def _check_columns(columns: list[str], path: Path) -> None:
    known = [*PARAMETERS, *REMARKS, *(f"metrics.{metric}" for metric in METRICS)]
    for column in columns:
        if column not in known and not column.startswith(PREFIXES):
            raise UsageError(f"{path}, line 1, column {column!r}: is not known{nearest(column, known)}")
        if columns.count(column) > 1:
            raise UsageError(f"{path}, line 1, column {column!r}: stands more than once")
    if not columns:
        raise UsageError(f"{path} is empty: its first line names the columns, as `moonas trials --format csv` prints them")
