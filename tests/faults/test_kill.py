"""Real processes, killed: the front in the end is that of a run nobody disturbed, and nothing reported is lost."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

STUDY = {
    "name": "tiny",
    "seed": 0,
    "data": {"name": "digits", "images": 300},
    "space": {"name": "darts-cnn", "nodes": 1, "operations": ["none", "max_pool_3x3", "skip_connect", "sep_conv_3x3"]},
    "search": {"channels": 2, "cells": 3},
    "final": {"channels": 2, "cells": 3},
    "objectives": ["accuracy", "params"],
    "methods": ["random", {"name": "darts", "epochs": 8, "batch": 32}],
    "budgets": {"params": ["20%", "80%"]},
    "replicates": 1,
    "protocol": {"name": "short", "epochs": 8},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(STUDY))
    return tmp_path


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "MOONAS_STORAGE": f"sqlite:///{folder}/study.db"}
    command = [sys.executable, "-m", "moonas", *arguments]
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    process = start(folder, *arguments)
    output, _ = process.communicate(timeout=240)
    return process.returncode, output


def front(folder: Path) -> list[dict]:
    code, output = run(folder, "front", "tiny", "--format", "json")
    assert code == 0, output
    return json.loads(output)


def steps_reported(folder: Path) -> int:
    """How many epochs the database holds, all tasks together."""
    import sqlite3

    with sqlite3.connect(f"file:{folder}/study.db?mode=ro", uri=True) as connection:
        return connection.execute("SELECT count(*) FROM moonas_progress").fetchone()[0]


def wait_for_progress(folder: Path, more_than: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if steps_reported(folder) > more_than:
                return
        except Exception:
            pass  # the database is not there yet
        time.sleep(0.02)


def children_of(process: subprocess.Popen[str]) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True, check=False).stdout
    return [int(pid) for pid in listed.split()]


def disturbed_to_the_end(folder: Path, rng: random.Random, disturbances: list[str]) -> list[str]:
    """Run the study, disturbing each run a little after its next epoch; returns what each ended with."""
    ended, command = [], ("run", "tiny.yaml")
    for disturbance in disturbances:
        before = steps_reported(folder) if ended else 0
        process = start(folder, *command)
        wait_for_progress(folder, before + rng.randrange(4), process)
        time.sleep(rng.random() * 0.3)
        if disturbance == "kill a worker":
            for worker in children_of(process)[:1]:
                os.kill(worker, signal.SIGKILL)
            time.sleep(1)
            disturbance = "SIGKILL"
        process.send_signal(getattr(signal, disturbance))
        output, _ = process.communicate(timeout=240)
        expected = {"SIGKILL": -9, "SIGINT": 130, "SIGTERM": 143}[disturbance]
        assert process.returncode in (expected, 0), output
        if process.returncode in (130, 143):
            assert "moonas resume tiny" in output
        ended.append(disturbance)
        command = ("resume", "tiny")
        assert steps_reported(folder) >= before
    code, output = run(folder, "resume", "tiny")
    assert code == 0, output
    return ended


def test_killed_at_random_moments_and_resumed_ends_with_the_undisturbed_front(folder: Path, tmp_path_factory) -> None:
    whole = tmp_path_factory.mktemp("whole")
    (whole / "tiny.yaml").write_text(yaml.safe_dump(STUDY))
    code, output = run(whole, "run", "tiny.yaml")
    assert code == 0, output
    disturbed_to_the_end(folder, random.Random(0), ["SIGKILL", "SIGINT", "kill a worker", "SIGTERM"])
    assert front(folder) == front(whole)
    assert len(front(whole)) >= 1
    code, output = run(folder, "db", "check")
    assert code == 0, output


@pytest.mark.slow
def test_twenty_kills(folder: Path, tmp_path_factory) -> None:
    whole = tmp_path_factory.mktemp("whole")
    (whole / "tiny.yaml").write_text(yaml.safe_dump(STUDY))
    assert run(whole, "run", "tiny.yaml")[0] == 0
    disturbed_to_the_end(folder, random.Random(1), ["SIGKILL"] * 20)
    assert front(folder) == front(whole)
