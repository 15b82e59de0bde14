"""Taking a bundle into a database: a study that is not there is added, an earlier state of it goes on, anything else is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from sqlalchemy.exc import IntegrityError

from moonas.errors import StudyConflictError, UnknownStudyError
from moonas.exchange.bundle.checking import check_study
from moonas.exchange.bundle.content import Content, read_content
from moonas.exchange.bundle.reading import Bundle, open_bundle
from moonas.exchange.known_metrics import declare_known_metrics
from moonas.store import lease
from moonas.store.copying import Row, clear_study, write_rows, write_study
from moonas.store.records import StudyRecord
from moonas.store.store import Store
from moonas.study.changes import changes, scientific_hash
from moonas.study.loading import study_from
from moonas.worker.artifacts import delete_artifact, write_artifact

FolderOf = Callable[[str, float, str | None], str]  # (name, when it was made, `artifacts` of its file) -> URL of its folder


@dataclass(frozen=True)
class Imported:
    """What became of a bundle. trials: of the study, now; before: until now."""

    name: str
    outcome: Literal["added", "continued", "unchanged"]
    trials: int
    before: int = 0


def import_bundle(store: Store, path: Path, folder_of: FolderOf, name: str | None = None) -> Imported:
    """Take a bundle in, wholly or not at all. name: what to call the study here; its own where absent.

    Where a study of that name is there, the bundle must be of the same study: nothing changes where it has nothing new, and where
    it is a later state of it, the study goes on to that. Raises BundleError, StudyConflictError, LeaseError.
    """
    declare_known_metrics(store)
    with open_bundle(path) as bundle:
        content = _named(bundle.content, name)
        check_study(content, str(path))
        try:
            present = store.study(content.study["name"])
        except UnknownStudyError:
            return _add(store, bundle, content, folder_of)
        return _go_on(store, bundle, content, folder_of, present)


def _named(content: Content, name: str | None) -> Content:
    if name is None or name == content.study["name"]:
        return content
    config = study_from({**content.study["config"], "name": name}, f"--name {name}")
    return replace(
        content, study={**content.study, "name": name, "config": config.to_json(), "config_hash": scientific_hash(config)}
    )


def _add(store: Store, bundle: Bundle, content: Content, folder_of: FolderOf) -> Imported:
    about = content.study
    try:
        folder = folder_of(about["name"], about["created"], None)
        with _files(bundle, content, folder) as files, store.database.write() as session:
            spare = write_rows(session, write_study(session, about), content.rows, files)
    except IntegrityError as error:
        raise StudyConflictError(f"{store.database.shown} holds a study {about['name']!r} since a moment ago") from error
    _delete(spare)
    return Imported(about["name"], "added", len(content.rows["trials"]))


def _go_on(store: Store, bundle: Bundle, content: Content, folder_of: FolderOf, present: StudyRecord) -> Imported:
    kept = {name: present.config.get(name) for name in ("storage", "artifacts")}
    here = read_content(store.database, present.id)
    if not _is_later(content, here):
        return Imported(present.name, "unchanged", len(here.rows["trials"]), len(here.rows["trials"]))
    about = {**content.study, "config": {**content.study["config"], **kept}}
    with store.ledger(present.id) as ledger:
        if read_content(store.database, present.id).lasting != here.lasting:
            raise StudyConflictError(f"study {present.name!r} went on while the bundle was read; try again")
        folder = folder_of(present.name, present.created, kept["artifacts"])
        with _files(bundle, content, folder) as files, store.database.write() as session:
            lease.extend(session, present.id, ledger.holder, ledger.ttl)
            old = clear_study(session, present.id)
            spare = write_rows(session, write_study(session, about, present.id), content.rows, files)
    _delete([*old, *spare])
    return Imported(present.name, "continued", len(content.rows["trials"]), len(here.rows["trials"]))


def _is_later(content: Content, here: Content) -> bool:
    """Whether the bundle has more of the study that is here. Raises StudyConflictError where it is another, or has gone apart."""
    name = here.study["name"]
    advice = "give the imported one another --name"
    if content.study["created"] != here.study["created"]:
        there, other = (datetime.fromtimestamp(one["created"], UTC) for one in (here.study, content.study))
        stored, brought = (study_from(one["config"], f"study {name}") for one in (here.study, content.study))
        listed = "".join(f"\n  {change}" for change in changes(stored, brought) if change.kind != "free")
        raise StudyConflictError(
            f"the database holds another study {name!r}, made {there:%Y-%m-%d %H:%M:%S} UTC, not {other:%Y-%m-%d %H:%M:%S} UTC; "
            f"{advice}{listed}"
        )
    only_here, only_there = here.lasting - content.lasting, content.lasting - here.lasting
    if only_here and only_there:
        raise StudyConflictError(
            f"study {name!r} has gone on both here and where the bundle was written: {len(only_here)} events, fronts and attempts "
            f"are here alone, {len(only_there)} there alone; {advice}"
        )
    return bool(only_there)


@contextmanager
def _files(bundle: Bundle, content: Content, folder: str) -> Iterator[list[Row]]:
    """Rows of the bundle's artifacts with the files that are written for them; unless the block ends well, these go again."""
    rows: list[dict[str, Any]] = []
    try:
        for artifact in content.artifacts:
            written: Mapping[str, Any] = write_artifact(
                folder, f"{artifact['kind']}.safetensors", bundle.artifact(artifact["sha256"])
            )
            rows.append({**artifact, **written})
        yield rows
    except BaseException:
        _delete([row["url"] for row in rows])
        raise


def _delete(urls: list[str]) -> None:
    for url in urls:
        delete_artifact(url)
