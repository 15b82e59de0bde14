"""Where things are kept: study database, artifacts and cache, from options, study files and the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from moonas.seeds import digest

DEFAULT_STORAGE = "sqlite:///moonas.db"
ARTIFACT_FOLDER = "moonas-artifacts"
SECRETS = ("MOONAS_STORAGE", "PGPASSWORD")  # variables of the loop alone, which may hold a password


def storage_url(option: str | None = None, from_file: str | None = None) -> str:
    """The database's URL: the option, else the study file's, else MOONAS_STORAGE, else moonas.db in the working directory."""
    return option or from_file or os.environ.get("MOONAS_STORAGE") or DEFAULT_STORAGE


def without_storage(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment for processes that have nothing to do with the study database, and so need no password of it."""
    return {name: value for name, value in environment.items() if name not in SECRETS}


def cache_folder() -> Path:
    """Where what can be worked out again is kept: `moonas` below XDG_CACHE_HOME, or below ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "moonas"


def study_folder(storage: str, study: str, created: float) -> str:
    """The name of the folder of one study's artifacts, which no other study has, nor its copy in another database.

    storage: URL of its database. created: when it was made.
    """
    scheme, _, rest = storage.partition("://")
    server = rest.rpartition("@")[2]  # without user and password
    place = str(Path(rest.removeprefix("/")).absolute()) if scheme.startswith("sqlite") else server
    return f"{study}-{digest([place, study, created], 8)}"


def artifact_url(storage: str, study: str, created: float, from_file: str | None = None) -> str:
    """The folder of a study's artifacts, as an absolute URL. storage, study, created: as of `study_folder`, which names it.

    It lies in the study file's `artifacts`, else in MOONAS_ARTIFACTS, else in `moonas-artifacts` beside the SQLite file, else in
    that of the working directory.
    """
    above = from_file or os.environ.get("MOONAS_ARTIFACTS")
    if above is None:
        above = str(storage_folder(storage) / ARTIFACT_FOLDER)
    if "://" not in above:
        above = Path(above).absolute().as_uri()
    return f"{above.rstrip('/')}/{study_folder(storage, study, created)}"


def storage_folder(storage: str) -> Path:
    """Where files beside a database go: the folder of an SQLite file, else the working directory."""
    start, _, path = storage.partition(":///")
    return Path(path).parent if start.startswith("sqlite") and path and path != ":memory:" else Path()
