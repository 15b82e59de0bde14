"""Updates of architecture logits that several methods share. Those of weights are in `networks.descent`.

Source of the second-order gradient: Liu et al., ICLR 2019, arXiv:1806.09055, and its published code.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from moonas.errors import MoonasWarning
from moonas.networks.descent import resting
from moonas.networks.precision import full_precision
from moonas.spaces.space import Space


def adam(logits: Iterable[Tensor], lr: float, beta1: float, beta2: float, decay: float) -> torch.optim.Adam:
    """Classic Adam: the decay is part of the gradient, as in the published searches, not decoupled."""
    return torch.optim.Adam(logits, lr=lr, betas=(beta1, beta2), weight_decay=decay)


def small_logits(
    space: Space, seed: int, device: torch.device, scale: float = 1e-3, *, per_edge: bool = False
) -> dict[str, Tensor]:
    """{group: (edges, operations)}, or {group: (edges,)} of whole edges: leaves of scale * N(0, 1), the same on every device."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: (scale * torch.randn(group.shape[:1] if per_edge else group.shape, generator=generator)).to(device).requires_grad_()
        for name, group in space.groups.items()
    }


def logits_to_json(logits: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Any]:
    """{kind: {group: logits}} as nested lists, exactly."""
    return {kind: {group: matrix.tolist() for group, matrix in groups.items()} for kind, groups in logits.items()}


@torch.no_grad()
def copy_logits(data: Mapping[str, Any], logits: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Give `logits` the values that `logits_to_json` wrote of others of the same shapes."""
    for kind, groups in logits.items():
        for group, matrix in groups.items():
            matrix.copy_(torch.tensor(data[kind][group]))


def step_logits(
    optimizer: torch.optim.Optimizer, logits: Sequence[Tensor], gradients: Sequence[Tensor], clip: float | None = None
) -> None:
    """One step of the optimizer along gradients worked out beforehand, their norm clipped to `clip`."""
    for logit, gradient in zip(logits, gradients, strict=True):
        logit.grad = gradient
    if clip is not None:
        torch.nn.utils.clip_grad_norm_(logits, clip)
    optimizer.step()


def softmax(logits: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Over the operations of each edge. {group: (edges, operations)} in and out."""
    return {group: matrix.softmax(dim=1) for group, matrix in logits.items()}


def log_softmax_by_node(logits: Mapping[str, Tensor], space: Space) -> dict[str, Tensor]:
    """Over the edges that lead to one node. {group: (edges,)} in and out."""
    logs = {}
    for name, beta in logits.items():
        nodes = torch.tensor([node for _, node in space.groups[name].edges], device=beta.device)
        apart = nodes[:, None] != nodes
        logs[name] = beta - beta.expand(apart.shape).masked_fill(apart, -torch.inf).logsumexp(dim=1)
    return logs


@full_precision()
def second_order_gradient(
    train_loss: Callable[[], Tensor],
    valid_loss: Callable[[], Tensor],
    logits: Sequence[Tensor],
    weights: Sequence[Tensor],
    lr: float,
    *,
    momentum: float = 0.0,
    buffers: Sequence[Tensor] | None = None,
    decay: float = 0.0,
    radius: float | None = 0.01,
) -> list[Tensor]:
    """The gradient of the validation loss after one more weight step, by the logits; the weights stay as they are.

    w' = w - lr * (gradient + decay * w + momentum * buffer), and the gradient is that of valid_loss at w' less lr times the mixed
    second derivative of train_loss in the direction v, the gradient of valid_loss by w': a central difference of logit gradients
    at w +- radius / |v| * v. Where v is zero that term is 0, with a warning. radius None takes the exact second derivative by
    differentiating train_loss twice, another number where the loss has kinks.
    train_loss, valid_loss: compute the loss anew from the logits and weights as they stand. They are called three times (twice
    where exact) and once; neither may change running statistics, and random numbers must be the same each time. Networks compute
    in full precision, as the difference is too small for less.
    buffers: the optimizer's momentum of each weight, before this step; None before the first.
    """
    before = [weight.detach().clone() for weight in weights]
    with resting(logits):
        slopes = _gradients(train_loss(), weights)
    with torch.no_grad():
        steps = torch._foreach_add(slopes, before, alpha=decay)
        if buffers is not None:
            torch._foreach_add_(steps, list(buffers), alpha=momentum)
        torch._foreach_sub_(list(weights), steps, alpha=lr)
    try:
        gradients = _gradients(valid_loss(), [*logits, *weights])
        direct, direction = gradients[: len(logits)], gradients[len(logits) :]
        length = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(direction))).item()
        if length == 0:
            message = "the validation loss does not depend on the weights: the second-order term is taken as 0"
            warnings.warn(message, MoonasWarning, stacklevel=2)
            return direct
        ends = []
        for distance in () if radius is None else (radius / length, -radius / length):
            with torch.no_grad():
                torch._foreach_copy_(list(weights), torch._foreach_add(before, direction, alpha=distance))
            with resting(weights):
                ends.append(_gradients(train_loss(), logits))
    finally:
        with torch.no_grad():
            torch._foreach_copy_(list(weights), before)
    if radius is None:
        mixed = _mixed_product(train_loss(), logits, weights, direction)
        return [own - lr * product for own, product in zip(direct, mixed, strict=True)]
    scale = lr * length / (2 * radius)
    return [own - scale * (plus - minus) for own, plus, minus in zip(direct, *ends, strict=True)]


def _mixed_product(loss: Tensor, logits: Sequence[Tensor], weights: Sequence[Tensor], direction: Sequence[Tensor]) -> list[Tensor]:
    """The second derivative of `loss` by logits and weights, times a direction of the weights."""
    slopes = torch.autograd.grad(loss, weights, create_graph=True, materialize_grads=True, allow_unused=True)
    along = torch.stack([(slope * v).sum() for slope, v in zip(slopes, direction, strict=True)]).sum()
    return _gradients(along, logits)


def _gradients(loss: Tensor, leaves: Sequence[Tensor]) -> list[Tensor]:
    """Zeros for what the loss does not depend on."""
    return list(torch.autograd.grad(loss, leaves, materialize_grads=True, allow_unused=True))
