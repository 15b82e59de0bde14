"""Results as JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from moonas.cli.options import Format


def print_data(value: Any, output: Format) -> None:
    """JSON as it is; CSV with nested values as JSON and formulas of spreadsheets defused."""
    if output is Format.json:
        print(json.dumps(value, indent=2))
        return
    rows = [_flat(row) for row in value]
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(dict.fromkeys(key for row in rows for key in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    print(text.getvalue(), end="")


def _flat(row: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """One level of cells: `metrics.accuracy.value`. Genotypes and budgets stay whole, as JSON."""
    flat: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, dict) and key not in ("genotype", "budget"):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            text = json.dumps(value) if isinstance(value, dict | list) else value
            flat[prefix + key] = f"'{text}" if isinstance(text, str) and text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
    return flat
