"""Who may call a route. Every route of the API carries one of PUBLIC, VIEWER and OPERATOR; without one the server does not start.

Who a caller is was found out before, by security/callers.py, which lets nobody in that has no token where tokens are needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, FastAPI, Request, Security
from fastapi.routing import iter_route_contexts
from fastapi.security import HTTPBearer

from moonas.service.problems import Problem
from moonas.store.states import Role

_BEARER = HTTPBearer(auto_error=False, description="A token made by `moonas token create`. Not needed on loopback.")


@dataclass(frozen=True)
class Caller:
    """name: of the token; empty where the server asks for none."""

    name: str
    role: Role


class Anyone:
    """A route that needs no token."""

    role = None

    async def __call__(self) -> None:
        """Nothing to check."""


class Needs:
    """A route for callers of a role. An operator may do what a viewer may."""

    def __init__(self, role: Role) -> None:
        self.role = role

    async def __call__(self, request: Request, _: Annotated[object, Security(_BEARER)]) -> None:
        if self.role is Role.operator and request.state.caller.role is not Role.operator:
            raise Problem(403, "forbidden", "this needs a token of the role operator; yours is one of a viewer")


PUBLIC = Depends(Anyone())
VIEWER = Depends(Needs(Role.viewer))
OPERATOR = Depends(Needs(Role.operator))


def decisions(api: FastAPI) -> Iterator[tuple[list[str], str, list[Anyone | Needs]]]:
    """(methods, path, decisions) of every route of the API, whatever it carries."""
    for context in iter_route_contexts(api.routes):
        carried = [depends.dependency for depends in getattr(context.original_route, "dependencies", ())]
        yield sorted(context.methods or ()), context.path or "", [one for one in carried if isinstance(one, Anyone | Needs)]


def check_decided(api: FastAPI) -> None:
    """Raise RuntimeError where a route of the API says not exactly once who may call it."""
    for methods, path, carried in decisions(api):
        if len(carried) != 1:
            raise RuntimeError(f"{' '.join(methods)} {path} carries {len(carried)} decisions about who may call it, not one")
