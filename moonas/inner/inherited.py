"""Protocol `inherited`: an architecture's accuracy inside its search network, with the searched weights."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

import torch
from torch import Tensor

from moonas.data.dataset import Data
from moonas.inner.supernets.fused import FusedSupernet
from moonas.inner.supernets.supernet import Path
from moonas.networks.training import evaluate_accuracy
from moonas.seeds import stream
from moonas.spaces.space import make_space
from moonas.specs import EvaluateSpec
from moonas.study.protocols import InheritedConfig
from moonas.study.sections import Performance
from moonas.study.validation import settings_of


def inherited_metrics(
    spec: EvaluateSpec, config: InheritedConfig, weights: Mapping[str, Tensor], data: Data, device: str | torch.device = "cpu"
) -> dict[str, float]:
    """accuracy and loss on `valid`, test_accuracy on `test`.

    weights: the final state of the search network. The path's running statistics are those of the mixture, so they are replaced by
    the plain average over training batches without augmentation, our own choice. Raises NonFiniteLossError, ArchitectureError.
    """
    space = make_space(spec.space)
    space.check(spec.architecture)
    net, path = FusedSupernet(space, spec.skeleton).to(device), Path(spec.architecture)
    net.set_performance(settings_of(Performance, spec.performance))
    net.load_state_dict(weights)
    if config.calibration_batches:
        for norm in net.norms:
            norm.reset_running_stats()
            norm.momentum = None  # torch's sign for the cumulative average
        seed = stream(
            spec.seed, spec.architecture.key, spec.skeleton.key, dict(spec.protocol), spec.source, spec.replicate, "calibration"
        )
        net.train()
        with torch.no_grad():
            for batch in islice(data.batches(data.train, config.batch, seed=seed, augmented=False), config.calibration_batches):
                net(batch.images, path)
    loss, accuracy = evaluate_accuracy(net, data.valid, lambda images: net(images, path))
    test_accuracy = evaluate_accuracy(net, data.test, lambda images: net(images, path))[1]
    return {"accuracy": accuracy, "test_accuracy": test_accuracy, "loss": loss}
