"""Studies driven by one real process and asked by others: pause, stop, cancel, retry, enqueue, and whoever dies in between."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
import yaml

from moonas.cli import main
from tests.faults.test_kill import STUDY, start, steps_reported, wait_for_progress

ONE_SLOT = {**STUDY, "workers": {"tasks_per_device": 1}}
LONG = {**ONE_SLOT, "space": {"name": "darts-cnn", "nodes": 2}, "protocol": {"name": "short", "epochs": 500}}


def write(folder: Path, study: dict) -> Path:
    (folder / "tiny.yaml").write_text(yaml.safe_dump(study))
    return folder


def asked(folder: Path, *arguments: str, code: int = 0) -> str:
    """What a command prints, run in this process, which is another than the one that drives the study; it ends with this code."""
    printed = StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed), redirect_stderr(printed):
        patch.setenv("MOONAS_STORAGE", f"sqlite:///{folder}/study.db")
        patch.setattr(sys, "argv", ["moonas", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
    assert ended.value.code == code, printed.getvalue()
    return printed.getvalue()


def read(folder: Path, *arguments: str) -> list | dict:
    return json.loads(asked(folder, *arguments, "--format", "json"))


def trials(folder: Path) -> dict[int, dict]:
    return {trial["number"]: trial for trial in read(folder, "trials", "tiny")}


def end_of(process: subprocess.Popen[str]) -> str:
    """What a run printed, which must end by itself and well."""
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert "Traceback" not in output
    return output


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    folder = write(tmp_path_factory.mktemp("whole"), ONE_SLOT)
    asked(folder, "run", f"{folder}/tiny.yaml")
    return read(folder, "front", "tiny")


def running_trial(folder: Path) -> int:
    """A trial that trains: an evaluation of it has reported, and it will not end by itself for long."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for number, trial in trials(folder).items():
            if trial["state"] == "RUNNING":
                tasks = read(folder, "logs", "tiny", str(number))
                if any(task["task"] == "evaluate" and task["state"] == "RUNNING" and task["steps"] for task in tasks):
                    return number
    raise AssertionError("nothing trains")


def test_a_study_is_asked_from_other_processes_while_one_drives_it_and_when_none_does(tmp_path: Path) -> None:
    folder = write(tmp_path, LONG)
    process = start(folder, "run", "tiny.yaml")
    wait_for_progress(folder, 0, process)

    refused = asked(folder, "run", f"{folder}/tiny.yaml", code=1)
    assert f"is driven by process {process.pid} on " in refused
    assert " since 2" in refused

    number = running_trial(folder)
    assert asked(folder, "cancel", "tiny", str(number)) == f"trial {number} cancelled\n"
    assert (trials(folder)[number]["state"], trials(folder)[number]["reason"]) == ("FAIL", "cancelled on request")
    enqueued = asked(folder, "enqueue", "tiny", "--method", "darts", "--budget", "params=80%")
    assert enqueued.startswith("trial ")
    assert "is missing; the study has: random, darts" in asked(folder, "enqueue", "tiny", code=2)

    paused = asked(folder, "pause", "tiny")
    assert paused.startswith("pausing: ")
    output = end_of(process)
    assert "state PAUSED" in output
    assert "moonas resume tiny" in output
    cancelled = read(folder, "logs", "tiny", str(number))
    assert [a["reason"] for task in cancelled for a in task["attempts"] if a["state"] == "FAIL"] == ["cancelled on request"]
    assert "cancelled on request" in asked(folder, "logs", "tiny", str(number))

    assert "no process drives tiny; it is PAUSED" in asked(folder, "pause", "tiny")
    assert asked(folder, "retry", "tiny", str(number)) == f"trial {number} opened again. Go on with: moonas resume tiny\n"
    asked(folder, "enqueue", "tiny", "--method", "darts", "--budget", "params=20%")
    assert "has this trial already" in asked(folder, "enqueue", "tiny", "--method", "darts", "--budget", "params=20%", code=2)
    found = trials(folder)
    assert found[number]["state"] == "WAITING"
    assert found[max(found)]["state"] == "WAITING"
    assert "there is no trial 99" in asked(folder, "cancel", "tiny", "99", code=2)
    asked(folder, "db", "check")
    ledger = read(folder, "show", "tiny")["ledger"]
    spent = sum(row["seconds"] for row in ledger)
    assert spent == pytest.approx(read(folder, "show", "tiny")["device_hours"] * 3600)
    assert "FAIL" in {row["state"] for row in ledger}


