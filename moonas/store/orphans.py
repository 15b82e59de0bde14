"""Files of artifacts that no row names, and rows whose file is missing: found in each study's own folder, and mended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from sqlalchemy import select

from moonas.errors import LeaseError, StorageError
from moonas.store.checks import FORGET
from moonas.store.lease import LEASE_SECONDS
from moonas.store.queries import columns
from moonas.store.records import ArtifactRecord, StudyRecord
from moonas.store.store import Store
from moonas.store.tables import Artifact, Task
from moonas.worker.artifacts import File, delete_artifact, list_artifacts

YOUNG = 10 * LEASE_SECONDS  # a file this young may be a task's that has not told of it yet

FolderOf = Callable[[StudyRecord], str]  # the URL of a study's own folder


def problems(store: Store, folder_of: FolderOf) -> Iterator[str]:
    """One sentence for each study with files that belong to nothing, or with rows whose object is missing. Changes nothing."""
    for study in _studies(store):
        try:
            strays, missing = _look(store, study, folder_of(study))
        except StorageError as error:
            yield f"study {study.name!r}: {error}"
            continue
        if strays:
            yield (
                f"study {study.name!r}: {_amount(strays)} belong to nothing, such as {strays[0].url}; "
                "moonas db check --fix removes them"
            )
        for artifact in missing:
            if not artifact.url.startswith("file:"):  # those are told of with the rest of the database
                yield f"study {study.name!r}: the {artifact.kind} {artifact.url} is missing; {FORGET}"


def fix(store: Store, folder_of: FolderOf) -> Iterator[str]:
    """Remove the files and forget the rows, each study under its lease; one sentence for each thing done or left alone."""
    for study in _studies(store):
        try:
            with store.ledger(study.id) as ledger:
                strays, missing = _look(store, study, folder_of(study))
                ledger.forget_artifacts([artifact.id for artifact in missing])
                for file in strays:
                    delete_artifact(file.url)
        except (LeaseError, StorageError) as error:
            yield f"left alone: {error}"
            continue
        if missing:
            kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(Counter(a.kind for a in missing).items()))
            yield f"study {study.name!r}: forgot artifacts whose files are missing: {kinds}; what needs them starts again"
        if strays:
            yield f"study {study.name!r}: removed {_amount(strays)} that belonged to nothing"


def _look(store: Store, study: StudyRecord, folder: str) -> tuple[list[File], list[ArtifactRecord]]:
    """(files of the folder that are no longer young and that no row names, rows whose file is missing). Raises StorageError."""
    files = list_artifacts(folder)  # before the rows are read: what is written meanwhile is then only in these
    query = select(*columns(ArtifactRecord, Artifact)).join(Task).where(Task.study_id == study.id).order_by(Artifact.url)
    with store.database.read() as session:
        rows = [ArtifactRecord(*row) for row in session.execute(query)]
    named, there = {_name(row.url) for row in rows}, {_name(file.url) for file in files}  # unique; a folder may have two names
    strays = [file for file in files if _name(file.url) not in named and file.seconds > YOUNG]
    return strays, [row for row in rows if _name(row.url) not in there and _is_missing(row.url, folder)]


def _name(url: str) -> str:
    return url.rpartition("/")[2]


def _is_missing(url: str, folder: str) -> bool:
    """Whether a file that the folder's listing does not have is missing; of other places only disks are looked at."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        return not Path(url2pathname(parts.path)).exists()
    return url.rpartition("/")[0] == folder.rstrip("/")


def _studies(store: Store) -> list[StudyRecord]:
    return [store.study(summary.name) for summary in store.studies()]


def _amount(files: list[File]) -> str:
    return f"{len(files)} file{'' if len(files) == 1 else 's'} of {sum(file.bytes for file in files) / 1e6:.1f} MB"
