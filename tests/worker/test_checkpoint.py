"""Checkpoints and artifacts: exact round trips, and every damage told."""

import math

import pytest
import torch
from safetensors.torch import save

from moonas.errors import CheckpointError, StorageError
from moonas.worker.artifacts import delete_artifact, read_artifact, write_artifact
from moonas.worker.checkpoint import pack, unpack

STATE = {
    "epoch": 3,
    "key": "abc",
    "metrics": {"loss": 0.1 + 0.2, "none": None, "flag": True},
    "state": {"net": {"a.weight": torch.randn(2, 3), "count": torch.tensor(7)}, "list": [torch.zeros(0), 1.5, "text"]},
}


def same(one, other) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    return type(one) is type(other) and one == other


def test_a_nested_state_comes_back_exactly():
    assert same(unpack(pack(STATE)), STATE)


def test_tensors_in_other_memory_layouts_and_shared_ones_come_back():
    weight = torch.randn(4, 3, 5, 5).to(memory_format=torch.channels_last)
    loaded = unpack(pack({"a": weight, "b": weight, "half": weight[:2]}))
    assert torch.equal(loaded["a"], weight)
    assert torch.equal(loaded["b"], weight)
    assert torch.equal(loaded["half"], weight[:2])


@pytest.mark.parametrize("kept", [0, 4, 100, -1])
def test_a_truncated_checkpoint_is_refused(kept):
    with pytest.raises(CheckpointError, match="not a whole checkpoint"):
        unpack(pack(STATE)[:kept])


@pytest.mark.parametrize("foreign", [b"PK\x03\x04 some zip archive", save({"weight": torch.zeros(2)}), b"\x80\x04pickle."])
def test_a_foreign_file_is_refused(foreign):
    with pytest.raises(CheckpointError):
        unpack(foreign)


def test_numbers_that_json_does_not_know_are_not_written():
    with pytest.raises(ValueError):
        pack({"loss": math.nan})


@pytest.mark.parametrize("form", ["{}", "file://{}", "memory://{}"])
def test_an_artifact_is_read_back_by_its_url_and_checked_by_its_checksum(tmp_path, form):
    artifact = write_artifact(form.format(tmp_path / "new" / "folder"), "x.bin", b"content")
    assert artifact["bytes"] == 7
    assert artifact["sha256"] == "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"
    assert read_artifact(artifact["url"], artifact["sha256"]) == b"content"
    with pytest.raises(StorageError, match="damaged"):
        read_artifact(artifact["url"], "0" * 64)
    delete_artifact(artifact["url"])
    with pytest.raises(StorageError, match="not there"):
        read_artifact(artifact["url"])
    delete_artifact(artifact["url"])


def test_equal_names_never_overwrite_one_another_and_nothing_unfinished_is_left(tmp_path):
    first, second = (write_artifact(str(tmp_path), "x.bin", content) for content in (b"1", b"2"))
    assert read_artifact(first["url"]) == b"1"
    assert read_artifact(second["url"]) == b"2"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        write_artifact(str(tmp_path / "file"), "x.bin", b"")
    with pytest.raises(StorageError, match="cannot write"):
        write_artifact("nosuchprotocol://folder", "x.bin", b"")
