"""Loops that the server starts: processes of their own, which go on whatever becomes of the server."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

from moonas.errors import LeaseError
from moonas.service.settings import Settings
from moonas.storage import storage_folder
from moonas.store.pages import study_facts
from moonas.store.records import StudyRecord
from moonas.store.store import Store

LOG_FOLDER = "moonas-logs"
SHOWN = 65_536  # bytes of a log's end


def start_loop(settings: Settings, store: Store, study: StudyRecord) -> None:
    """Let a new process take the study up. What becomes of it shows in the study's state and in `loop_log`.

    Its address of the database goes by the environment: an argument could be read by every user of the machine.
    Raises LeaseError where a process drives the study already.
    """
    if study_facts(store.database, study.id)[study.id].driven:
        raise LeaseError(f"study {study.name!r} is driven by a process already")
    path = log_path(settings, study)
    path.parent.mkdir(exist_ok=True)
    with path.open("ab") as log:
        log.write(f"--- {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC: moonas resume {study.name}\n".encode())
        log.flush()
        process = subprocess.Popen(
            [sys.executable, "-m", "moonas", "resume", "--", study.name],
            env=os.environ | {"MOONAS_STORAGE": settings.storage},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C at the server does not reach it
        )
    threading.Thread(target=process.wait, daemon=True).start()  # so that it leaves no zombie


def loop_log(settings: Settings, study: StudyRecord) -> str:
    """The end of what the loops started here have printed; empty where there were none."""
    path = log_path(settings, study)
    if not path.is_file():
        return ""
    with path.open("rb") as log:
        log.seek(max(0, path.stat().st_size - SHOWN))
        return log.read().decode("utf-8", "replace")


def log_path(settings: Settings, study: StudyRecord) -> Path:
    """A file named by the study's number, beside the database or in the working directory."""
    return storage_folder(settings.storage) / LOG_FOLDER / f"study-{study.id}.log"
