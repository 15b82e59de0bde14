"""Commands that look after a database."""

from __future__ import annotations

from typing import Annotated

import typer

from moonas.cli.options import Name, Storage


def delete(
    name: Name, storage: Storage = None, yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False
) -> None:
    """Delete a study with its trials, fronts and artifacts."""
    from moonas import api
    from moonas.store.weights import borrowers

    study = api.load_study(name, storage)
    if not yes:
        for other, count in borrowers(study.store.database, study.record.id).items():
            print(f"The weights of {count} networks on the front of {other} were trained by this study and go with it.")
        typer.confirm(f"Delete study {name!r} with {len(study.trials())} trials?", abort=True)
    study.store.close()
    api.delete_study(name, storage)
    print(f"deleted {name}")


def upgrade(storage: Storage = None) -> None:
    """Bring a database of an older moonas to this version."""
    from moonas import api

    api.upgrade_database(storage)
    print("the database is up to date")


def check(
    storage: Storage = None,
    fix: Annotated[
        bool, typer.Option("--fix", help="Remove files of artifacts that belong to nothing, and forget artifacts without a file.")
    ] = False,
) -> None:
    """Look for inconsistencies; exit code 1 where there are any."""
    from moonas import api

    for line in api.fix_artifacts(storage) if fix else ():
        print(line)
    found = api.check_database(storage)
    for line in found:
        print(line)
    if found:
        raise typer.Exit(1)
    print("the database is consistent")
