"""Running the server: who may reach it is settled before it listens."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from typing import Any, NoReturn

import uvicorn

from moonas.errors import Interrupted, ServiceError, UsageError
from moonas.service.app import create_app
from moonas.service.settings import Settings
from moonas.store.store import Store
from moonas.store.tokens import list_tokens

PATIENCE = 5  # seconds that requests under way are given when the server ends


def serve(settings: Settings) -> NoReturn:
    """Serve until Ctrl-C or SIGTERM, which raise Interrupted. A database is made where there is none.

    Raises UsageError where callers need tokens and there is none, ServiceError where the address is taken, StorageError.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    with Store.open(settings.storage, create=True) as store:
        shown = store.database.shown
        if settings.needs_tokens and not list_tokens(store.database):
            raise UsageError(
                f"whoever reaches {settings.host} may start programs here, so that every caller needs a token, and there is none; "
                f"make one with: moonas token create NAME --role operator --storage {shown}"
            )
    listening = _listen(settings.host, settings.port)
    app = create_app(settings)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    print(f"{shown} is served at {_address(listening)}; Ctrl-C ends it", flush=True)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.names),  # of a proxy on this machine, which alone is believed
        timeout_graceful_shutdown=PATIENCE,
        ws="none",
    )
    _Server(config).run([listening])
    raise Interrupted("the server has stopped", signal.SIGTERM)


class _Server(uvicorn.Server):
    """Tells streams to end when the server does: it would wait for them."""

    def handle_exit(self, sig: int, frame: Any) -> None:
        self.config.app.state.closing.set()  # type: ignore[union-attr]
        super().handle_exit(sig, frame)


def _stop(number: int, frame: Any) -> NoReturn:
    raise Interrupted("the server has stopped", number)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listening = socket.socket(family, kind, protocol)
        if os.name == "posix":  # a port that a server has just left is free; one in use is not
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(socket.SOMAXCONN)
    except OSError as error:
        raise ServiceError(f"cannot listen at {host}, port {port}: {error.strerror or error}; take another with --port") from error
    return listening


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
