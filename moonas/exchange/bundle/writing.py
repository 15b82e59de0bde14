"""Writing a study as a bundle."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path

from moonas.errors import StorageError, UsageError
from moonas.exchange.bundle.content import Content, read_content
from moonas.exchange.bundle.format import ARTIFACT_COLUMNS, ARTIFACTS, EPOCH, FORMAT, KINDS, MANIFEST, STUDY, encode
from moonas.results.study import Study
from moonas.store.copying import TABLES, Row
from moonas.worker.artifacts import read_artifact


@dataclass(frozen=True)
class Written:
    """What a bundle holds. missing: artifacts that were to go along, but whose files are not there, or damaged."""

    trials: int
    artifacts: int
    missing: int


def write_bundle(
    study: Study, path: Path, version: str, *, weights: bool = True, checkpoints: bool = False, force: bool = False
) -> Written:
    """Write a study, as it now stands, into a file, whole or not at all. version: of moonas.

    weights, checkpoints: whether these go along. force: overwrite a file. Raises UsageError where there is one, or none can be.
    """
    if path.exists() and not force:
        raise UsageError(f"{path} is there already; --force overwrites it")
    kinds = [kind for kind, goes in zip(KINDS, (checkpoints, weights), strict=True) if goes]
    content = read_content(study.store.database, study.record.id, kinds)
    files, present = _files(content)
    members = _members(content, present)
    listed = {name: (hashlib.sha256(data).hexdigest(), len(data)) for name, data in members.items()}
    listed |= {_member(row["sha256"]): (row["sha256"], row["bytes"]) for row in sorted(present, key=lambda row: row["sha256"])}
    manifest = {
        "format": FORMAT,
        "moonas": version,
        "study": content.study["name"],
        "rows": {copied.name: len(content.rows[copied.name]) for copied in TABLES} | {"artifacts": len(present)},
        "members": {name: {"sha256": sha256, "bytes": size} for name, (sha256, size) in listed.items()},
    }
    unfinished = path.with_name(path.name + ".part")
    try:
        with zipfile.ZipFile(unfinished, "w") as bundle:
            for name, data in {MANIFEST: encode(manifest), **members}.items():
                _add(bundle, name, data, zipfile.ZIP_DEFLATED)
            for sha256, url in sorted(files.items()):
                _add(bundle, _member(sha256), read_artifact(url, sha256), zipfile.ZIP_STORED)
        unfinished.replace(path)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
    finally:
        unfinished.unlink(missing_ok=True)
    return Written(len(content.rows["trials"]), len(present), len(content.artifacts) - len(present))


def _files(content: Content) -> tuple[dict[str, str], list[Row]]:
    """({SHA-256: URL}, rows) of the artifacts whose files are sound."""
    files: dict[str, str] = {}
    present = []
    for artifact in content.artifacts:
        try:
            data = read_artifact(artifact["url"], artifact["sha256"])
        except StorageError:
            continue
        row = {**artifact, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        files[row["sha256"]] = artifact["url"]
        present.append({name: row[name] for name in ARTIFACT_COLUMNS})
    return files, present


def _members(content: Content, artifacts: list[Row]) -> dict[str, bytes]:
    """The JSON members but the manifest."""
    rows = {f"{copied.name}.jsonl": content.rows[copied.name] for copied in TABLES} | {ARTIFACTS: artifacts}
    return {STUDY: encode(content.study)} | {name: b"".join(map(encode, listed)) for name, listed in rows.items()}


def _member(sha256: str) -> str:
    return f"artifacts/{sha256}.safetensors"


def _add(bundle: zipfile.ZipFile, name: str, data: bytes, compression: int) -> None:
    info = zipfile.ZipInfo(name, EPOCH)
    info.compress_type, info.create_system, info.external_attr = compression, 3, 0o100644 << 16
    bundle.writestr(info, data, compresslevel=6)
