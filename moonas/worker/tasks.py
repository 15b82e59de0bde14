"""Tasks, the unit of work: a search, an evaluation or a measurement, each a function of its JSON spec. None touches a database."""

from __future__ import annotations

import math
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from typing import Any, Protocol

import torch

from moonas.data.dataset import load_data
from moonas.errors import CheckpointError, DeviceError, MoonasWarning, NonFiniteLossError, StorageError, UsageError
from moonas.inner.inherited import compare, inherited_metrics
from moonas.inner.search import Search
from moonas.metrics.device import device_of, fingerprint
from moonas.metrics.measure import measure as measure_metrics
from moonas.metrics.subject import Subject
from moonas.networks.training import Training
from moonas.networks.weights import pack_weights
from moonas.skeleton import Skeleton
from moonas.spaces.space import live_edges, make_space
from moonas.specs import EvaluateSpec, MeasureSpec, RerankSpec, SearchSpec, device_text
from moonas.study.methods import METHODS
from moonas.study.protocols import PROTOCOLS
from moonas.study.validation import settings_of
from moonas.worker.artifacts import read_artifact, write_artifact
from moonas.worker.checkpoint import pack, unpack
from moonas.worker.functions import run_function
from moonas.worker.instant import look_up, propose
from moonas.worker.out_of_memory import HALVED
from moonas.worker.outcome import Report, TaskInterrupted
from moonas.worker.timing import time_task

Saved = Mapping[str, Any]  # an artifact; under "previous", where there is one, the checkpoint before it


class Resumable(Protocol):
    """Work that goes on epoch by epoch; its state between two epochs decides all that follows."""

    epochs: int

    def run_epoch(self, epoch: int) -> dict[str, float]: ...
    def snapshot(self) -> dict[str, Any]: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: dict[str, Any]) -> None: ...


def run_task(
    spec: Mapping[str, Any],
    report: Report,
    *,
    artifacts: str | None = None,
    checkpoint: Saved | None = None,
    keep_weights: bool = True,
    data_root: str | None = None,
    device: str = "cpu",
    batch: int | None = None,
) -> dict[str, Any]:
    """Run the search or the evaluation that `spec` describes, and return its result as JSON data.

    report: called after each epoch with {"step", "of", "metrics", "checkpoint", "seconds"}, a search's with "scores" and "mixture"
    besides; answers "continue" or None, "stop", "prune" or "pause". It is also called with {"warning": text}, where the answer does
    not count.
    artifacts: URL of the folder for checkpoints and weights; None keeps nothing.
    checkpoint: where to go on; where it is missing or damaged the one before, else the start.
    keep_weights: whether a search, or the training of a network, leaves its final weights there.
    batch: images of a batch of a search or an evaluation, instead of what the spec says, after that ran out of memory. It is no
    part of the task's identity; the result's device has it as `halved_batch`.
    A spec `{"kind": "time", "of": spec}` runs a few steps of a task instead and returns what `moonas.worker.timing.time_task` does.
    MoonasWarnings are reported that way too.
    Raises TaskInterrupted after the checkpoint of an epoch whose report was answered so, NonFiniteLossError, DataError,
    DeviceError, InfeasibleError, StorageError.
    """
    if spec["kind"] == "time":
        _prepare(spec["of"]["threads"], device)
        return time_task(spec["of"], device, data_root)
    if spec["kind"] == "measure":
        return measure(spec, device)
    if spec["kind"] == "rerank":
        return rerank(spec, device, data_root)
    run: Callable[..., dict[str, Any]] | None = {"search": search, "evaluate": evaluate}.get(spec["kind"])
    if run is None:
        raise UsageError(f"{spec['kind']!r} is not a kind of task; known: evaluate, measure, rerank, search, time")
    with _reported_warnings(report):
        kept = {"artifacts": artifacts, "checkpoint": checkpoint, "keep_weights": keep_weights}
        found = run(spec, report, **kept, data_root=data_root, device=device, batch=batch)
    if batch is not None:
        found["device"] = {**found["device"], HALVED: batch}
    return found


