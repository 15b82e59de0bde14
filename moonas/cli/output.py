"""Results as JSON and CSV."""

from __future__ import annotations

import json
from typing import Any

from moonas.cli.options import Format


def print_data(value: Any, output: Format) -> None:
    """Print it in that form."""
    if output is Format.json:
        print(json.dumps(value, indent=2))
    else:
        from moonas.sheets import to_csv

        print(to_csv(value), end="")
