"""No images: what stands for data in studies of functions."""

from __future__ import annotations

from moonas.data.dataset import Source
from moonas.errors import DataError


def load(root: str | None = None) -> Source:
    """Raises DataError."""
    raise DataError("data none has no images: it stands in studies of functions, which train no network")
