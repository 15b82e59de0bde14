"""Where things are kept: study database, artifacts and cache, from options, study files and the environment."""

from __future__ import annotations

import os
from pathlib import Path

DEFAULT_STORAGE = "sqlite:///moonas.db"
ARTIFACT_FOLDER = "moonas-artifacts"


def storage_url(option: str | None = None, from_file: str | None = None) -> str:
    """The database's URL: the option, else the study file's, else MOONAS_STORAGE, else moonas.db in the working directory."""
    return option or from_file or os.environ.get("MOONAS_STORAGE") or DEFAULT_STORAGE


def cache_folder() -> Path:
    """Where what can be worked out again is kept: `moonas` below XDG_CACHE_HOME, or below ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "moonas"


def artifact_url(storage: str, study: str, from_file: str | None = None) -> str:
    """The folder of a study's artifacts, as an absolute URL.

    The study file's folder, else MOONAS_ARTIFACTS, else `moonas-artifacts` beside the SQLite file, else in the working directory.
    """
    folder = from_file or os.environ.get("MOONAS_ARTIFACTS")
    if folder is None:
        start, _, path = storage.partition(":///")
        beside = Path(path).parent if start.startswith("sqlite") and path and path != ":memory:" else Path()
        folder = str(beside / ARTIFACT_FOLDER)
    if "://" not in folder:
        folder = Path(folder).absolute().as_uri()
    return f"{folder.rstrip('/')}/{study}"


def storage_folder(storage: str) -> Path:
    """Where files beside a database go: the folder of an SQLite file, else the working directory."""
    start, _, path = storage.partition(":///")
    return Path(path).parent if start.startswith("sqlite") and path and path != ":memory:" else Path()
