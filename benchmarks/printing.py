"""What the benchmarks print: tables in Markdown, and on which machine they were made."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from datetime import date
from importlib.metadata import version

from moonas.machine import cpu_name


def header(*names: str) -> Iterator[str]:
    yield row(*names)
    yield row(*["---"] * len(names))


def row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def yes_or_no(reached: bool) -> str:
    return "yes" if reached else "no"


def machine() -> str:
    versions = ", ".join(f"{name} {version(name)}" for name in ("moonas", "torch", "numpy"))
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    return f"{date.today()}, {cpu_name()}, {os.cpu_count()} cores (load {load}), Python {platform.python_version()}, {versions}"
