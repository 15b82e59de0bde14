"""Reading a bundle: everything in the file is looked at before anything is made of it, and what is not as written is refused."""

from __future__ import annotations

import hashlib
import stat
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, deserialize
from sqlalchemy import JSON, BigInteger, Column, Double, Enum, Integer

from moonas.errors import BundleError
from moonas.exchange.bundle.content import Content
from moonas.exchange.bundle.format import (
    ARTIFACT_COLUMNS,
    ARTIFACTS,
    FILE,
    FORMAT,
    KINDS,
    LATER,
    LEAST_JSON,
    MANIFEST,
    MOST_PACKED,
    STUDY,
    decode,
)
from moonas.store.copying import STUDY_COLUMNS, TABLES, Row
from moonas.store.queries import table_of
from moonas.store.tables import Artifact, Study

_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, RuntimeError, OverflowError)
_HEADER, _END = 30, 22  # bytes of a member's header without its name, and of what stands behind the directory


class Bundle:
    """An open bundle whose content has been checked. content: its artifacts are found by their SHA-256."""

    def __init__(self, archive: zipfile.ZipFile, content: Content) -> None:
        self._archive, self.content = archive, content

    def artifact(self, sha256: str) -> bytes:
        """The bytes of an artifact."""
        return self._archive.read(f"artifacts/{sha256}.safetensors")


