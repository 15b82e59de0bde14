"""Rows as CSV: nested values flattened or as JSON, and formulas of spreadsheets defused."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

FORMULAS = ("=", "+", "-", "@", "\t", "\r")  # what spreadsheets take for the beginning of one


def to_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """A line of column names, then one for each row; a row need not have every column."""
    flat = [_flat(row) for row in rows]
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(dict.fromkeys(key for row in flat for key in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return text.getvalue()


def _flat(row: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """One level of cells: `metrics.accuracy.value`. Genotypes and budgets stay whole, as JSON."""
    flat: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, dict) and key not in ("genotype", "budget"):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[_defused(prefix + key)] = _defused(json.dumps(value) if isinstance(value, dict | list) else value)
    return flat


def _defused(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULAS) else cell
