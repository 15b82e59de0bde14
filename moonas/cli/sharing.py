"""Commands that hand studies on: reports, exports, imports."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from moonas.cli.options import Name, Storage


def report(
    name: Name,
    output: Annotated[Path, typer.Option("--output", "-o", help="The HTML file to write.")] = Path("report.html"),
    storage: Storage = None,
) -> None:
    """Write a study's report: one HTML file that opens offline."""
    from moonas import api

    print(f"wrote {api.write_report(name, output, storage)}")


def export_study(
    name: Name,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The file to write. [default: NAME.zip]")] = None,
    weights: Annotated[bool, typer.Option(help="Take the weights along that are kept.")] = True,
    checkpoints: Annotated[bool, typer.Option("--checkpoints", help="Take the checkpoints of unfinished tasks along.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    storage: Storage = None,
) -> None:
    """Write a study as a bundle: one file that import-study takes into another database."""
    from moonas import sharing

    path = output or Path(f"{name}.zip")
    written = sharing.export_study(name, path, storage, weights=weights, checkpoints=checkpoints, force=force)
    print(f"wrote {path}: {written.trials} trials, {written.artifacts} files of weights and checkpoints")
    if written.missing:
        print(f"left out {written.missing} whose files are missing or damaged; moonas db check tells which")


def import_study(
    file: Annotated[Path, typer.Argument(metavar="FILE.zip", help="A bundle that export-study wrote.", show_default=False)],
    name: Annotated[str | None, typer.Option(help="What to call it here. [default: its own name]")] = None,
    storage: Storage = None,
) -> None:
    """Take a study in that export-study wrote, or the rest of one that is here already."""
    from moonas import sharing

    found = sharing.import_study(file, storage, name=name)
    told = {
        "added": f"imported {found.name} with {found.trials} trials",
        "continued": f"{found.name} has gone on: {found.trials} trials, {found.before} before",
        "unchanged": f"{found.name} is here already; the bundle has nothing new",
    }
    print(told[found.outcome])


def export_optuna(
    name: Name,
    to: Annotated[str, typer.Option(metavar="URL", help="Optuna storage: an SQLAlchemy URL, or the path of a journal file.")],
    storage: Storage = None,
    replace: Annotated[bool, typer.Option("--replace", help="Overwrite whatever else has the study's name there.")] = False,
) -> None:
    """Write a study into an Optuna storage, for optuna-dashboard and optuna.visualization."""
    from moonas import api

    count = api.export_optuna(name, to, storage, replace=replace)
    print(f"wrote {name} with {count} trials")


def import_optuna(
    address: Annotated[str, typer.Argument(metavar="URL", help="Optuna storage, as of export-optuna.", show_default=False)],
    study: Annotated[str, typer.Argument(metavar="STUDY", help="Name of the Optuna study.", show_default=False)],
    name: Annotated[str | None, typer.Option(help="What to call it here. [default: its own name]")] = None,
    metrics: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="Names for its objectives, such as loss,size. [default: its own, or value_0 ...]"),
    ] = None,
    function: Annotated[str | None, typer.Option(help="What to call what made its trials. [default: the study's name]")] = None,
    storage: Storage = None,
) -> None:
    """Bring an Optuna study in: one that export-optuna wrote as it was, any other as trials of a function."""
    from moonas import api
    from moonas.terminal.studies import print_study

    names = None if metrics is None else [part.strip() for part in metrics.split(",")]
    print_study(api.import_optuna(address, study, storage, new_name=name, metrics=names, function=function))
