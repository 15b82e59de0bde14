"""Protocol `inherited`: an architecture's accuracy inside its search network, with the searched weights."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import islice

import torch
from torch import Tensor

from moonas.data.dataset import Data
from moonas.inner.supernets.fused import FusedSupernet
from moonas.inner.supernets.supernet import Path
from moonas.networks.training import evaluate_accuracy
from moonas.seeds import stream
from moonas.skeleton import Skeleton
from moonas.spaces.space import make_space
from moonas.specs import EvaluateSpec, RerankSpec, Settings
from moonas.study.methods import partial_channels
from moonas.study.protocols import InheritedConfig
from moonas.study.sections import Performance
from moonas.study.validation import settings_of


def inherited_metrics(
    spec: EvaluateSpec,
    config: InheritedConfig,
    skeleton: Skeleton,
    method: Settings,
    weights: Mapping[str, Tensor],
    data: Data,
    device: str | torch.device = "cpu",
) -> dict[str, float]:
    """accuracy and loss on `valid`, test_accuracy on `test`.

    skeleton, method, weights: of the search network in its final state. The path's running statistics are those of the mixture, so
    they are replaced by the plain average over training batches without augmentation, our own choice.
    Raises NonFiniteLossError, ArchitectureError.
    """
    space = make_space(spec.space)
    space.check(spec.architecture)
    net, path = FusedSupernet(space, skeleton, partial_channels(method)).to(device), Path(spec.architecture)
    net.set_performance(settings_of(Performance, spec.performance))
    seed = stream(
        spec.seed, spec.architecture.key, spec.skeleton.key, dict(spec.protocol), spec.source, spec.replicate, "calibration"
    )
    _calibrate(net, weights, path, config, data, seed)
    loss, accuracy = evaluate_accuracy(net, data.valid, lambda images: net(images, path))
    test_accuracy = evaluate_accuracy(net, data.test, lambda images: net(images, path))[1]
    return {"accuracy": accuracy, "test_accuracy": test_accuracy, "loss": loss}


def compare(
    spec: RerankSpec, skeleton: Skeleton, weights: Mapping[str, Tensor], data: Data, device: str | torch.device = "cpu"
) -> list[float]:
    """The accuracy on `valid` of every architecture of `spec`, as `inherited` measures it with its defaults."""
    search, config = spec.search, InheritedConfig()
    net = FusedSupernet(make_space(search.space), skeleton, partial_channels(search.method)).to(device)
    net.set_performance(settings_of(Performance, search.performance))
    accuracies = []
    for architecture in spec.architectures:
        path = Path(architecture)
        _calibrate(net, weights, path, config, data, stream(search.seed, architecture.key, search.key, "calibration"))
        accuracies.append(evaluate_accuracy(net, data.valid, partial(_called, net, path))[1])
    return accuracies


def _called(net: FusedSupernet, path: Path, images: Tensor) -> Tensor:
    return net(images, path)


def _calibrate(
    net: FusedSupernet, weights: Mapping[str, Tensor], path: Path, config: InheritedConfig, data: Data, seed: int
) -> None:
    """Load the weights, and give batch norm the statistics of a path where the protocol asks for that."""
    net.load_state_dict(weights)
    if not config.calibration_batches:
        return
    for norm in net.norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch's sign for the cumulative average
    net.train()
    with torch.no_grad():
        for batch in islice(data.batches(data.train, config.batch, seed=seed, augmented=False), config.calibration_batches):
            net(batch.images, path)
