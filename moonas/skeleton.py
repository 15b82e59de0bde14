"""Skeleton: the macro network that cells are placed into, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from moonas.errors import SkeletonError, nearest
from moonas.seeds import digest

STEMS = ("cifar", "imagenet", "imagenet-search")


@dataclass(frozen=True, kw_only=True)
class Skeleton:
    """Stem, width, depth and classifier of a network whose cells come from an architecture.

    space: name of the search space, which lays the cells out.
    channels: C, the channels of a node in the first cells; they double at each reduction.
    cells: L, the number of cells.
    input_shape: (channels, height, width) of one image.
    classes: outputs of the classifier.
    stem: "cifar" (one 3x3 convolution to 3C), "imagenet" (two halvings before the first cell, one more beside it, C channels) or
    "imagenet-search" (the same with 3C channels, as in the search network of PC-DARTS).
    """

    space: str = "darts-cnn"
    channels: int
    cells: int
    input_shape: tuple[int, int, int]
    classes: int
    stem: str = "cifar"

    def __post_init__(self) -> None:
        object.__setattr__(self, "input_shape", tuple(self.input_shape))
        sizes = {"channels": self.channels, "cells": self.cells, "classes": self.classes}
        for name, value in sizes.items():
            if type(value) is not int or value < 1:
                raise SkeletonError(f"skeleton: {name} must be a positive integer, got {value!r}")
        if len(self.input_shape) != 3 or any(type(size) is not int or size < 1 for size in self.input_shape):
            raise SkeletonError(f"skeleton: input_shape must be (channels, height, width), got {self.input_shape!r}")
        if self.stem not in STEMS:
            raise SkeletonError(f"skeleton: {self.stem!r} is not a stem{nearest(self.stem, STEMS)} Known: {', '.join(STEMS)}.")
        if self.stem != "cifar" and self.channels % 2:
            raise SkeletonError(
                f"skeleton: the {self.stem} stem halves the channels once, so they must be even, not {self.channels}"
            )

    @cached_property
    def key(self) -> str:
        """Identity: 16 hexadecimal digits over all fields."""
        return digest(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """The keyword arguments that make this skeleton, as JSON data."""
        return {**asdict(self), "input_shape": list(self.input_shape)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Skeleton:
        """Read what `to_json` wrote. Raises SkeletonError."""
        try:
            return cls(**data)
        except TypeError as error:
            raise SkeletonError(f"skeleton: {error}") from error
