"""The one door: what a server gets, and what it answers."""

from __future__ import annotations

import subprocess
import sys

import pytest

from moonas.dashboard.live import LiveStudy
from tests.dashboard.serving import Settings, application

client = pytest.importorskip("fastapi.testclient", reason="no HTTP client for FastAPI's tests is installed")


@pytest.fixture(scope="module")
def http(storage: str):
    return client.TestClient(application(storage))


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200),
        ("/studies/small", 200),
        ("/studies/small/pick", 200),
        ("/studies/small/networks/abc", 404),
        ("/compare", 200),
        ("/studies/nowhere", 404),
        ("/studies/nowhere/pick", 404),
        ("/nowhere", 404),
        ("/assets/../app.py", 404),
        ("/assets/%2e%2e/app.py", 404),
        ("/assets/dashboard.js", 200),
    ],
)
def test_addresses_are_answered(http, path: str, status: int) -> None:
    assert http.get(path).status_code == status


def test_an_architecture_is_found_by_the_beginning_of_its_key(http, live: LiveStudy) -> None:
    key = live.members()[0].key
    assert http.get(f"/studies/small/networks/{key[:12]}").status_code == 200


def test_routes_of_the_server_stand_before_the_dashboard_s(storage: str) -> None:
    from fastapi import FastAPI

    from moonas.dashboard.app import mount

    app = FastAPI()

    @app.get("/api/v1/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    mount(app, Settings(storage))
    assert client.TestClient(app).get("/api/v1/health").json() == {"status": "ok"}
    assert client.TestClient(app).get("/api/v1/other").status_code == 404


def test_the_only_inline_script_is_the_one_whose_hash_is_given(http) -> None:
    import base64
    import hashlib
    import re

    answer = http.get("/")
    policy = answer.headers["Content-Security-Policy"]
    inline = [text for text in re.findall(r"<script(?: [^>]*)?>(.*?)</script>", answer.text, re.DOTALL) if text.strip()]
    run = [text for text in inline if not text.lstrip().startswith("{")]  # Dash's configuration is data
    hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in run]
    assert len(hashes) == 1
    assert hashes[0] in policy
    assert "http://" not in answer.text
    assert "https://" not in answer.text


def test_no_second_channel_is_open(http) -> None:
    from starlette.websockets import WebSocketDisconnect

    with pytest.raises(WebSocketDisconnect), http.websocket_connect("/_dash-ws-callback"):
        pass
    assert '"websocket"' not in http.get("/").text


def test_the_dashboard_never_loads_torch(storage: str) -> None:
    code = (
        "import sys\n"
        "sys.modules['torch'] = sys.modules['torchvision'] = None  # importing either raises\n"
        "from tests.dashboard.serving import application\n"
        "from moonas.dashboard.catalogue import Catalogue\n"
        "from moonas.dashboard.pages import architecture, pick, study\n"
        f"application({storage!r})\n"
        f"catalogue = Catalogue({storage!r})\n"
        "live = catalogue.live('small')\n"
        "study.page(catalogue, {}, 'small'), pick.answer(live, 'params=1M', True)\n"
        "architecture.page(catalogue, {}, 'small', live.members()[0].key)\n"
        "print('done')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "done", done.stderr
