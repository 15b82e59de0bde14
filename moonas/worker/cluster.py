"""A connection to a Ray cluster, or to one started on this machine for it: quiet, and without handing secrets over."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from moonas.errors import ClusterError
from moonas.storage import SECRETS
from moonas.study.checks import without_password
from moonas.worker.devices import cpu_count

PATIENCE = 5.0  # seconds until a machine that does not answer counts as unreachable
OUTAGE = 40.0  # seconds that the head of a cluster may be away; after 60 Ray ends the whole process
OBJECT_STORE = 100 * 2**20  # bytes; the messages of moonas hardly need any
OWN = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}  # nothing is sent anywhere; workers run as local ones do


class Connection:
    """This process in the cluster at `address`, or at RAY_ADDRESS, or in one of its own; one that is there already is used.

    cores: of a cluster of its own, all that there are where absent. head: HOST:PORT, where the cluster answers.
    Raises ClusterError where Ray is not installed, the cluster cannot be reached, or its Python or Ray is another.
    """

    def __init__(self, address: str | None, cores: int | None = None) -> None:
        if importlib.util.find_spec("ray") is None:
            raise ClusterError("`backend: ray` needs the package ray; install it with: pip install 'moonas[ray]'")
        for name, value in OWN.items():
            os.environ.setdefault(name, value)
        import ray

        self.address = address or os.environ.get("RAY_ADDRESS") or "local"
        self.is_found = ray.is_initialized()
        self.is_own = self.address == "local" and not self.is_found
        if not self.is_found:
            self._join(cores or cpu_count())
        stated = self.address.removeprefix("ray://")
        self.head = stated if ":" in stated else ray.get_runtime_context().gcs_address
        self._seen = time.monotonic()

    def check(self) -> None:
        """Raises ClusterError once the head of the cluster has been away for long, whose end would be this process's too."""
        if _reaches(self.head) is None:
            self._seen = time.monotonic()
        elif self.is_own or time.monotonic() - self._seen > OUTAGE:
            raise ClusterError(f"the Ray cluster at {self.head} is gone; everything that was reported is saved, to be resumed")

    def leave(self) -> None:
        """Part from the cluster, and end one of its own."""
        import ray

        if not self.is_found:
            ray.shutdown()
            _let_ray_print(True)

    def _join(self, cores: int) -> None:
        import ray

        own: dict[str, Any] = {"num_cpus": cores, "object_store_memory": OBJECT_STORE, "include_dashboard": False}
        if not self.is_own and any(without_password(argument) != argument for argument in sys.argv):
            raise ClusterError(
                "the command line holds a password, which Ray shows to its users; give the address by MOONAS_STORAGE"
            )
        if ":" in self.address and (why := _reaches(self.address.removeprefix("ray://"))) is not None:
            told = "On its first machine: ray start --head; from outside of it the address is ray://HOST:10001"
            raise ClusterError(f"no Ray cluster answers at {self.address}: {why}. {told}")
        logging.getLogger("ray").setLevel(logging.ERROR)
        _let_ray_print(False)
        try:
            with _secrets_put_aside(), _own_signals():
                ray.init(self.address, log_to_driver=False, configure_logging=False, **own if self.is_own else {})
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            raise ClusterError(f"cannot join the Ray cluster at {self.address}: {error}") from error


def _reaches(place: str) -> str | None:
    """Why nothing answers at HOST:PORT, or None; Ray itself gives up after minutes only."""
    host, _, port = place.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE).close()
    except (OSError, OverflowError) as error:
        return str(error)
    return None


def _let_ray_print(allowed: bool) -> None:
    """What becomes of an actor reaches its attempt as a reason; Ray prints it besides, over whatever the terminal shows."""
    import ray._private.worker

    ray._private.worker._worker_logs_enabled = allowed


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Ray puts a handler of its own in the place of this process's."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _secrets_put_aside() -> Iterator[None]:
    """A Ray that is started here inherits the environment, and its workers do so from it."""
    kept = {name: os.environ.pop(name) for name in SECRETS if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)
