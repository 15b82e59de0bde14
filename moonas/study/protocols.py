"""Evaluation protocols by name: how an architecture's accuracy is obtained. Numbers of two protocols never share a front."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ConfigDict

from moonas.registry import Registry
from moonas.study.numbers import Count, CountOrZero, Decay, NonNegative, Positive


@dataclass(frozen=True, kw_only=True)
class ShortConfig:
    """Train the final network from scratch for a few epochs, on both training parts, without auxiliary head.

    Our own short recipe, after the optimiser of Liu et al. (ICLR 2019): SGD with Nesterov momentum, cosine to zero.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    epochs: Count = 20
    """passes over the training parts"""
    batch: Count = 64
    """images of a step, at most"""
    lr: Positive = 0.05
    """learning rate at the start"""
    momentum: Decay = 0.9
    """momentum of SGD"""
    weight_decay: NonNegative = 3e-4
    """decay of the weights"""
    clip: Positive = 5.0
    """largest norm of the gradient"""
    drop_path: Decay = 0.0
    """probability of dropping an operation's output towards the last epoch, growing linearly from 0"""
    label_smoothing: Decay = 0.0
    """smoothing of the labels in the cross-entropy"""


@dataclass(frozen=True, kw_only=True)
class InheritedConfig:
    """Run the architecture inside its search network, with the searched weights and recalibrated batch norm."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    calibration_batches: CountOrZero = 100
    """training batches that fill the running statistics; as many as there are where there are fewer"""
    batch: Count = 64
    """images of a batch, at most"""


@dataclass(frozen=True, kw_only=True)
class TabularConfig:
    """Look the accuracy up in the tables of NAS-Bench-201 (Dong & Yang, ICLR 2020, arXiv:2001.00326): the mean over a cell's
    runs.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    table: Literal["cifar10", "cifar100", "imagenet16-120"] | None = None
    """of which data set the table is; the study's own where absent"""


@dataclass(frozen=True, kw_only=True)
class FunctionConfig:
    """Call the function of the trial; nothing is to be set."""

    __pydantic_config__ = ConfigDict(extra="forbid")


TABLES = ("cifar10", "cifar100")  # data sets of this package that have a table
TABULATED: dict[str, Any] = {"channels": 16, "cells": 15}  # the skeleton that the tables were made with


@dataclass(frozen=True, kw_only=True)
class ProtocolEntry:
    """A protocol: its settings, and which skeleton it measures. trains: that network, whose weights can be kept.

    look_up: "module:function" of a protocol that trains nothing, called as `function(spec) -> (metrics, checksum of the table)`;
    it needs no torch.
    """

    config: type[Any]
    skeleton: Literal["search", "final"]
    look_up: str | None = None
    trains: bool = False


PROTOCOLS: Registry[ProtocolEntry] = Registry(
    "evaluation protocol",
    "protocol",
    {
        "short": ProtocolEntry(config=ShortConfig, skeleton="final", trains=True),
        "inherited": ProtocolEntry(config=InheritedConfig, skeleton="search"),
        "function": ProtocolEntry(config=FunctionConfig, skeleton="final"),
        "tabular": ProtocolEntry(config=TabularConfig, skeleton="final", look_up="moonas.data.nas_bench_201:look_up"),
    },
)
