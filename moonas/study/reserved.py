"""What only a server chooses of a study: a file that a client sends it may not say where things lie or who works."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

RESERVED = (  # places and addresses
    ("storage",),
    ("artifacts",),
    ("data", "root"),
    ("data", "test"),
    ("workers", "address"),
    ("history", "csv"),
)
REFUSAL = "is the server's own and cannot be sent; leave it out"


def reserved(raw: Mapping[str, Any]) -> Iterator[str]:
    """The paths of all settings in a study file that only the server chooses."""
    for section, *below in RESERVED:
        value = raw.get(section)
        if not below and value is not None:
            yield section
        for number, item in enumerate(value if isinstance(value, list) else [value]):
            if below and isinstance(item, Mapping) and item.get(below[0]) is not None:
                yield f"{section}[{number}].{below[0]}" if isinstance(value, list) else f"{section}.{below[0]}"