@contextmanager
def open_bundle(path: Path) -> Iterator[Bundle]:
    """Open a bundle and check every byte of it. Raises BundleError, saying what is wrong."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield Bundle(archive, _content(archive, path))
    except OSError as error:
        raise BundleError(f"cannot read {path}: {error.strerror or error}") from error
    except _Wrong as error:
        raise BundleError(f"{path} is no bundle that can be imported: {error}") from error
    except _BROKEN as error:
        raise BundleError(f"{path} is no whole bundle ({type(error).__name__}: {error})") from error


class _Wrong(Exception):
    """What is wrong with a bundle."""


def _content(archive: zipfile.ZipFile, path: Path) -> Content:
    size = path.stat().st_size
    infos = _members(archive, size)
    listed = _manifest(archive, infos, size)
    lines = {}
    for name, info in infos.items():
        if name == MANIFEST:
            continue
        data = archive.read(info)
        if hashlib.sha256(data).hexdigest() != listed["members"][name]["sha256"]:
            raise _Wrong(f"{name} is not what the manifest says: its SHA-256 differs")
        if found := FILE.fullmatch(name):
            _check_tensors(name, data, found[1], listed["members"][name])
        else:
            lines[name] = [_decoded(name, line) for line in data.splitlines(keepends=True)]
    if len(lines[STUDY]) != 1:
        raise _Wrong(f"{STUDY} holds {len(lines[STUDY])} studies")
    study = _checked(STUDY, lines[STUDY][0], {name: table_of(Study).columns[name] for name in STUDY_COLUMNS})
    rows: dict[str, Sequence[Row]] = {}
    for copied in TABLES:
        later = LATER.get(listed["format"], {}).get(copied.name, ())
        columns = {name: table_of(copied.model).columns[name] for name in copied.columns if name not in later}
        where, unknown = f"{copied.name}.jsonl", dict.fromkeys(later)
        found_rows = [{**_checked(f"{where}, line {n}", row, columns), **unknown} for n, row in enumerate(lines[where], 1)]
        _check_references(where, found_rows, copied.references, rows)
        rows[copied.name] = found_rows
    artifacts = _artifacts(lines[ARTIFACTS], rows, infos)
    counts = {name: len(found) for name, found in rows.items()} | {"artifacts": len(artifacts)}
    if listed["rows"] != counts or listed["study"] != study["name"]:
        raise _Wrong("the manifest tells of other rows than there are")
    return Content(study, rows, artifacts)


def _members(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """The members by name, in their order: plain files under names of ours, one behind the other and nothing else."""
    known = [MANIFEST, STUDY, *(f"{copied.name}.jsonl" for copied in TABLES), ARTIFACTS]
    infos, position = archive.infolist(), 0
    for info in infos:
        mode = info.external_attr >> 16
        if info.filename not in known and not FILE.fullmatch(info.filename):
            raise _Wrong(f"it holds {info.filename!r}, which no bundle does")
        if info.is_dir() or stat.S_IFMT(mode) not in (0, stat.S_IFREG) or info.flag_bits or info.extra or info.comment:
            raise _Wrong(f"{info.filename} is no plain member of a bundle")
        if info.compress_type not in ((zipfile.ZIP_STORED,) if FILE.fullmatch(info.filename) else (zipfile.ZIP_DEFLATED,)):
            raise _Wrong(f"{info.filename} is packed in another way than moonas packs it")
        if info.header_offset != position:
            raise _Wrong(f"something stands before {info.filename} that belongs to no member")
        position += _HEADER + len(info.filename.encode()) + info.compress_size
    names = [info.filename for info in infos]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise _Wrong(f"{twice[0]} is there twice")
    if missing := [name for name in known if name not in names]:
        raise _Wrong(f"it has no {missing[0]}")
    directory = sum(46 + len(name.encode()) for name in names)
    if archive.comment or archive.start_dir != position or position + directory + _END != size:
        raise _Wrong("something stands behind its members that belongs to none")
    unpacked = sum(info.file_size for info in infos if not FILE.fullmatch(info.filename))
    if unpacked > max(LEAST_JSON, MOST_PACKED * size):
        raise _Wrong(f"its JSON would unpack to {unpacked / 1e6:.0f} MB out of {size / 1e6:.1f}, more than moonas ever packs")
    return {info.filename: info for info in infos}


def _manifest(archive: zipfile.ZipFile, infos: Mapping[str, zipfile.ZipInfo], size: int) -> dict[str, Any]:
    data = archive.read(infos[MANIFEST])
    if not data.endswith(b"\n") or data.count(b"\n") != 1:
        raise _Wrong(f"{MANIFEST} is not one line of JSON")
    manifest = _decoded(MANIFEST, data)
    if isinstance(manifest, dict) and isinstance(manifest.get("format"), int) and manifest["format"] > FORMAT:
        by = f"moonas {manifest.get('moonas')}" if isinstance(manifest.get("moonas"), str) else "a newer moonas"
        raise _Wrong(f"it is of format {manifest['format']}, written by {by}; this one reads format {FORMAT}. Upgrade moonas")
    if not isinstance(manifest, dict) or list(manifest) != ["format", "moonas", "study", "rows", "members"]:
        raise _Wrong(f"{MANIFEST} is not one that moonas writes")
    if manifest["format"] not in (*LATER, FORMAT) or not isinstance(manifest["moonas"], str):
        raise _Wrong(f"{MANIFEST} is not one that moonas writes")
    listed = {name: {"bytes": info.file_size} for name, info in infos.items() if name != MANIFEST}
    told = manifest["members"]
    if not isinstance(told, dict) or not all(isinstance(one, dict) and set(one) == {"sha256", "bytes"} for one in told.values()):
        raise _Wrong(f"{MANIFEST} does not say what every member is")
    if list(told) != list(listed) or any(told[name]["bytes"] != one["bytes"] for name, one in listed.items()):
        raise _Wrong("the members are not those, of those sizes, that the manifest lists")
    return manifest


def _decoded(where: str, line: bytes) -> Any:
    try:
        return decode(line)
    except ValueError as error:
        raise _Wrong(f"{where}: {error}") from error


def _check_tensors(name: str, data: bytes, sha256: str, listed: Mapping[str, Any]) -> None:
    if sha256 != listed["sha256"]:
        raise _Wrong(f"{name} has another SHA-256 than its name says")
    try:
        deserialize(data)
    except SafetensorError as error:
        raise _Wrong(f"{name} is no safetensors file ({error})") from error


def _checked(where: str, row: Any, columns: Mapping[str, Column[Any]]) -> Row:
    """A row whose values fit their columns."""
    if not isinstance(row, dict) or list(row) != list(columns):
        raise _Wrong(f"{where}: expected {', '.join(columns)}")
    for name, column in columns.items():
        if not _fits(column, row[name]):
            raise _Wrong(f"{where}: {str(row[name])[:80]!r} is no {name}")
    return row


def _fits(column: Column[Any], value: Any) -> bool:
    kind = column.type
    if value is None:
        return bool(column.nullable)
    if isinstance(kind, JSON):
        return isinstance(value, dict)
    if isinstance(kind, Enum):
        return value in kind.enums
    if isinstance(kind, Double):
        return type(value) is float or (type(value) is int and abs(value) < 2**53)
    if isinstance(kind, Integer):
        return type(value) is int and abs(value) < 2 ** (63 if isinstance(kind, BigInteger) else 31)
    return isinstance(value, str) and len(value) <= (getattr(kind, "length", None) or len(value))


def _check_references(where: str, rows: Sequence[Row], references: Mapping[str, str], known: Mapping[str, Sequence[Row]]) -> None:
    for number, row in enumerate(rows, 1):
        for column, target in references.items():
            if row[column] is not None and not 0 <= row[column] < len(known[target]):
                raise _Wrong(f"{where}, line {number}: there is no line {row[column] + 1} of {target}.jsonl")


def _artifacts(lines: Sequence[Any], rows: Mapping[str, Sequence[Row]], infos: Mapping[str, zipfile.ZipInfo]) -> list[Row]:
    columns = {name: table_of(Artifact).columns[name] for name in ARTIFACT_COLUMNS}
    found = [_checked(f"{ARTIFACTS}, line {n}", row, columns) for n, row in enumerate(lines, 1)]
    _check_references(ARTIFACTS, found, {"task_id": "tasks"}, rows)
    for number, row in enumerate(found, 1):
        info = infos.get(f"artifacts/{row['sha256']}.safetensors")
        if row["kind"] not in KINDS or info is None or info.file_size != row["bytes"]:
            raise _Wrong(f"{ARTIFACTS}, line {number}: its file is not there, or is another one")
    named = {f"artifacts/{row['sha256']}.safetensors" for row in found}
    if unused := [name for name in infos if FILE.fullmatch(name) and name not in named]:
        raise _Wrong(f"{unused[0]} belongs to no artifact")
    return found