def search(
    json_spec: Mapping[str, Any],
    report: Report,
    *,
    artifacts: str | None = None,
    checkpoint: Saved | None = None,
    keep_weights: bool = True,
    data_root: str | None = None,
    device: str = "cpu",
    batch: int | None = None,
) -> dict[str, Any]:
    """Scores of a search, or the architecture that a method without a supernet proposes; the final weights for `inherited`.

    Returns kind, scores ({group: (edges, operations)} or None), slot_scores (where scores do not add up over edges), operations
    ({group: the columns of its scores}), what the method leaves besides, architecture (or None), epochs, weights (an
    artifact or None), health (the last epoch's metrics), seconds, data_checksum (None where no data was read), versions, device.
    """
    spec = SearchSpec.from_json(json_spec)
    if not METHODS[spec.method["name"]].searches:
        return propose(spec)
    _prepare(spec.threads, device)
    data = load_data(spec.data, spec.seed, device, data_root)
    running = Search(replace(spec, method={**spec.method, "batch": batch}) if batch else spec, data, device)
    health, seconds = drive(running, report, key=spec.key, artifacts=artifacts, checkpoint=checkpoint)
    weights = None
    if artifacts is not None and keep_weights:
        shape = {"skeleton": running.net.skeleton.to_json(), "method": dict(spec.method)}
        left = {"key": spec.key, **shape, "net": running.net.state_dict()}
        weights = write_artifact(artifacts, "weights.safetensors", pack(left))
    return {
        "kind": "search",
        **_provenance(device, spec.threads),
        **running.result(),
        "architecture": None,
        "epochs": running.epochs,
        "weights": weights,
        "health": health,
        "seconds": seconds,
        "data_checksum": data.checksum,
    }


def evaluate(
    json_spec: Mapping[str, Any],
    report: Report,
    *,
    artifacts: str | None = None,
    checkpoint: Saved | None = None,
    keep_weights: bool = True,
    data_root: str | None = None,
    device: str = "cpu",
    batch: int | None = None,
) -> dict[str, Any]:
    """Accuracy of one architecture by its protocol.

    Returns kind, metrics (accuracy and loss on `valid`, test_accuracy, and train_seconds where the study asks for it; of a table
    what stands there), train_seconds, weights (of a training, an artifact or None), data_checksum, versions, device.
    """
    spec = EvaluateSpec.from_json(json_spec)
    name = spec.protocol["name"]
    if PROTOCOLS[name].look_up:
        return look_up(spec)
    if name == "function":
        return run_function(spec, report)
    _prepare(spec.threads, device)
    config = settings_of(PROTOCOLS[name].config, {**spec.protocol, "batch": batch} if batch else spec.protocol)
    data = load_data(spec.data, spec.seed, device, data_root)
    weights = None
    if name == "inherited":
        began = time.perf_counter()
        skeleton, method, searched = _search_weights(spec.weights, spec.source)
        metrics = inherited_metrics(spec, config, skeleton, method, searched, data, device)
        seconds = time.perf_counter() - began
    else:
        if cut := cells_without_a_way(spec):
            told = f"{spec.architecture.key}: nothing leads from input to output of {', '.join(cut)}, so its answers are constant"
            report({"warning": told})
        running = Training(spec, config, data, device)
        _, seconds = drive(running, report, key=spec.key, artifacts=artifacts, checkpoint=checkpoint)
        metrics = running.result() | ({"train_seconds": seconds} if spec.timed else {})
        if artifacts is not None and keep_weights:
            weights = write_artifact(artifacts, "weights.safetensors", pack_weights(running.network, _about(spec, metrics)))
    return {
        "kind": "evaluate",
        "metrics": metrics,
        "train_seconds": seconds,
        "weights": weights,
        "data_checksum": data.checksum,
        **_provenance(device, spec.threads),
    }


def _about(spec: EvaluateSpec, metrics: Mapping[str, float]) -> dict[str, Any]:
    """What a file of weights says of them."""
    names = ("architecture", "skeleton", "data", "seed", "protocol", "replicate")
    about = {name: value for name, value in spec.to_json().items() if name in names}
    return {**about, "metrics": dict(metrics), "versions": _versions()}


def cells_without_a_way(spec: EvaluateSpec) -> list[str]:
    """The cell groups whose architecture leads nowhere from the inputs to the output."""
    groups, architecture = make_space(spec.space).groups, spec.architecture
    return [
        name for name, edges in architecture.groups.items() if not live_edges(edges, groups[name].inputs, architecture.concat[name])
    ]


def rerank(json_spec: Mapping[str, Any], device: str = "cpu", data_root: str | None = None) -> dict[str, Any]:
    """A comparison of architectures with the weights of one search.

    Returns kind, accuracies on `valid`, best: the place of the first of the highest, data_checksum, versions, device.
    """
    spec = RerankSpec.from_json(json_spec)
    _prepare(spec.search.threads, device)
    data = load_data(spec.search.data, spec.search.seed, device, data_root)
    skeleton, _, weights = _search_weights(spec.weights, spec.search.key)
    accuracies = compare(spec, skeleton, weights, data, device)
    return {
        "kind": "rerank",
        "accuracies": accuracies,
        "best": accuracies.index(max(accuracies)),
        "data_checksum": data.checksum,
        **_provenance(device, spec.search.threads),
    }


