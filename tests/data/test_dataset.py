"""Data sets: digits as they ship, the others from small files in the published formats."""

import hashlib
import pickle
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.datasets import CIFAR10, CIFAR100

from moonas.data import cifar10, cifar100, dataset, fashion_mnist
from moonas.data.augment import Augment
from moonas.data.dataset import Source, load_data
from moonas.errors import DataError
from moonas.study.data import DATA, DataEntry

DIGITS = {"name": "digits"}


def write_fashion(root: Path, images: int = 20) -> np.ndarray:
    raw = root / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (images, 28, 28), dtype=np.uint8)
    for part in ("train", "t10k"):
        (raw / f"{part}-images-idx3-ubyte").write_bytes(struct.pack(">IIII", 2051, images, 28, 28) + pixels.tobytes())
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 2049, images) + bytes(i % 10 for i in range(images)))
    return pixels


def write_cifar(root: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    folder = root / "cifar-10-batches-py"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3072), dtype=np.uint8)

    def write(name: str, content: object) -> tuple[str, str]:
        (folder / name).write_bytes(pickle.dumps(content))
        return name, hashlib.md5((folder / name).read_bytes()).hexdigest()

    batches = [write(f"data_batch_{number}", {"data": pixels, "labels": [number, 0]}) for number in (1, 2, 3, 4, 5)]
    test = [write("test_batch", {"data": pixels, "labels": [7, 8]})]
    name, md5 = write("batches.meta", {"label_names": [str(i) for i in range(10)]})
    monkeypatch.setattr(CIFAR10, "train_list", batches)
    monkeypatch.setattr(CIFAR10, "test_list", test)
    monkeypatch.setattr(CIFAR10, "meta", {"filename": name, "key": "label_names", "md5": md5})
    return pixels


def write_cifar100(root: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    folder = root / "cifar-100-python"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (3, 3072), dtype=np.uint8)
    content = {
        "train": {"data": pixels, "fine_labels": [99, 0, 50], "coarse_labels": [19, 0, 10]},
        "test": {"data": pixels[:1], "fine_labels": [7], "coarse_labels": [1]},
        "meta": {"fine_label_names": [str(i) for i in range(100)]},
    }
    for name, saved in content.items():
        (folder / name).write_bytes(pickle.dumps(saved))
    md5 = {name: hashlib.md5((folder / name).read_bytes()).hexdigest() for name in content}
    monkeypatch.setattr(CIFAR100, "train_list", [["train", md5["train"]]])
    monkeypatch.setattr(CIFAR100, "test_list", [["test", md5["test"]]])
    monkeypatch.setattr(CIFAR100, "meta", {"filename": "meta", "key": "fine_label_names", "md5": md5["meta"]})
    return pixels


def test_digits_are_those_of_scikit_learn():
    from sklearn.datasets import load_digits

    data, published = load_data(DIGITS, seed=0), load_digits()
    parts = [data.train_w, data.train_alpha, data.valid, data.test]
    raw = torch.cat([part.images for part in parts])
    std = 1 / (raw.max() - raw.min())  # from -mean/std to (1-mean)/std
    pixels = ((raw - data.black) * std * 16).round().long().flatten(1)
    labels = torch.cat([part.labels for part in parts])
    found = torch.cat([labels[:, None], pixels], dim=1).tolist()
    expected = np.column_stack([published.target, published.data]).astype(int).tolist()
    assert sorted(found) == sorted(expected)


def test_digits_have_the_default_parts_normalised_by_the_training_parts():
    data = load_data(DIGITS, seed=0)
    assert [len(part) for part in (data.train_w, data.train_alpha, data.valid, data.test, data.train)] == [538, 539, 360, 360, 1077]
    assert data.input_shape == (1, 8, 8) == tuple(data.train.images.shape[1:])
    assert data.train.images.mean().item() == pytest.approx(0, abs=1e-5)
    assert data.train.images.std(correction=0).item() == pytest.approx(1, abs=1e-5)
    assert data.black.item() == pytest.approx(data.train.images.min().item())
    assert data.train.images.dtype == torch.float32


def test_the_training_part_is_both_halves_without_a_copy():
    data = load_data(DIGITS, seed=0)
    assert torch.equal(data.train.images, torch.cat([data.train_w.images, data.train_alpha.images]))
    assert data.train.images.data_ptr() == data.train_w.images.data_ptr()


def test_size_resizes_the_images_and_the_border_that_shifts_uncover():
    data = load_data({**DIGITS, "size": 16}, seed=0)
    assert data.input_shape == (1, 16, 16) == tuple(data.test.images.shape[1:])
    assert data.augment.pad == 2


def test_a_pass_of_batches_holds_every_image_once_in_batches_of_nearly_equal_size():
    data = load_data({**DIGITS, "images": 300}, seed=0)
    batches = list(data.batches(data.train_w, 50, seed=1, augmented=False))
    assert len(data.train_w) == 112  # 300 * 538/1437 = 112.3
    assert [len(batch) for batch in batches] == [38, 37, 37]
    seen = torch.cat([batch.images for batch in batches]).flatten(1).tolist()
    assert sorted(seen) == sorted(data.train_w.images.flatten(1).tolist())


def test_batches_depend_on_their_seed_alone():
    data = load_data({**DIGITS, "images": 300}, seed=0)
    first, again, other = (next(data.batches(data.train_w, 50, seed=seed)) for seed in (1, 1, 2))
    assert torch.equal(first.images, again.images)
    assert not torch.equal(first.images, other.images)


