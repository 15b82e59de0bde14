"""Errors that users can cause, each saying where, what, and what would do.

Everything a user can get wrong raises a kind of `MoonasError`; the command line turns it into its exit code and, later, the
service into its status. Any other exception is a fault of moonas itself.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


class MoonasError(Exception):
    """A mistake or a state of the world that the user can mend."""

    exit_code = 1


class UsageError(MoonasError):
    """The request itself is wrong: an argument, a name, a bound."""

    exit_code = 2


class UnknownNameError(UsageError):
    """A name that no registry entry has; the message offers the nearest known one."""


@dataclass(frozen=True)
class Problem:
    """One mistake in a study file.

    path: where, such as ``methods[0].name``; empty for the file as a whole.
    """

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class StudyFileError(UsageError):
    """A study file that cannot be used; holds every mistake found, not only the first."""

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        self.source = source
        self.problems = tuple(problems)
        super().__init__("\n".join(f"{source}: {problem}" for problem in self.problems))


class ArchitectureError(UsageError):
    """Text or JSON that does not describe an architecture, or one that its space does not contain."""


class SkeletonError(UsageError):
    """A macro network that cannot be built, such as one too shallow for its reductions."""


class InfeasibleError(UsageError):
    """Bounds that no architecture meets; the message names the reachable interval."""


class DataError(MoonasError):
    """A data set that is not there or cannot be read; the message says where it was looked for."""


class StorageError(MoonasError):
    """A study database or an artifact folder that cannot be opened, read or written."""


class UnavailableError(StorageError):
    """A database that cannot be used for now: its server is gone or starting, or others hold its locks for too long."""


class NoDatabaseError(StorageError):
    """A database that does not exist yet, or an empty one."""


class CheckpointError(StorageError):
    """A checkpoint that is truncated, of another task, or no checkpoint at all."""


class WeightsError(UsageError):
    """Weights that are not kept, or a file of them that is damaged or of another network."""


class BundleError(UsageError):
    """A file that is no bundle of moonas, a damaged one, or one that holds anything else."""


class SchemaVersionError(StorageError):
    """A database of another version of moonas."""


class UnknownStudyError(UsageError):
    """A study that the database does not hold."""


class StudyConflictError(UsageError):
    """A study file that differs from the stored study of the same name in what must not change."""


class LeaseError(MoonasError):
    """Another process drives this study, or took it over."""


class NonFiniteLossError(MoonasError):
    """A training or search whose loss became NaN or infinite."""


class TaskError(MoonasError):
    """A search or an evaluation that failed."""


class ClusterError(MoonasError):
    """A Ray cluster that cannot be joined, or whose machines cannot run tasks."""


class DeviceError(MoonasError):
    """A device that cannot measure what is asked, or another one than a study has measured on."""


class Interrupted(MoonasError):
    """Ctrl-C or SIGTERM; everything is saved. exit_code: 130 or 143."""

    def __init__(self, message: str, signal_number: int) -> None:
        self.exit_code = 128 + signal_number
        super().__init__(message)


class MoonasWarning(UserWarning):
    """Something the user should know though the work goes on; a task passes it on to whoever reads its reports."""


def nearest(name: object, known: Iterable[str]) -> str:
    """The clause `; did you mean 'x'?` for a misspelt name, or nothing where no known name is close."""
    by_lower = {other.lower(): other for other in known}
    matches = difflib.get_close_matches(str(name).lower(), by_lower, n=1, cutoff=0.6)
    return f"; did you mean {by_lower[matches[0]]!r}?" if matches else ""
