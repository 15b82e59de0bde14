"""Data sets by name: shape, classes, parts and settings, which need no torch, and where their loader is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, PlainValidator

from moonas.errors import nearest
from moonas.registry import Registry
from moonas.study.numbers import Count, Share, Whole, parse_number, parse_whole

TRAINING_PARTS = ("train_w", "train_alpha", "valid")  # what the training images are shared among, in this order


def _fractions(value: Any) -> dict[str, float]:
    if not isinstance(value, Mapping) or not value:
        raise ValueError(f"expected parts with their fractions, such as {{train_w: 0.1, train_alpha: 0.025}}, got {value!r}")
    for part in value:
        if part not in TRAINING_PARTS:
            known = f"{nearest(part, TRAINING_PARTS)}\nKnown: {', '.join(TRAINING_PARTS)}."
            raise ValueError(f"{part!r} is not a part of the training images{known}")
    found = {part: float(parse_number(value[part])) for part in TRAINING_PARTS if part in value}
    for part, fraction in found.items():
        if not 0 < fraction <= 1:
            raise ValueError(f"{part} must be above 0 and at most 1, got {value[part]!r}")
    return found


Size = Annotated[Whole, Field(ge=4, le=1024)]
Fractions = Annotated[dict[str, float], PlainValidator(_fractions, json_schema_input_type=dict[str, Share])]
Folder = Annotated[str, Field(min_length=1)]


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Settings every data set has."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    size: Size | None = None
    """height and width that images are resized to; their own where absent"""
    images: Count | None = None
    """a stratified subset of so many images for the first three parts together, in their proportions; the test part keeps the
    same share; all where absent"""
    fractions: Fractions | None = None
    """how much of the training images of each class a part gets, such as `{train_w: 0.10, train_alpha: 0.025}`; `train_w`,
    `train_alpha` and `valid` may be named, the others keep their shares, and together they are at most 1; not beside `images`"""


@dataclass(frozen=True, kw_only=True)
class ImageFolderConfig(DataConfig):
    """The user's own images: a folder with one sub-folder per class, described here so that a study is checked without
    reading it.
    """

    size: Size = field()
    """height and width that images get"""
    root: Folder
    """a folder with one sub-folder per class; below `MOONAS_DATA` unless absolute"""
    test: Folder | None = None
    """an official test set in the same form; where absent, the test part comes out of `root`"""
    classes: Annotated[Whole, Field(ge=2)]
    """how many class folders there are"""
    channels: Annotated[Literal[1, 3], BeforeValidator(parse_whole)] = 3
    """colour or grey"""
    augment: Literal["shift", "crop"] = "shift"
    """shift training images by up to an eighth of their size, or crop them at random as for ImageNet"""
    flip: bool = True
    """mirror half of the training images left to right"""


@dataclass(frozen=True, kw_only=True)
class DataEntry:
    """A data set.

    input_shape: (channels, height, width) of an image as stored; `size` changes the last two. None where `channels` and `size` are
    settings that say it. classes: how many there are; None where the setting `classes` says it.
    shares: train_w, train_alpha, valid and test images of the whole set; proportions where the parts go by hash.
    load: "module:function", called as `function(root: str | None)`, or `function(root, settings)` where the entry has a config of
    its own; returns a `moonas.data.dataset.Source` or a `moonas.data.files.FileSource`.
    config: the settings, DataConfig or an extension of it.
    """

    input_shape: tuple[int, int, int] | None
    classes: int | None
    shares: tuple[int, int, int, int]
    load: str
    config: type[DataConfig] = DataConfig


def input_shape(name: str, settings: Any) -> tuple[int, int, int]:
    """(channels, height, width) of the images a network sees."""
    own = DATA[name].input_shape or (settings.channels, settings.size, settings.size)
    return (own[0], settings.size, settings.size) if settings.size else own


def classes(name: str, settings: Any) -> int:
    """How many classes a network tells apart."""
    return DATA[name].classes or settings.classes


def training_fractions(shares: Sequence[int], fractions: Mapping[str, float]) -> tuple[float, float, float]:
    """What train_w, train_alpha and valid get of the training images: the fraction that is named, else their share."""
    whole = sum(shares[:3])
    w, alpha, valid = (fractions.get(part, share / whole) for part, share in zip(TRAINING_PARTS, shares, strict=False))
    return w, alpha, valid


DATA: Registry[DataEntry] = Registry(
    "data set",
    "data",
    {
        "digits": DataEntry(input_shape=(1, 8, 8), classes=10, shares=(538, 539, 360, 360), load="moonas.data.digits:load"),
        "fashion-mnist": DataEntry(
            input_shape=(1, 28, 28), classes=10, shares=(25_000, 25_000, 10_000, 10_000), load="moonas.data.fashion_mnist:load"
        ),
        "cifar10": DataEntry(
            input_shape=(3, 32, 32), classes=10, shares=(22_500, 22_500, 5_000, 10_000), load="moonas.data.cifar10:load"
        ),
        "cifar100": DataEntry(
            input_shape=(3, 32, 32), classes=100, shares=(22_500, 22_500, 5_000, 10_000), load="moonas.data.cifar100:load"
        ),
        "imagenet": DataEntry(
            input_shape=(3, 224, 224),
            classes=1000,
            shares=(615_584, 615_583, 50_000, 50_000),
            load="moonas.data.imagenet:load",
        ),
        "image-folder": DataEntry(
            input_shape=None, classes=None, shares=(4, 4, 1, 1), load="moonas.data.image_folder:load", config=ImageFolderConfig
        ),
        "none": DataEntry(input_shape=(1, 1, 1), classes=1, shares=(0, 0, 0, 0), load="moonas.data.nothing:load"),
    },
)
