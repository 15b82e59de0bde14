"""What a server is told when it starts."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

MEBIBYTE = 2**20


@dataclass(frozen=True, kw_only=True)
class Settings:
    """storage: SQLAlchemy URL of the study database. host, port: where to listen.

    names: further host names that it is reached by, as those of a reverse proxy. tokens: whether every caller needs one.
    rate, burst: requests a second that one client may go on making, and how many at once. body: bytes of a request at most.
    """

    storage: str
    host: str = "127.0.0.1"
    port: int = 8080
    names: tuple[str, ...] = ()
    tokens: bool = False
    rate: float = 100.0
    burst: float = 1000.0
    body: int = MEBIBYTE

    @property
    def needs_tokens(self) -> bool:
        """Whether callers are let in by tokens only: always where others than this machine can reach the server."""
        return self.tokens or bool(self.names) or not is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
