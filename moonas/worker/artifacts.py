"""Artifacts: files of bytes in a folder that fsspec can reach, found by URL and checked by SHA-256. Free of torch."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypedDict
from uuid import uuid4

import fsspec

from moonas.errors import StorageError

_NAME = re.compile(r"[0-9a-f]{32}-[a-z]+\.safetensors(\.part)?")
BUCKETS = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss")


class Artifact(TypedDict):
    """id: opaque, 32 hexadecimal digits. sha256: of the content, in hexadecimal. bytes: its size."""

    id: str
    url: str
    sha256: str
    bytes: int


def write_artifact(folder_url: str, name: str, content: bytes) -> Artifact:
    """Store `content` as a new artifact, never over another one; `name` ends its file name. Raises StorageError.

    A reader finds the whole file or none: local files are renamed into place, object stores do the same by themselves. Power may
    fail between the two; the checksum then tells.
    """
    number = uuid4().hex
    url = f"{folder_url.rstrip('/')}/{number}-{name}"
    with _storage_errors("write", url):
        files, path = fsspec.core.url_to_fs(url)
        if not _is_of(files, BUCKETS):  # where a folder is but a name, and the topmost a bucket that none should make by mistake
            files.makedirs(files._parent(path), exist_ok=True)
        if _is_of(files, ("file",)):
            unfinished = Path(path + ".part")
            try:
                unfinished.write_bytes(content)
                os.replace(unfinished, path)
            finally:
                unfinished.unlink(missing_ok=True)  # where the disk is full, what was written is in the way
        else:
            files.pipe_file(path, content)
    return Artifact(id=number, url=url, sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))


def read_artifact(url: str, sha256: str | None = None) -> bytes:
    """The content of an artifact. Raises StorageError where it is missing, or damaged by the checksum given."""
    with _storage_errors("read", url):
        files, path = fsspec.core.url_to_fs(url)
        content = files.cat_file(path)
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise StorageError(f"the artifact {url} is damaged: its SHA-256 is not the recorded one")
    return content


def delete_artifact(url: str) -> None:
    """Remove an artifact; one that is gone already is no error. Raises StorageError."""
    with _storage_errors("delete", url):
        files, path = fsspec.core.url_to_fs(url)
        if files.exists(path):
            files.rm_file(path)


@dataclass(frozen=True)
class File:
    """A file in a folder of artifacts. seconds: since it was last changed; 0 where that is not known."""

    url: str
    bytes: int
    seconds: float


def list_artifacts(folder_url: str) -> list[File]:
    """The files of a folder whose names are those of artifacts, whole or half-written; none where it is not there.

    Raises StorageError.
    """
    with _storage_errors("list", folder_url):
        files, path = fsspec.core.url_to_fs(folder_url)
        files.invalidate_cache()
        if not files.isdir(path):
            return []
        found = {info["name"].rstrip("/").rpartition("/")[2]: info for info in files.ls(path, detail=True)}
    return [
        File(f"{folder_url.rstrip('/')}/{name}", int(info["size"] or 0), _age(info))
        for name, info in sorted(found.items())
        if info["type"] == "file" and not info.get("islink") and _NAME.fullmatch(name)
    ]


def delete_folder(folder_url: str) -> None:
    """Remove all artifacts of a folder, and the folder if nothing else is in it. Raises StorageError."""
    for file in list_artifacts(folder_url):
        delete_artifact(file.url)
    files, path = fsspec.core.url_to_fs(folder_url)
    with suppress(OSError):  # there is none, something is in it, or the store knows no folders
        files.rmdir(path)


def _age(info: Mapping[str, Any]) -> float:
    changed = info.get("LastModified") or info.get("mtime") or info.get("created")  # of object stores, of disks, of memory
    if changed is None:
        return 0.0
    return max(0.0, time.time() - (changed.timestamp() if isinstance(changed, datetime) else float(changed)))


def _is_of(files: fsspec.AbstractFileSystem, protocols: tuple[str, ...]) -> bool:
    own = files.protocol if isinstance(files.protocol, tuple) else (files.protocol,)
    return any(name in protocols for name in own)


@contextmanager
def _storage_errors(verb: str, url: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise StorageError(f"cannot {verb} the artifact {url}: it is not there") from error
    except ImportError as error:
        extra = "; pip install 'moonas[s3]'" if url.startswith("s3") else ""
        raise StorageError(f"cannot {verb} the artifact {url}: {error}{extra}") from error
    except Exception as error:  # an unknown protocol, a full disk; each object store has errors of its own besides
        raise StorageError(f"cannot {verb} the artifact {url}: {error}") from error
