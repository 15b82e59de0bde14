"""A server for the dashboard alone, as strict as `moonas serve`."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

POLICY = (
    "default-src 'none'; script-src 'self' {hashes}; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "connect-src 'self'; font-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


@dataclass(frozen=True)
class Settings:
    storage: str


def application(storage: str):
    """A bare FastAPI app with the dashboard and a content security policy that allows what `mount` asks for and no more."""
    from fastapi import FastAPI

    from moonas.dashboard.app import mount

    app = FastAPI()
    policy = POLICY.format(hashes=" ".join(mount(app, Settings(storage))))

    @app.middleware("http")
    async def protect(request, call_next):
        response = await call_next(request)
        response.headers["Content-Security-Policy"] = policy
        return response

    return app


@contextmanager
def served(storage: str, port: int = 0) -> Iterator[str]:
    """The dashboard on a free port of this machine; gives its address."""
    with running(application(storage), port) as address:
        yield address


@contextmanager
def running(app: Any, port: int = 0) -> Iterator[str]:
    """Any application on a free port of this machine; gives its address."""
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started:
        assert time.monotonic() < deadline, "the server does not start"
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
