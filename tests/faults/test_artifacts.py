"""Checkpoints that are damaged, and disks that are full: real workers go on, and the front in the end is the undisturbed one."""

import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import moonas
from moonas.errors import TaskError
from moonas.outer.loop import Loop
from moonas.store.states import StudyState
from tests.faults.small import EPOCHS, Watching, epoch_of, front, run


def pausing_after(kind: str, step: int) -> Watching:
    """Pauses the study once a task of this kind has done so many epochs."""

    def tick(loop: Loop) -> None:
        running, done = epoch_of(loop)
        if running == kind and done >= step:
            loop.pause()

    return Watching(tick)


def checkpoints(study: Any, kind: str) -> list[Path]:
    """Those of the one task of a kind, the newest last."""
    (task,) = study.store.tasks(study.record.id, kind=kind)
    return [Path(artifact.url.removeprefix("file://")) for artifact in reversed(task.checkpoints)]


def test_a_damaged_checkpoint_falls_back_to_the_one_before_and_two_to_the_start(undisturbed: Any, tmp_path: Path) -> None:
    study = run(tmp_path, pausing_after("search", 2))
    assert study.state is StudyState.PAUSED
    _, newest = checkpoints(study, "search")
    damaged = bytearray(newest.read_bytes())
    damaged[-100] ^= 1
    newest.write_bytes(damaged)

    again = pausing_after("evaluate", 2)
    study = run(tmp_path, again)
    warnings = [line for line in again.lines if line.startswith("warning: ")]
    assert len(warnings) == 1
    assert f"{newest.name} is damaged" in warnings[0]
    assert warnings[0].endswith("going on from the checkpoint before")
    for checkpoint in checkpoints(study, "evaluate"):
        checkpoint.write_bytes(checkpoint.read_bytes()[:-1000])

    last = Watching()
    study = run(tmp_path, last)
    assert front(study) == undisturbed
    endings = [line.rpartition("; ")[2] for line in last.lines if line.startswith("warning: ")]
    assert endings == ["going on from the checkpoint before", "going on from the start"]
    told = [event.text for event in study.store.events(study.record.id) if event.kind == "warning"]
    assert len(told) == 3


def full_disk(folder: Path) -> Callable[[Loop], None]:
    """Fills the disk of `folder`."""

    def fill(loop: Loop) -> None:
        with (folder / "filler").open("wb", buffering=0) as filler:
            size = 65536
            while size:
                try:
                    filler.write(b"x" * size)
                except OSError:
                    size //= 2

    return fill


def limited_files(folder: Path) -> Callable[[Loop], None]:
    """From now on the worker can write no file of more than 1,000 bytes."""

    def limit(loop: Loop) -> None:
        worker = int(loop.slots.running[0].worker.rpartition("/")[2])
        resource.prlimit(worker, resource.RLIMIT_FSIZE, (1000, 1000))

    return limit


@pytest.fixture(params=["a full disk", pytest.param("a limit on files", marks=pytest.mark.slow)])
def trouble(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Loop], None]]:
    """Lets no further checkpoint be written to the folder of artifacts; mended by taking the filler away, and by new workers."""
    folder = tmp_path / "disk"
    folder.mkdir()
    monkeypatch.setenv("MOONAS_ARTIFACTS", str(folder))
    if request.param == "a limit on files":
        if sys.platform != "linux":
            pytest.skip("limits of another process can be set on Linux only")
        yield limited_files(folder)
        return
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    yield full_disk(folder)
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_where_no_checkpoint_can_be_written_the_study_pauses_and_goes_on_later(
    undisturbed: Any, trouble: Callable[[Loop], None], tmp_path: Path
) -> None:
    made = []

    def tick(loop: Loop) -> None:
        if not made and epoch_of(loop) >= ("search", 2):
            made.append(trouble(loop))

    with pytest.raises(
        TaskError, match=r"cannot write the artifact .*(No space left|File too large)(.|\n)*moonas resume tiny"
    ) as raised:
        run(tmp_path, Watching(tick))
    assert raised.value.exit_code == 1
    storage = f"sqlite:///{tmp_path}/study.db"
    assert moonas.load_study("tiny", storage).state is StudyState.PAUSED
    assert not list((tmp_path / "disk").glob("**/*.part"))
    (tmp_path / "disk" / "filler").unlink(missing_ok=True)

    study = moonas.resume("tiny", storage)
    assert front(study) == undisturbed
    lost, search, _ = study.store.attempts(study.record.id)
    steps = [step.attempt_id for step in study.store.progress(lost.task_id)]
    assert steps[0] == lost.id  # nothing that was reported is done again
    assert len(steps) == EPOCHS
    assert search.id in steps
