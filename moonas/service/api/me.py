"""Who is asking, so that a program or a page offers what its token allows."""

from __future__ import annotations

from fastapi import APIRouter, Request

from moonas.service.models import Me
from moonas.service.roles import VIEWER

router = APIRouter(tags=["server"])


@router.get("/me", dependencies=[VIEWER])
def read_me(request: Request) -> Me:
    """The caller's token and role. Where the server asks for no token, everyone is an operator without a name."""
    return Me.model_validate(request.state.caller)
