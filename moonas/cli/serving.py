"""Commands of the service: the server, and the tokens that let callers in."""

from __future__ import annotations

from typing import Annotated

import typer

from moonas.cli.options import Format, FormatOption, Storage
from moonas.cli.output import print_data
from moonas.store.states import Role

TokenName = Annotated[str, typer.Argument(metavar="NAME", help="Name of the token, such as its owner's.", show_default=False)]


def serve(
    storage: Storage = None,
    host: Annotated[str, typer.Option(help="Address to listen at. Any but this machine's own needs tokens.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen at; 0 takes a free one.")] = 8080,
    name: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST", help="A further host name that it is reached by, as through a proxy; may be given several times."
        ),
    ] = None,
    tokens: Annotated[bool, typer.Option("--tokens", help="Let callers of this machine in by tokens only, too.")] = False,
) -> None:
    """Serve the studies of a database: pages and a REST interface."""
    from moonas.service.server import serve as run
    from moonas.service.settings import Settings
    from moonas.storage import storage_url

    run(Settings(storage=storage_url(storage), host=host, port=port, names=tuple(name or ()), tokens=tokens))


def create(
    name: TokenName,
    role: Annotated[Role, typer.Option(help="A viewer reads; an operator also starts, changes and deletes.")] = Role.viewer,
    storage: Storage = None,
) -> None:
    """Make a token and print it: this once, since only its hash is kept."""
    from moonas.storage import storage_url
    from moonas.store.store import Store
    from moonas.store.tokens import create_token

    with Store.open(storage_url(storage), create=True) as store:
        print(create_token(store.database, name, role))


def list_(storage: Storage = None, output: FormatOption = Format.table) -> None:
    """List the tokens of a database, without what opens."""
    from dataclasses import asdict

    from moonas.storage import storage_url
    from moonas.store.store import Store
    from moonas.store.tokens import list_tokens
    from moonas.terminal.tokens import print_tokens

    with Store.open(storage_url(storage), read_only=True) as store:
        rows = [asdict(token) for token in list_tokens(store.database)]
    if output is Format.table:
        print_tokens(rows)
    else:
        print_data(rows, output)


def revoke(name: TokenName, storage: Storage = None) -> None:
    """Take a token back: from now on it opens nothing."""
    from moonas.storage import storage_url
    from moonas.store.store import Store
    from moonas.store.tokens import revoke_token

    with Store.open(storage_url(storage)) as store:
        revoke_token(store.database, name)
    print(f"revoked {name}")