def disturb(folder: Path, process: subprocess.Popen[str], how: str) -> None:
    """Disturb a run in one of the ways that leave something to resume."""
    if how == "cancel and retry":
        asked(folder, "cancel", "tiny")
        end_of(process)
        asked(folder, "retry", "tiny")
    elif how in ("pause", "stop"):
        asked(folder, how, "tiny")
        end_of(process)
    elif how == "Ctrl-C twice":
        process.send_signal(signal.SIGINT)
        time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
        assert process.returncode in (130, 0), output
        assert "Traceback" not in output
    elif how == "kill -9, then pause":
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert "no process drives tiny; it is " in asked(folder, "pause", "tiny")
    else:
        asker = start(folder, "retry", "tiny")
        time.sleep(random.Random(how).random())
        os.kill(asker.pid, signal.SIGKILL)
        asker.communicate()
        process.send_signal(signal.SIGKILL)
    process.wait()


WAYS = ["pause", "cancel and retry", "Ctrl-C twice", "kill -9, then pause", "stop", "kill -9 of both"]


def disturbed(folder: Path, ways: list[str], rng: random.Random) -> list[dict]:
    """The front of a study that was disturbed in these ways, one run after another, and then left alone."""
    command = ("run", "tiny.yaml")
    for how in ways:
        before = steps_reported(folder) if command[0] == "resume" else 0
        process = start(folder, *command)
        wait_for_progress(folder, before + rng.randrange(3), process)
        disturb(folder, process, how)
        command = ("resume", "tiny")
    asked(folder, "resume", "tiny")
    asked(folder, "db", "check")
    assert {trial["state"] for trial in trials(folder).values()} == {"COMPLETE"}
    return read(folder, "front", "tiny")


def test_a_study_paused_stopped_cancelled_retried_and_killed_ends_with_the_undisturbed_front(
    tmp_path: Path, undisturbed: list[dict]
) -> None:
    assert disturbed(write(tmp_path, ONE_SLOT), WAYS[:4], random.Random(0)) == undisturbed
    assert len(undisturbed) >= 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_disturbed_in_any_order_it_ends_with_the_undisturbed_front(tmp_path: Path, undisturbed: list[dict], seed: int) -> None:
    rng = random.Random(seed)
    assert disturbed(write(tmp_path, ONE_SLOT), rng.choices(WAYS, k=8), rng) == undisturbed


def test_of_two_processes_that_start_a_study_at_once_one_drives_it_to_its_end(tmp_path: Path, undisturbed: list[dict]) -> None:
    folder = write(tmp_path, ONE_SLOT)
    first, second = start(folder, "run", "tiny.yaml"), start(folder, "run", "tiny.yaml")
    outputs = [process.communicate(timeout=240)[0] for process in (first, second)]
    codes = sorted(process.returncode for process in (first, second))
    assert codes == [0, 1], outputs
    assert any("is driven by process" in output for output in outputs)
    assert not any("Traceback" in output for output in outputs)
    assert read(folder, "front", "tiny") == undisturbed
    asked(folder, "db", "check")


def test_a_loop_that_was_suspended_until_another_took_over_stops_with_one_line(tmp_path: Path) -> None:
    folder = write(tmp_path, LONG)
    process = start(folder, "run", "tiny.yaml")
    wait_for_progress(folder, 0, process)
    process.send_signal(signal.SIGSTOP)  # a laptop that is closed
    try:
        with sqlite3.connect(folder / "study.db", timeout=30) as connection:  # a minute goes by
            connection.execute("UPDATE moonas_study SET lease_expires = lease_expires - 60")
        successor = start(folder, "resume", "tiny")
        deadline = time.monotonic() + 60
        while read(folder, "show", "tiny")["driven_by"].split("/")[1] != str(successor.pid):
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        process.send_signal(signal.SIGCONT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"is driven by process {successor.pid} on " in output
    assert "has written nothing more" in output
    assert "Traceback" not in output
    asked(folder, "cancel", "tiny")
    assert "state STOPPED: cancelled on request" in end_of(successor)
    asked(folder, "db", "check")
