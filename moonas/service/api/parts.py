"""What many routes take and give: the open database, the study that the address names, files."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

from fastapi import Depends, Path, Query, Request
from starlette.responses import Response

from moonas.results.study import Study
from moonas.service.api.kept import KeptAnswers, SharedAnswers
from moonas.service.settings import Settings
from moonas.sheets import to_csv
from moonas.store.store import Store

MOST_ROWS = 1000
MOST_OPEN = 32

# What only looks something up is `async`: FastAPI hands every other function to a thread, and there and back takes longer than all
# that it does where many ask at once.


async def _settings(request: Request) -> Settings:
    return request.app.state.settings


async def _store(request: Request) -> Store:
    return request.app.state.store


SettingsOf = Annotated[Settings, Depends(_settings)]
Reader = Annotated[Store, Depends(_store)]  # on a connection that cannot write
Name = Annotated[str, Path(description="Name of a study.", max_length=200)]
Whole = 2**31 - 1  # what every database takes for a number
Wait = Annotated[float, Query(ge=0, le=10, description="Seconds to wait for the answer of the process that drives the study.")]
SOON = 2.0
Offset = Annotated[int, Query(ge=0, le=Whole, description="Leave out so many of the first ones.")]


class OpenStudies:
    """Studies as they were first asked for: what follows from a study's file is worked out once, not at every request.

    Of their records only what never changes may be used; `Store.study` tells the rest.
    """

    def __init__(self) -> None:
        self._known: dict[str, Study] = {}
        self._lock = threading.Lock()

    def get(self, store: Store, name: str) -> Study:
        """Raises UnknownStudyError."""
        record = store.study(name)
        with self._lock:
            study = self._known.pop(name, None)
            if study is None or (study.record.id, study.record.config) != (record.id, record.config):
                study = Study(store, name)
            self._known[name] = study  # at the end: those in front were asked for least lately
            if len(self._known) > MOST_OPEN:
                del self._known[next(iter(self._known))]
        return study


def _study(name: Name, store: Reader, request: Request) -> Study:
    return request.app.state.studies.get(store, name)


StudyOf = Annotated[Study, Depends(_study)]


async def _kept(request: Request) -> KeptAnswers:
    return request.app.state.kept


KeptOf = Annotated[KeptAnswers, Depends(_kept)]


async def _shared(request: Request) -> SharedAnswers:
    return request.app.state.shared


SharedOf = Annotated[SharedAnswers, Depends(_shared)]


class Form(StrEnum):
    """How a list is given."""

    json = "json"
    csv = "csv"


FormOf = Annotated[Form, Query(alias="format", description="`csv` is a download, its cells safe for spreadsheets.")]


def download(content: str | bytes, name: str, media_type: str) -> Response:
    """A file to be kept, never shown: a browser must not take what a study holds for a page."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type=media_type, headers=headers)


def csv_download(rows: Sequence[Mapping[str, Any]], name: str) -> Response:
    return download(to_csv(rows), name, "text/csv; charset=utf-8")
