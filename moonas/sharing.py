"""Handing a whole study on: one file that another database takes in."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import moonas
from moonas.api import load_study
from moonas.storage import artifact_url, storage_url

if TYPE_CHECKING:
    from moonas.exchange.bundle.merging import Imported
    from moonas.exchange.bundle.writing import Written


def export_study(
    name: str,
    path: str | Path,
    storage: str | None = None,
    *,
    weights: bool = True,
    checkpoints: bool = False,
    force: bool = False,
) -> Written:
    """Write a study as a bundle; returns what went along.

    weights, checkpoints: whether those that are kept do. force: overwrite a file. Raises UnknownStudyError, UsageError.
    """
    from moonas.exchange.bundle.writing import write_bundle

    study = load_study(name, storage)
    return write_bundle(study, Path(path), moonas.__version__, weights=weights, checkpoints=checkpoints, force=force)


def import_study(path: str | Path, storage: str | None = None, *, name: str | None = None) -> Imported:
    """Take a bundle in, wholly or not at all; returns what became of it. name: what to call the study; its own where absent.

    A bundle that has nothing new changes nothing; a later state of a study that is there takes its place.
    Raises BundleError, StudyConflictError, LeaseError, StorageError.
    """
    from moonas.exchange.bundle.merging import import_bundle
    from moonas.store.store import Store

    url = storage_url(storage)

    with Store.open(url, create=True) as store:
        return import_bundle(store, Path(path), partial(artifact_url, url), name)
