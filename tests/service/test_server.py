"""The server as a process: its start and end, its streams, and what it loads."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from moonas.cli import app
from moonas.store.lease import new_holder
from moonas.store.store import Store


class Server:
    """A server of its own; `address` is where it says it is."""

    def __init__(self, url: str, *options: str) -> None:
        command = [sys.executable, "-m", "moonas", "serve", "--port", "0", *options]
        environment = os.environ | {"MOONAS_STORAGE": url}
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.said = self.process.stdout.readline()
        self.address = self.said.split(" at ")[-1].split(";")[0]

    def open(self, path: str) -> urllib.request.addinfourl:
        return urllib.request.urlopen(self.address + path, timeout=60)

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=60)
        return self.process.returncode, errors


def message(stream: urllib.request.addinfourl) -> dict[str, str]:
    """The next of a stream: its fields, up to a blank line; comments left out."""
    found: dict[str, str] = {}
    while line := stream.readline().decode().rstrip("\n"):
        name, _, value = line.partition(": ")
        found |= {name: value} if name else {}
    return found or message(stream)


@pytest.fixture
def server(url: str) -> Iterator[Server]:
    started = Server(url)
    yield started
    if started.process.poll() is None:
        started.end(signal.SIGKILL)


def test_a_server_streams_what_happens_and_ends_with_its_streams_open(server: Server, url: str) -> None:
    stream = server.open("/api/v1/studies/small/stream")
    first = message(stream)
    assert (first["event"], '"trials": {"COMPLETE": 12}' in first["data"]) == ("progress", True)
    with Store.open(url) as store, store.ledger(store.study("small").id, new_holder()) as ledger:
        ledger.add_event("warning", "something to know")
    while "something to know" not in (found := message(stream))["data"]:
        pass
    number = found["id"]
    events = server.open(f"/api/v1/studies/small/events?after={int(number) - 1}").read().decode()
    assert "something to know" in events
    before = {"Last-Event-ID": str(int(number) - 1)}
    again = urllib.request.Request(server.address + "/api/v1/studies/small/stream", headers=before)
    with urllib.request.urlopen(again, timeout=60) as resumed:
        assert message(resumed) == found
    code, errors = server.end()
    assert code == 128 + signal.SIGTERM
    assert "Traceback" not in errors
    assert "the server has stopped" in errors
    assert "GET /api/v1/studies/small/events 200" in errors
    assert "after=" not in errors  # what stands after the `?` is not logged


def test_ctrl_c_ends_a_server_too(server: Server) -> None:
    code, errors = server.end(signal.SIGINT)
    assert (code, "Traceback" in errors) == (130, False)


def test_a_port_in_use_is_said_to_be(url: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = CliRunner().invoke(app, ["serve", "--storage", url, "--port", str(port)])
    assert type(result.exception).__name__ == "ServiceError"
    assert f"cannot listen at 127.0.0.1, port {port}: Address already in use" in str(result.exception)


def test_an_address_that_others_reach_needs_a_token_first(url: str) -> None:
    for options in (["--host", "0.0.0.0"], ["--name", "studies.example.org"], ["--tokens"]):
        result = CliRunner().invoke(app, ["serve", "--storage", url, *options])
        assert type(result.exception).__name__ == "UsageError"
        assert "moonas token create NAME --role operator" in str(result.exception)


def test_a_password_of_the_storage_is_not_printed() -> None:
    result = CliRunner().invoke(app, ["serve", "--storage", "postgresql+psycopg://ann:geheim@127.0.0.1:1/studies"])
    assert result.exit_code != 0
    assert "geheim" not in str(result.exception) + result.output


def test_tokens_are_made_listed_and_revoked_by_commands(url: str) -> None:
    run = CliRunner().invoke
    text = run(app, ["token", "create", "ann", "--role", "operator", "--storage", url]).output.strip()
    assert len(text) == 43
    listed = run(app, ["token", "list", "--storage", url]).output
    assert "ann" in listed
    assert "operator" in listed
    assert text not in listed
    rows = run(app, ["token", "list", "--storage", url, "--format", "csv"]).output.splitlines()
    assert (rows[0], rows[1].split(",")[:2]) == ("name,role,created", ["ann", "operator"])
    assert run(app, ["token", "revoke", "ann", "--storage", url]).output == "revoked ann\n"
    assert "no tokens yet" in run(app, ["token", "list", "--storage", url]).output


def test_the_server_never_loads_torch(made: Path) -> None:
    code = (
        "import sys\n"
        "sys.modules['torch'] = sys.modules['torchvision'] = None  # importing either raises\n"
        "from starlette.testclient import TestClient\n"
        "from moonas.service.app import create_app\n"
        "from moonas.service.settings import Settings\n"
        f"client = TestClient(create_app(Settings(storage='sqlite:///{made}')), base_url='http://localhost')\n"
        "study = client.get('/api/v1/studies/small').json()['config']\n"
        "key = client.get('/api/v1/studies/small/best').json()['key']\n"
        "study = {name: value for name, value in study.items() if name not in ('storage', 'artifacts')}\n"
        "calls = [client.post('/api/v1/plan', json=study)]\n"
        "paths = ('front', 'trials', 'trials/0', 'architectures/' + key)\n"
        "calls += [client.get('/api/v1/studies/small/' + path) for path in paths]\n"
        "print(*(answer.status_code for answer in calls))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["200"] * 5
