"""Local workers: what a process of a pool is told by its environment."""

import os
import signal
import sys
from pathlib import Path

import pytest

from moonas.worker.devices import cpu_count
from moonas.worker.local import LocalPool

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def environment_of_a_worker(slots: int) -> list[str]:
    pool = LocalPool(["cpu"] * slots)
    try:
        pid = pool.ready(0).rpartition("/")[2]
        text = ""
        while not text:  # until the process has begun
            text = Path(f"/proc/{pid}/environ").read_text()
        return text.split("\0")
    finally:
        pool.close()


@pytest.mark.parametrize("slots", [1, 2])
def test_the_cores_are_shared_out_among_the_tasks_for_reading_images(monkeypatch, slots):
    monkeypatch.delenv("MOONAS_LOADERS", raising=False)
    assert f"MOONAS_LOADERS={max(1, cpu_count() // slots)}" in environment_of_a_worker(slots)


def test_a_number_of_reading_processes_that_the_user_set_reaches_the_workers(monkeypatch):
    monkeypatch.setenv("MOONAS_LOADERS", "7")
    assert "MOONAS_LOADERS=7" in environment_of_a_worker(1)


def test_a_stopped_worker_can_be_killed_and_its_event_says_why(monkeypatch):
    monkeypatch.setattr("moonas.worker.local.WORKER", "tests.worker.telling_process")
    pool = LocalPool(["cpu"])
    try:
        name = pool.ready(0)
        os.kill(int(name.rpartition("/")[2]), signal.SIGSTOP)
        pool.kill(0, "it hung")
        event = pool.next_event(20)
        assert (event.kind, event.message["reason"], event.worker) == ("died", "it hung", name)
        assert pool.ready(0) != name
    finally:
        pool.close()
