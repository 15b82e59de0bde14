"""What loops that a server started have printed: a file for each study, which the service writes and the pages read."""

from __future__ import annotations

from pathlib import Path

from moonas.storage import storage_folder

LOG_FOLDER = "moonas-logs"
SHOWN = 65_536  # bytes of a log's end
HEAD = "--- "  # begins the line above what each process printed, and the one below it where that process failed
FAILED = f"{HEAD}exit code "


def log_path(storage: str, study_id: int) -> Path:
    """A file named by the study's number, beside the database or in the working directory."""
    return storage_folder(storage) / LOG_FOLDER / f"study-{study_id}.log"


def log_end(storage: str, study_id: int) -> str:
    """The log's end; empty where no loop was started by a server."""
    path = log_path(storage, study_id)
    if not path.is_file():
        return ""
    with path.open("rb") as log:
        log.seek(max(0, path.stat().st_size - SHOWN))
        return log.read().decode("utf-8", "replace")


def log_time(storage: str, study_id: int) -> float:
    """When something was last printed, in seconds since 1970; 0 where no loop was started by a server."""
    path = log_path(storage, study_id)
    return path.stat().st_mtime if path.is_file() else 0.0


def last_run(log: str) -> tuple[list[str], bool]:
    """The lines that the last process printed, and whether it failed."""
    lines = log.splitlines()
    failed = bool(lines) and lines[-1].startswith(FAILED)
    heads = [place for place, line in enumerate(lines) if line.startswith(HEAD) and not line.startswith(FAILED)]
    return lines[heads[-1] :] if heads else lines, failed
