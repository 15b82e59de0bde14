"""Commands that make studies and work on them."""

from __future__ import annotations

from typing import Annotated

import typer

from moonas.cli.options import Format, FormatOption, Name, Storage, StudyFile
from moonas.cli.output import print_data


def run(
    file: StudyFile,
    storage: Storage = None,
    extend: Annotated[bool, typer.Option("--extend", help="Accept budgets, methods, replicates or trials the file adds.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Run a study, or go on with it; ends with its Pareto front.

    Ctrl-C saves everything and stops at the next checkpoint; `moonas resume` goes on.
    """
    from moonas import api, progress
    from moonas.terminal.studies import print_outcome

    with progress.watcher(quiet) as watcher:
        study = api.run(file, storage, extend=extend, watcher=watcher)
    if not print_outcome(study):
        raise typer.Exit(1)


def resume(
    name: Name, storage: Storage = None, quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False
) -> None:
    """Go on with a study from its database alone."""
    from moonas import api, progress
    from moonas.terminal.studies import print_outcome

    with progress.watcher(quiet) as watcher:
        study = api.resume(name, storage, watcher=watcher)
    if not print_outcome(study):
        raise typer.Exit(1)


def plan(
    file: StudyFile,
    measure: Annotated[bool, typer.Option(help="Measure one step of each kind of task to estimate time and memory.")] = True,
    output: FormatOption = Format.table,
) -> None:
    """Say what a study would do: trials, searches, what each budget can reach, time and memory."""
    from moonas import preview
    from moonas.terminal.plans import print_preview

    found = preview.preview(file, measure=measure)
    if output is Format.table:
        print_preview(found)
    else:
        print_data(found["budgets"] if output is Format.csv else found, output)


def validate(file: StudyFile) -> None:
    """Check a study file; prints every mistake, each with its place. Exit code 2 where there are any."""
    from moonas import api

    checked = api.validate(file)
    print(f"{file}: a valid study, {checked.config.name!r}, with the sampler {checked.config.sampler.name}")


def schema() -> None:
    """Print the JSON schema of study files, by which editors of YAML complete and check them."""
    import json

    from moonas.study.json_schema import json_schema

    print(json.dumps(json_schema(), indent=2, ensure_ascii=False))
