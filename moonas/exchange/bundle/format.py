"""What a bundle looks like, for those who write and those who read it.

A zip file of, in this order: `manifest.json`; `study.json`, the study itself; for each table of `moonas.store.copying` its rows,
`TABLE.jsonl`, one JSON object a line; `artifacts.jsonl`; and `artifacts/SHA256.safetensors`, one for each different file. JSON is
in the one form that `encode` gives. The manifest has the size and the SHA-256 of every other member. There is nothing else in the
file, and no time: equal studies make equal bundles.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from moonas.store.copying import TABLES

FORMAT = 2
LATER = {1: {"progress": ("mixture",)}}  # columns that a table of an earlier format does not have yet, the last ones here
MANIFEST, STUDY, ARTIFACTS = "manifest.json", "study.json", "artifacts.jsonl"
ROWS = [f"{copied.name}.jsonl" for copied in TABLES]
FILE = re.compile(r"artifacts/([0-9a-f]{64})\.safetensors")
ARTIFACT_COLUMNS = ("task_id", "kind", "step", "sha256", "bytes")
KINDS = ("checkpoint", "weights")
EPOCH = (1980, 1, 1, 0, 0, 0)  # the time of every member: the first that a zip file can tell
LEAST_JSON = 64 * 2**20  # bytes of JSON that any bundle may unpack to
MOST_PACKED = 100  # beyond that, how many times its own size


_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)  # objects keep their order, which may mean something


def encode(value: Any) -> bytes:
    """A JSON value as a line. Raises ValueError for NaN and infinities."""
    return _ENCODER.encode(value).encode() + b"\n"


def decode(line: bytes) -> Any:
    """The value of a line that `encode` wrote.

    Raises ValueError for any other: another form of the same value, NaN, text that is no Unicode or holds NUL, too deep a nesting.
    """
    try:
        value = json.loads(line, parse_constant=_refuse)
        json.dumps(value, ensure_ascii=False).encode()
        if encode(value) != line or b"\\u0000" in line:
            raise ValueError("is not in the form that moonas writes")
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")
