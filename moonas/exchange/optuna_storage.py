"""Optuna's storages by address, and what moonas writes into them for itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from moonas.errors import StorageError, UsageError
from moonas.study.checks import without_password

MARK = "moonas"  # the user attribute, of a study and of each trial, that holds what is needed to bring a study back


def open_storage(address: str, create: bool = False) -> Any:
    """The Optuna storage at an SQLAlchemy URL, or in a journal file, which is given by its path.

    Raises StorageError where it cannot be opened, UsageError where there is none and none may be created.
    """
    import optuna
    from optuna.storages.journal import JournalFileBackend
    from sqlalchemy.exc import SQLAlchemyError

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    shown = without_password(address)
    file = Path(address.partition(":///")[2] if address.startswith("sqlite:///") else address)
    if not create and (address.startswith("sqlite:///") or "://" not in address) and not file.is_file():
        raise UsageError(f"there is no Optuna storage {shown}")
    try:
        if "://" in address:
            return optuna.storages.RDBStorage(address)
        return optuna.storages.JournalStorage(JournalFileBackend(address))
    except (SQLAlchemyError, ImportError, OSError, RuntimeError, ValueError) as error:
        raise StorageError(f"the Optuna storage {shown} cannot be opened: {without_password(str(error))}") from error


def study_names(storage: Any) -> list[str]:
    """The studies of an Optuna storage."""
    return [study.study_name for study in storage.get_all_studies()]
