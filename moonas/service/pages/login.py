"""The login: takes a token once and keeps it in a cookie that no script can read and no other site can send."""

from __future__ import annotations

from html import escape
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from moonas.service.pages.html import page
from moonas.service.security.callers import COOKIE
from moonas.store.tokens import owner_of

router = APIRouter(include_in_schema=False)
DAYS = 30
ENDED = "You are no longer logged in: your token was withdrawn, or its time is over. Log in again to go on."


@router.get("/login")
def show_login(next: str = "/", ended: bool = False) -> Response:
    """The form. ended: whether its reader was logged in until now."""
    return _form(next, ENDED if ended else "")


@router.post("/login")
async def login(request: Request) -> Response:
    """Set the cookie where the token is valid."""
    fields = parse_qs((await request.body()).decode("utf-8", "replace"))
    token, target = fields.get("token", [""])[0].strip(), fields.get("next", ["/"])[0]
    if await run_in_threadpool(owner_of, request.app.state.store.database, token) is None:
        return _form(target, "That is no valid token.", 401)
    answer = RedirectResponse(_own(target), 303)
    answer.set_cookie(
        COOKIE, token, max_age=DAYS * 86_400, httponly=True, samesite="strict", secure=request.url.scheme == "https", path="/"
    )
    return answer


@router.post("/logout")
def logout() -> Response:
    """Forget the cookie."""
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    return answer


def _form(target: str, mistake: str = "", status: int = 200) -> Response:
    told = f'<p class="mistake" role="alert">{escape(mistake)}</p>' if mistake else ""
    return page(
        "moonas: log in",
        f'<h1>moonas</h1><form method="post" action="/login">{told}'
        '<label for="token">Token</label>'
        '<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>'
        f'<input type="hidden" name="next" value="{escape(_own(target))}"><button>Log in</button>'
        "<p>A token is made on the server by <code>moonas token create NAME --role viewer</code>.</p></form>",
        status,
    )


def _own(target: str) -> str:
    """A path of this server: never another one's address, which browsers also see in `//host` and in backslashes."""
    is_own = target.startswith("/") and not target.startswith("//") and "\\" not in target and target.isprintable()
    return target if is_own else "/"
