"""Timing a task: a few real steps of it, from which its whole is estimated."""

from __future__ import annotations

import math
import resource
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from moonas.data.dataset import Data, load_data
from moonas.inner.search import Search
from moonas.networks.training import Training
from moonas.specs import EvaluateSpec, SearchSpec
from moonas.study.protocols import PROTOCOLS
from moonas.study.validation import settings_of

FEW, MORE = 1, 3  # batches of the two passes whose difference is the time of a step


def time_task(spec: Mapping[str, Any], device: str, data_root: str | None = None) -> dict[str, float]:
    """Run the last epoch's kind of step of a search, or of a training, on a few batches.

    Returns seconds (of the whole task), step_seconds, and memory_mib: the process's peak, or the device's where that is a GPU.
    """
    data = load_data(spec["data"], spec["seed"], device, data_root)
    running: Search | Training
    if spec["kind"] == "search":
        running = search = Search(SearchSpec.from_json(spec), data, device)
        images, batch = len(data.train_w), search.method.batch
    else:
        evaluate_spec = EvaluateSpec.from_json(spec)
        config = settings_of(PROTOCOLS[evaluate_spec.protocol["name"]].config, evaluate_spec.protocol)
        running = Training(evaluate_spec, config, data, device)
        images, batch = len(data.train), config.batch
    epochs, last = running.epochs, running.epochs - 1
    spent = []
    for batches in (FEW, FEW, MORE):  # the first pass warms up
        running.data = _shortened(data, batch * batches)
        began = time.perf_counter()
        running.run_epoch(last)
        if device != "cpu":
            torch.cuda.synchronize()
        spent.append(time.perf_counter() - began)
    first, few, more = spent
    step = max(0.0, more - few) / (MORE - FEW)
    epoch = few + step * (math.ceil(images / batch) - FEW)
    compiling = max(0.0, first - few) if spec["performance"].get("compile") else 0.0
    return {"seconds": compiling + epoch * epochs, "step_seconds": step, "memory_mib": _peak_memory_mib(device)}


def _shortened(data: Data, images: int) -> Data:
    first = slice(images)
    return replace(data, train=data.train.at(first), train_w=data.train_w.at(first), train_alpha=data.train_alpha.at(first))


def _peak_memory_mib(device: str) -> float:
    if device != "cpu":
        return torch.cuda.max_memory_allocated() / 2**20
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
