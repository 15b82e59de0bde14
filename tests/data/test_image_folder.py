"""The user's own images: labels, parts that stay as they are, and clear words about folders that are not as the study file says."""

import os
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from moonas.data.dataset import Data
from moonas.data.folders import list_images
from moonas.errors import DataError, UsageError
from tests.data.pictures import load_folder, write_noise, write_plain

PARTS = ("train_w", "train_alpha", "valid", "test")
MEAN, STD = 0.449, 0.226  # of grey images


def greys(data: Data, part: str) -> list[int]:
    """The values of the plain images of a part."""
    return [round(255 * float(image.mean() * STD + MEAN)) for image in getattr(data, part).images]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of data sets with the folder `mine`: 100 plain images each of two classes, darker and lighter."""
    write_plain(tmp_path / "mine", {"dark": range(100), "light": range(100, 200)})
    return tmp_path


def test_images_are_those_of_the_files_labelled_by_their_folders_in_alphabetical_order(root):
    data = load_folder(root)
    found = [pair for part in PARTS for pair in zip(greys(data, part), getattr(data, part).labels.tolist(), strict=True)]
    assert sorted(found) == [(value, int(value >= 100)) for value in range(200)]
    assert (data.input_shape, data.classes) == ((1, 8, 8), 2)


@pytest.mark.parametrize("settings", [{}, {"fractions": {"train_w": 0.2, "train_alpha": 0.5}}], ids=["shares", "fractions"])
def test_added_images_leave_every_other_image_in_its_part(root, settings):
    before = load_folder(root, **settings)
    write_plain(root / "mine", {"dark": range(200, 240)})
    after = load_folder(root, **settings)
    for part in PARTS:
        assert {value for value in greys(after, part) if value < 200} == set(greys(before, part))
    assert len(after.train) > len(before.train)


def test_added_images_move_no_other_within_a_subset_either(root):
    before = load_folder(root, images=100)
    write_plain(root / "mine", {"dark": range(200, 240)})
    after = load_folder(root, images=100)
    for part, other in permutations(PARTS, 2):
        assert not set(greys(before, part)) & set(greys(after, other))
    assert sum(len(getattr(after, part)) for part in PARTS[:3]) == 100


def test_another_seed_gives_other_parts(root):
    assert set(greys(load_folder(root), "valid")) != set(greys(load_folder(root, seed=1), "valid"))


def test_an_official_test_folder_is_the_test_part_as_it_is(root):
    write_plain(root / "held", {"dark": range(5), "light": range(100, 105)})
    data = load_folder(root, test="held")
    assert sorted(greys(data, "test")) == [0, 1, 2, 3, 4, 100, 101, 102, 103, 104]
    assert sum(len(getattr(data, part)) for part in PARTS[:3]) == 200


def test_images_are_cut_to_the_middle_square_after_their_shorter_side_is_resized(tmp_path):
    write_noise(tmp_path / "mine", {"a": 30, "b": 30}, height=8, width=12, suffix=".png")
    data = load_folder(tmp_path, channels=3, test="mine")
    files = sorted((tmp_path / "mine").glob("*/*.png"))
    middle = np.stack([np.asarray(Image.open(path))[:, 2:10].transpose(2, 0, 1) for path in files])
    mean, std = (torch.tensor(three).view(3, 1, 1) for three in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    found = ((data.test.images * std + mean) * 255).round().byte()
    assert sorted(found.flatten(1).tolist()) == sorted(middle.reshape(60, -1).tolist())


def test_a_colour_image_becomes_grey_and_a_grey_one_three_equal_channels(root):
    Image.new("RGB", (8, 8), (0, 255, 0)).save(root / "mine" / "light" / "green.png")
    found = {value for part in PARTS for value in greys(load_folder(root), part)}
    assert round(0.587 * 255) in found  # the weight of green in ITU-R BT.601
    images = load_folder(root, channels=3, fractions={"train_w": 0.5}).train_w.images * torch.tensor((0.229, 0.224, 0.225)).view(
        3, 1, 1
    )
    assert torch.allclose(images[:, 0] + 0.485, images[:, 2] + 0.406, atol=1e-6)


def test_flip_and_shift_are_as_set(root):
    assert (load_folder(root).augment.pad, load_folder(root).augment.flip) == (1, True)
    assert (load_folder(root, size=32, flip=False).augment.pad, load_folder(root, flip=False).augment.flip) == (4, False)


@pytest.mark.parametrize("classes", [3, 1000])
def test_another_number_of_class_folders_is_refused_with_both_numbers(root, classes):
    with pytest.raises(DataError, match=rf"`classes: {classes}`, and .*mine holds 2 class folders: dark, light"):
        load_folder(root, classes=classes)


def test_a_folder_that_is_not_there_is_named_with_where_it_was_looked_for(tmp_path):
    with pytest.raises(DataError, match=rf"no folder {tmp_path}/mine, which `root: mine` names"):
        load_folder(tmp_path)


def test_an_absolute_folder_needs_no_folder_of_data_sets(root):
    assert len(load_folder(Path("/nowhere"), root=str(root / "mine")).train) > 100


def test_a_test_folder_of_other_classes_is_refused(root):
    write_plain(root / "held", {"dark": range(5), "pale": range(100, 105)})
    with pytest.raises(DataError, match=r"same class folders(.|\n)*dark, light(.|\n)*dark, pale"):
        load_folder(root, test="held")


def test_a_class_folder_without_images_is_refused_with_the_known_endings(root):
    (root / "mine" / "empty").mkdir()
    (root / "mine" / "empty" / "readme.txt").write_text("none yet")
    with pytest.raises(DataError, match=r"no image lies in .*/empty; known are files that end in .*\.png"):
        load_folder(root, classes=3)


def test_other_files_and_hidden_ones_are_passed_over(root):
    for name in ("Thumbs.db", ".hidden.png", "notes.txt"):
        (root / "mine" / "dark" / name).write_bytes(b"?")
    (root / "mine" / ".cache").mkdir()
    assert len(list_images(root / "mine").names) == 200


@pytest.mark.parametrize("damage", ["cut off", "foreign", "empty", "16 bits"])
def test_an_image_that_cannot_be_read_is_named(root, damage):
    path = root / "mine" / "dark" / "007.png"
    if damage == "16 bits":
        Image.fromarray(np.full((8, 8), 4096, dtype=np.uint16)).save(path)
    else:
        path.write_bytes({"cut off": path.read_bytes()[:-30], "foreign": b"<html>404</html>", "empty": b""}[damage])
    with pytest.raises(DataError, match=rf"{path} "):
        load_folder(root)


def test_too_few_images_for_four_parts_are_refused(tmp_path):
    write_plain(tmp_path / "mine", {"dark": range(2), "light": range(100, 102)})
    with pytest.raises(UsageError, match="at least one per class"):
        load_folder(tmp_path)


def test_the_checksum_tells_a_renamed_and_a_changed_file_and_not_another_date(root):
    checksum = load_folder(root).checksum
    path = root / "mine" / "dark" / "007.png"
    os.utime(path, (0, 0))
    assert load_folder(root).checksum == checksum
    path.rename(path.with_name("700.png"))
    assert load_folder(root).checksum != checksum
    path.with_name("700.png").rename(path)
    with path.open("ab") as file:
        file.write(b"\0")
    assert load_folder(root).checksum != checksum