def test_fashion_mnist_is_read_from_the_published_format(tmp_path):
    pixels = write_fashion(tmp_path)
    source = fashion_mnist.load(str(tmp_path))
    assert torch.equal(source.images, torch.from_numpy(pixels).unsqueeze(1))
    assert source.labels.tolist() == source.test_labels.tolist() == [i % 10 for i in range(20)]


def test_cifar10_is_read_from_the_published_format_with_the_published_moments(tmp_path, monkeypatch):
    pixels = write_cifar(tmp_path, monkeypatch)
    source = cifar10.load(str(tmp_path))
    assert torch.equal(source.images[:2], torch.from_numpy(pixels.reshape(2, 3, 32, 32)))
    assert source.labels.tolist() == [1, 0, 2, 0, 3, 0, 4, 0, 5, 0]
    assert source.test_labels.tolist() == [7, 8]
    assert source.mean == pytest.approx((0.4914, 0.4822, 0.4465), abs=1e-4)


def test_cifar100_is_read_from_the_published_format_with_its_hundred_classes_and_moments(tmp_path, monkeypatch):
    pixels = write_cifar100(tmp_path, monkeypatch)
    source = cifar100.load(str(tmp_path))
    assert torch.equal(source.images, torch.from_numpy(pixels.reshape(3, 3, 32, 32)))
    assert (source.labels.tolist(), source.test_labels.tolist()) == ([99, 0, 50], [7])
    assert source.mean == (0.5071, 0.4867, 0.4408)
    assert source.std == (0.2675, 0.2565, 0.2761)


@pytest.mark.parametrize(
    ("name", "folder"),
    [("fashion-mnist", "FashionMNIST/raw"), ("cifar10", "cifar-10-batches-py"), ("cifar100", "cifar-100-python")],
)
def test_a_missing_data_set_says_where_it_was_looked_for_and_how_to_get_it(tmp_path, name, folder):
    with pytest.raises(DataError) as error:
        load_data({"name": name}, seed=0, root=str(tmp_path))
    assert str(tmp_path / folder) in str(error.value)
    assert "download=True" in str(error.value)


def test_the_place_comes_from_the_argument_then_the_environment_then_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MOONAS_DATA", str(tmp_path / "environment"))
    assert dataset.data_root(str(tmp_path / "given")) == tmp_path / "given"
    assert dataset.data_root() == tmp_path / "environment"
    monkeypatch.delenv("MOONAS_DATA")
    assert dataset.data_root() == Path.home() / ".cache" / "moonas" / "data"


KEPT = range(200)


def named_images(root: str) -> Source:
    kept, images = list(KEPT), torch.rand(200, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    labels, names = torch.arange(200)[kept] % 2, [str(number) for number in kept]
    return Source(images=images[kept], labels=labels, augment=Augment(), mean=(0.0,), std=(1.0,), names=names)


def test_a_loader_may_name_its_images_so_that_fewer_of_them_move_no_other(monkeypatch):
    entry = DataEntry(input_shape=(1, 8, 8), classes=2, shares=(4, 4, 1, 1), load=f"{__name__}:named_images")
    monkeypatch.setitem(DATA._entries, "named", entry)
    whole = load_data({"name": "named"}, seed=0).train_w.images
    monkeypatch.setattr(sys.modules[__name__], "KEPT", range(50, 200))
    dataset._load.cache_clear()
    fewer = load_data({"name": "named"}, seed=0).train_w.images
    assert {*map(tuple, fewer.flatten(1).tolist())} < {*map(tuple, whole.flatten(1).tolist())}


@pytest.mark.parametrize("damage", ["truncated", "labels missing", "foreign"])
def test_damaged_fashion_mnist_is_refused(tmp_path, damage):
    write_fashion(tmp_path)
    raw = tmp_path / "FashionMNIST" / "raw"
    images = raw / "train-images-idx3-ubyte"
    if damage == "truncated":
        images.write_bytes(images.read_bytes()[:1000])
    elif damage == "foreign":
        images.write_bytes(b"<html>404</html>")
    else:
        (raw / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match="fashion-mnist"):
        fashion_mnist.load(str(tmp_path))


def test_damaged_cifar10_is_refused_before_anything_is_unpickled(tmp_path, monkeypatch):
    write_cifar(tmp_path, monkeypatch)
    batch = tmp_path / "cifar-10-batches-py" / "data_batch_3"
    batch.write_bytes(batch.read_bytes()[:-1])
    with pytest.raises(DataError, match="damaged"):
        cifar10.load(str(tmp_path))


def test_damaged_cifar100_is_refused_before_anything_is_unpickled(tmp_path, monkeypatch):
    write_cifar100(tmp_path, monkeypatch)
    train = tmp_path / "cifar-100-python" / "train"
    train.write_bytes(train.read_bytes() + b"\0")
    with pytest.raises(DataError, match=r"cifar100 in .* is damaged"):
        cifar100.load(str(tmp_path))


def test_a_set_with_too_few_images_is_refused(tmp_path):
    write_fashion(tmp_path)
    with pytest.raises(DataError, match="expected 60000 images, found 20"):
        load_data({"name": "fashion-mnist"}, seed=0, root=str(tmp_path))


def test_the_checksum_tells_one_changed_pixel(tmp_path):
    write_fashion(tmp_path)
    first = fashion_mnist.load(str(tmp_path)).checksum
    images = tmp_path / "FashionMNIST" / "raw" / "t10k-images-idx3-ubyte"
    images.write_bytes(images.read_bytes()[:-1] + bytes([images.read_bytes()[-1] ^ 1]))
    assert fashion_mnist.load(str(tmp_path)).checksum != first
    assert len(first) == 64
