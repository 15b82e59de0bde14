"""Images read from their files: the same batches as from memory, whatever the number of reading processes."""

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from moonas.data import files
from moonas.data.dataset import Data
from moonas.data.files import FilePart
from moonas.data.parts import Part
from moonas.data.reading import Reader
from moonas.errors import DataError
from moonas.inner.search import Search
from moonas.networks.training import Training
from moonas.specs import EvaluateSpec, SearchSpec
from moonas.study.protocols import ShortConfig
from tests.data.pictures import load_folder, write_noise

PARTS = ("train", "train_w", "train_alpha", "valid", "test")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_noise(tmp_path / "mine", {"a": 40, "b": 30})
    return tmp_path


def batches(data: Data, part: str = "train", augmented: bool = True) -> list[Part]:
    return list(data.batches(getattr(data, part), 16, seed=1, augmented=augmented))


def equal(one: list[Part], other: list[Part]) -> bool:
    return len(one) == len(other) and all(
        torch.equal(a.images, b.images) and torch.equal(a.labels, b.labels) for a, b in zip(one, other, strict=True)
    )


@pytest.fixture
def in_memory(root: Path) -> Data:
    return load_folder(root, channels=3)


@pytest.fixture
def in_files(in_memory: Data, root: Path, monkeypatch: pytest.MonkeyPatch) -> Data:
    monkeypatch.setattr(files, "IN_MEMORY", 0)
    return load_folder(root, channels=3)


def test_images_stay_in_memory_up_to_the_limit(root, monkeypatch):
    monkeypatch.setattr(files, "IN_MEMORY", 70 * 3 * 8 * 8 * 4)  # float32
    assert isinstance(load_folder(root, channels=3).train, Part)
    monkeypatch.setattr(files, "IN_MEMORY", 70 * 3 * 8 * 8 * 4 - 1)
    assert isinstance(load_folder(root, channels=3).train, FilePart)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("augmented", [True, False])
def test_batches_from_files_are_those_from_memory(in_memory, in_files, part, augmented):
    assert equal(batches(in_files, part, augmented), batches(in_memory, part, augmented))


@pytest.fixture
def skeleton(tiny_skeleton):
    return replace(tiny_skeleton, input_shape=(3, 8, 8), classes=2)


def test_a_training_on_files_is_the_one_in_memory(in_memory, in_files, tiny_space, skeleton):
    architecture = tiny_space.architecture([slot.options[-1] for slot in tiny_space.slots()])
    named = {"data": {"name": "image-folder"}, "space": {"name": "darts-cnn", "nodes": 2}, "protocol": {"name": "short"}}
    spec = EvaluateSpec(seed=0, replicate=0, architecture=architecture, skeleton=skeleton, **named)
    trainings = [Training(spec, ShortConfig(epochs=1, batch=16), data) for data in (in_memory, in_files)]
    assert trainings[0].run_epoch(0) == trainings[1].run_epoch(0)
    assert trainings[0].result() == trainings[1].result()


def test_a_search_on_files_is_the_one_in_memory(in_memory, in_files, skeleton):
    method = {"name": "darts", "epochs": 1, "batch": 16}
    named = {"data": {"name": "image-folder"}, "space": {"name": "darts-cnn", "nodes": 2}, "handler": {"name": "none"}}
    spec = SearchSpec(seed=0, replicate=0, skeleton=skeleton, method=method, **named)
    searches = [Search(spec, data) for data in (in_memory, in_files)]
    assert searches[0].run_epoch(0) == searches[1].run_epoch(0)
    assert searches[0].scores() == searches[1].scores()


def test_random_crops_are_the_same_whatever_the_number_of_reading_processes(root, monkeypatch):
    data = load_folder(root, channels=3, augment="crop")
    alone = batches(data)
    monkeypatch.setenv("MOONAS_LOADERS", "2")
    assert equal(batches(data), alone)


def test_random_crops_follow_from_the_seed_of_the_pass_alone(root):
    data = load_folder(root, channels=3, augment="crop")
    torch.manual_seed(0)
    state, first = torch.get_rng_state(), batches(data)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(1)
    assert equal(batches(data), first)
    middles = batches(data, augmented=False)
    assert all(torch.equal(crop.labels, middle.labels) for crop, middle in zip(first, middles, strict=True))  # in the same order
    assert not any(torch.equal(crop.images, middle.images) for crop, middle in zip(first, middles, strict=True))
    chosen = [torch.arange(4)]
    assert not equal(list(data.train.read(chosen, seed=2)), list(data.train.read(chosen, seed=3)))


def test_the_middle_of_the_image_is_224_of_256_where_training_crops_at_random(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (256, 300, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    middle = Reader(channels=3, size=224, crop=True).read(str(tmp_path / "wide.png"), seed=None)
    assert np.array_equal(middle, pixels[16:240, 38:262].transpose(2, 0, 1))


@pytest.mark.parametrize(("flip", "least", "most"), [(True, 0.35, 0.65), (False, 0.0, 0.0)])
def test_random_crops_are_mirrored_half_of_the_time_where_that_is_wanted(tmp_path, flip, least, most):
    Image.fromarray(np.tile(np.arange(0, 256, 4, dtype=np.uint8), (64, 1))).save(tmp_path / "ramp.png")
    reader = Reader(channels=1, size=16, crop=True, flip=flip)
    views = [reader.read(str(tmp_path / "ramp.png"), seed).astype(float) for seed in range(200)]
    mirrored = np.mean([view[..., :8].mean() > view[..., 8:].mean() for view in views])
    assert least <= mirrored <= most  # 0.15 is 4 standard deviations


def test_an_unreadable_file_is_named_by_whichever_process_meets_it(root, in_files, monkeypatch):
    path = root / "mine" / "a" / "7.jpg"
    path.write_bytes(path.read_bytes()[:100])
    broken = next(part for part in ("train", "valid", "test") if str(path) in getattr(in_files, part).paths)
    for processes in ("0", "1"):
        monkeypatch.setenv("MOONAS_LOADERS", processes)
        with pytest.raises(DataError, match=f"{path} cannot be read as an image"):
            batches(in_files, broken)


@pytest.mark.parametrize("text", ["-1", "two", "1.5"])
def test_a_number_of_reading_processes_that_is_none_is_refused(in_files, monkeypatch, text):
    monkeypatch.setenv("MOONAS_LOADERS", text)
    with pytest.raises(DataError, match=f"MOONAS_LOADERS must be a number of processes, 0 or more, not '{text}'"):
        batches(in_files)


READ_AND_WAIT = """
import multiprocessing, sys, time
from pathlib import Path
from tests.data.pictures import load_folder

if __name__ == "__main__":
    data = load_folder(Path(sys.argv[1]), channels=3, augment="crop")
    batches = data.batches(data.train, 1, seed=0)
    next(batches)
    print(*(child.pid for child in multiprocessing.active_children()), flush=True)
    time.sleep(60)
"""


@pytest.mark.slow
def test_no_reading_process_outlives_a_task_that_is_killed(root, tmp_path):
    script = tmp_path / "read_and_wait.py"
    script.write_text(READ_AND_WAIT)
    top = str(Path(__file__).parents[2])
    environment = {**os.environ, "MOONAS_LOADERS": "2", "PYTHONPATH": top}
    with subprocess.Popen([sys.executable, str(script), str(root)], stdout=subprocess.PIPE, text=True, env=environment) as task:
        assert task.stdout is not None
        readers = [int(pid) for pid in task.stdout.readline().split()]
        assert len(readers) == 2
        task.kill()
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in readers):
        assert time.monotonic() < deadline
        time.sleep(0.1)
