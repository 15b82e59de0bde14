"""Data sets by name: shape and classes, which need no torch, and where their loader is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from moonas.registry import Registry
from moonas.study.numbers import Count, Whole


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Settings every data set has.

    size: height and width the images are resized to; their own where absent.
    images: a stratified subset of this many training images; all where absent. The test part keeps its share.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    size: Annotated[Whole, Field(ge=4, le=1024)] | None = None
    images: Count | None = None


@dataclass(frozen=True, kw_only=True)
class DataEntry:
    """A data set.

    input_shape: (channels, height, width) of an image as stored; `size` changes the last two.
    shares: train_w, train_alpha, valid and test images of the whole set.
    load: "module:function", called as `function(root: str | None) -> moonas.data.dataset.Source`.
    """

    input_shape: tuple[int, int, int]
    classes: int
    shares: tuple[int, int, int, int]
    load: str
    config: type[Any] = DataConfig


def input_shape(name: str, settings: DataConfig) -> tuple[int, int, int]:
    """(channels, height, width) of the images a network sees."""
    channels, height, width = DATA[name].input_shape
    return (channels, settings.size, settings.size) if settings.size else (channels, height, width)


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
    },
)