def measure(json_spec: Mapping[str, Any], device: str = "cpu") -> dict[str, Any]:
    """Measured metrics of one architecture; nothing else should run on the device meanwhile.

    Returns kind, metrics, versions, and as device its fingerprint. Raises DeviceError on another device than the spec names, or
    where a metric is not available.
    """
    spec = MeasureSpec.from_json(json_spec)
    _prepare(spec.threads, device)
    here = fingerprint(device, spec.threads)
    if spec.device is not None and dict(spec.device) != here:
        raise DeviceError(f"{', '.join(spec.metrics)} is measured on {device_text(spec.device)}, not on {device_text(here)}")
    subject = Subject.make(spec.architecture, spec.skeleton, device, **spec.settings)
    return {
        "kind": "measure",
        "metrics": measure_metrics(subject, spec.metrics),
        **_provenance(device, spec.threads),
        "device": here,
    }


def drive(
    running: Resumable, report: Report, *, key: str, artifacts: str | None, checkpoint: Saved | None
) -> tuple[dict[str, float], float]:
    """Run the epochs that are left, with a new checkpoint after each, reported before the answer counts.

    key: of the spec; a checkpoint of another one is not used.
    Returns the last epoch's metrics and the seconds of all epochs, those before a resume included.
    """
    epoch, metrics, seconds = _resume(running, report, key, checkpoint)
    while epoch < running.epochs:
        began = time.perf_counter()
        metrics = running.run_epoch(epoch)
        if unfit := [name for name, value in metrics.items() if not math.isfinite(value)]:
            raise NonFiniteLossError(f"{', '.join(unfit)} became NaN or infinite in epoch {epoch + 1}")
        epoch += 1
        spent = time.perf_counter() - began
        seconds += spent
        saved = None
        if artifacts is not None:
            state = {"key": key, "epoch": epoch, "metrics": metrics, "seconds": seconds, "state": running.state_dict()}
            saved = write_artifact(artifacts, "checkpoint.safetensors", pack(state))
        progress = {"step": epoch, "of": running.epochs, "metrics": metrics, "checkpoint": saved, "seconds": spent}
        action = report({**progress, **running.snapshot()})
        if action in ("stop", "prune", "pause"):
            raise TaskInterrupted(action)
    return metrics, seconds


def _resume(running: Resumable, report: Report, key: str, checkpoint: Saved | None) -> tuple[int, dict[str, float], float]:
    """Load the newest checkpoint that can be read. Returns (epochs done, their last metrics, their seconds)."""
    while checkpoint is not None:
        try:
            saved = unpack(read_artifact(checkpoint["url"], checkpoint["sha256"]))
            if saved.get("key") != key:
                raise CheckpointError(f"the checkpoint {checkpoint['url']} belongs to another task")
            running.load_state_dict(saved["state"])
            return saved["epoch"], saved["metrics"], saved["seconds"]
        except StorageError as error:
            checkpoint = checkpoint.get("previous")
            report({"warning": f"{error}; going on from {'the checkpoint before' if checkpoint else 'the start'}"})
    return 0, {}, 0.0


def _search_weights(url: str | None, search_key: str) -> tuple[Skeleton, dict[str, Any], dict[str, torch.Tensor]]:
    """Of the search network its skeleton, deeper than the study's where the method is staged, the method, and the weights."""
    if url is None:
        raise StorageError("the spec names no weights; the search that leaves them must run first")
    saved = unpack(read_artifact(url))
    if saved.get("key") != search_key:
        raise CheckpointError(f"the weights {url} are not those of the search {search_key}")
    return Skeleton.from_json(saved["skeleton"]), saved["method"], saved["net"]


@contextmanager
def _reported_warnings(report: Report) -> Iterator[None]:
    """Each MoonasWarning of the block is reported once; others are shown as ever."""
    with warnings.catch_warnings():
        warnings.simplefilter("default", MoonasWarning)
        show = warnings.showwarning

        def tell(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
            if issubclass(category, MoonasWarning):
                report({"warning": str(message)})
            else:
                show(message, category, *where, **more)

        warnings.showwarning = tell  # restored by catch_warnings
        yield


def _prepare(threads: int, device: str) -> None:
    """One result for one spec: a fixed number of threads and deterministic algorithms, in full float32.

    Raises DeviceError where a GPU is asked for and torch can use none.
    """
    if device != "cpu" and not torch.cuda.is_available():
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        raise DeviceError(
            f"torch {torch.__version__} can use no GPU here (CUDA_VISIBLE_DEVICES={visible}): is the driver installed, and this a "
            "torch built for it? To go on without, set `workers: {devices: cpu}`"
        )
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS asks for it before it is deterministic
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # costs a tenth of a step; nothing here reads such memory
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False


def _provenance(device: str, threads: int) -> dict[str, Any]:
    return {"versions": _versions(), "device": device_of(device, threads)}


def _versions() -> dict[str, str]:
    return {"moonas": version("moonas"), "torch": torch.__version__}
