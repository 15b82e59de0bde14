"""Arguments and options that several commands have."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Format(StrEnum):
    """How results are printed."""

    table = "table"
    json = "json"
    csv = "csv"


Storage = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Study database, an SQLAlchemy URL. [default: MOONAS_STORAGE, else sqlite:///moonas.db]"),
]
FormatOption = Annotated[Format, typer.Option("--format", "-f", help="How to print.")]
StudyFile = Annotated[Path, typer.Argument(metavar="STUDY.yaml", help="The study file.", show_default=False)]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of a study in the database.", show_default=False)]
