"""ImageNet from a small tree of class folders in the official form."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from moonas.data import dataset
from moonas.data.dataset import Data, load_data
from moonas.data.files import FilePart
from moonas.errors import DataError
from moonas.study.data import DATA
from tests.data.pictures import write_noise

WORDS = ("n01440764", "n01443537", "n01484850")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """40 training and 4 validation images of each of three classes."""
    write_noise(tmp_path / "imagenet" / "train", dict.fromkeys(WORDS, 40), 40, 50, ".JPEG")
    write_noise(tmp_path / "imagenet" / "val", dict.fromkeys(WORDS, 4), 60, 40, ".JPEG")
    return tmp_path


def load(root: Path, monkeypatch: pytest.MonkeyPatch, **settings: object) -> Data:
    """The set as if it had 3 classes and 120 training images, 12 of them for `valid`."""
    small = replace(DATA["imagenet"], classes=3, shares=(54, 54, 12, 12))
    monkeypatch.setitem(DATA._entries, "imagenet", small)
    dataset._load.cache_clear()
    return load_data({"name": "imagenet", **settings}, seed=0, root=str(root))


def test_it_is_read_from_its_files_in_the_published_form(root, monkeypatch):
    data = load(root, monkeypatch)
    assert [len(part) for part in (data.train_w, data.train_alpha, data.valid, data.test)] == [54, 54, 12, 12]
    assert isinstance(data.train, FilePart)
    batch = next(data.batches(data.train_w, 10, seed=0))
    assert batch.images.shape == (9, 3, 224, 224)  # 54 images in 6 batches
    assert torch.bincount(data.test.labels).tolist() == [4, 4, 4]


def test_fractions_take_their_share_of_each_class_and_leave_valid_as_it_is(root, monkeypatch):
    whole = load(root, monkeypatch)
    data = load(root, monkeypatch, size=32, fractions={"train_w": 0.10, "train_alpha": 0.025})
    assert torch.bincount(data.train_w.labels).tolist() == [4, 4, 4]
    assert torch.bincount(data.train_alpha.labels).tolist() == [1, 1, 1]
    assert set(data.valid.paths) == set(whole.valid.paths)
    assert data.input_shape == (3, 32, 32) == tuple(next(data.batches(data.valid, 4, seed=0)).images.shape[1:])


def test_the_whole_set_has_the_published_numbers():
    assert DATA["imagenet"].shares[3] == 50_000
    assert sum(DATA["imagenet"].shares[:3]) == 1_281_167


def test_a_tree_of_another_size_is_refused_with_both_numbers(root):
    with pytest.raises(DataError, match="imagenet: expected 1281167 images, found 120"):
        load_data({"name": "imagenet"}, seed=0, root=str(root))


def test_missing_test_images_are_refused(root, monkeypatch):
    (root / "imagenet" / "val" / WORDS[0] / "0.JPEG").unlink()
    with pytest.raises(DataError, match="expected 12 test images, found 11"):
        load(root, monkeypatch)


def test_validation_images_that_were_not_sorted_into_classes_are_refused(root, monkeypatch):
    (root / "imagenet" / "val" / WORDS[2]).rename(root / "imagenet" / "val" / "n99999999")
    with pytest.raises(DataError, match="class folders"):
        load(root, monkeypatch)


def test_a_missing_set_says_where_it_was_looked_for_and_how_to_get_it(tmp_path):
    with pytest.raises(DataError) as error:
        load_data({"name": "imagenet"}, seed=0, root=str(tmp_path))
    assert f"not in {tmp_path}/imagenet (no folder train, val)" in str(error.value)
    assert "ILSVRC2012_img_train.tar" in str(error.value)
