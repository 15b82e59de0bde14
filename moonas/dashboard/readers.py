"""Who reads: what the server that the dashboard stands on has found out about the request that is being answered."""

from __future__ import annotations

from dataclasses import dataclass

from dash.backends._fastapi import get_current_request

from moonas.store.states import Role


@dataclass(frozen=True)
class Reader:
    """name: of the token; empty where none is needed. served: whether there is a REST service at the same address.

    drives: whether changing studies is for them.
    """

    name: str = ""
    served: bool = False
    drives: bool = False


def reader() -> Reader:
    """Whoever the page, layout or callback being worked out is for; one who only reads where the server knows of no callers."""
    try:
        caller = getattr(get_current_request().state, "caller", None)
    except RuntimeError:  # there is no request
        caller = None
    return Reader(caller.name, True, caller.role is Role.operator) if caller else Reader()
