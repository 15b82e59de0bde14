"""Loops that the server starts: processes of their own, which go on whatever becomes of the server."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from moonas.errors import LeaseError
from moonas.loop_log import FAILED, HEAD, last_run, log_end, log_path
from moonas.service.problems import Problem
from moonas.service.settings import Settings
from moonas.store.pages import driven_since
from moonas.store.records import StudyRecord
from moonas.store.store import Store

POLL = 0.1  # seconds between looks at whether a process has taken its study up
TOLD = 12  # lines of what a process that failed has printed


def start_loop(settings: Settings, store: Store, study: StudyRecord) -> subprocess.Popen[bytes]:
    """Let a new process take the study up. What becomes of it shows in the study's state and in its log.

    Its address of the database goes by the environment: an argument could be read by every user of the machine.
    Raises LeaseError where a process drives the study already.
    """
    if study.id in driven_since(store.database, study.id):
        raise LeaseError(f"study {study.name!r} is driven by a process already")
    path = log_path(settings.storage, study.id)
    path.parent.mkdir(exist_ok=True)
    with path.open("ab") as log:
        log.write(f"{HEAD}{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC: moonas resume {study.name}\n".encode())
        log.flush()
        process = subprocess.Popen(
            [sys.executable, "-m", "moonas", "resume", "--", study.name],
            env=os.environ | {"MOONAS_STORAGE": settings.storage},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C at the server does not reach it
        )
    threading.Thread(target=_see_off, args=(process, path), daemon=True).start()
    return process


def taken_up(settings: Settings, store: Store, study: StudyRecord, process: subprocess.Popen[bytes], wait: float) -> bool:
    """Whether a process that was started has its study in hand, or is through with it, within `wait` seconds.

    Raises Problem with what it printed last where it failed.
    """
    until = time.monotonic() + wait
    while True:
        if (code := process.poll()) is not None:
            if code:
                lines, _ = last_run(log_end(settings.storage, study.id))
                said = "\n".join(line for line in lines[-TOLD:] if not line.startswith(HEAD))
                raise Problem(409, "loop_failed", f"the process that was started has failed with exit code {code}:\n{said}")
            return True
        if study.id in driven_since(store.database, study.id):
            return True
        if time.monotonic() >= until:
            return False
        time.sleep(POLL)


def _see_off(process: subprocess.Popen[bytes], path: Path) -> None:
    """Wait for a process, which would be left as a zombie, and note in the log where it fails; the log may be gone by then."""
    if code := process.wait():
        with suppress(FileNotFoundError), path.open("r+b") as log:
            log.seek(0, os.SEEK_END)
            log.write(f"{FAILED}{code}\n".encode())
