"""Tokens of the service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from moonas.terminal.parts import console, titled_table


def print_tokens(rows: Sequence[Mapping[str, Any]]) -> None:
    """Their names, roles and ages."""
    if not rows:
        console.print("no tokens yet; make one with: moonas token create NAME")
        return
    table = titled_table("tokens")
    for heading in ("name", "role", "created"):
        table.add_column(heading)
    for row in rows:
        table.add_row(row["name"], row["role"], f"{datetime.fromtimestamp(row['created']):%Y-%m-%d %H:%M}")
    console.print(table)
