"""Random streams: one integer seed per purpose, derived from what the purpose depends on and from nothing else.

Search: (study seed, replicate, purpose). Evaluation: (study seed, key, skeleton, protocol, replicate). Ask: (study seed, ask
index). Split: study seed. Never a trial number: results must not depend on who came first.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no blanks: equal values give equal text."""
    return _ENCODER.encode(value)


def digest(value: Any, length: int = 16) -> str:
    """The first `length` hexadecimal digits of the SHA-256 of a JSON value."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:length]


def stream(*parts: Any) -> int:
    """A seed in [0, 2**63) for the stream that `parts` name; any JSON values."""
    return int(digest(list(parts)), 16) >> 1
