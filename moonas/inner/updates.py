"""Updates of architecture logits that several methods share. Those of weights are in `networks.descent`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from moonas.spaces.space import Space


def adam(logits: Iterable[Tensor], lr: float, beta1: float, beta2: float, decay: float) -> torch.optim.Adam:
    """Classic Adam: the decay is part of the gradient, as in the published searches, not decoupled."""
    return torch.optim.Adam(logits, lr=lr, betas=(beta1, beta2), weight_decay=decay)


def small_logits(space: Space, seed: int, device: torch.device, scale: float = 1e-3) -> dict[str, Tensor]:
    """{group: (edges, operations)} leaves of scale * N(0, 1), the same on every device."""
    generator = torch.Generator().manual_seed(seed)
    shape = (len(space.edges), len(space.operations))
    return {group: (scale * torch.randn(shape, generator=generator)).to(device).requires_grad_() for group in space.groups}


def descend_logits(optimizer: torch.optim.Optimizer, loss: Tensor, logits: Sequence[Tensor]) -> None:
    """One step down `loss`; no gradient of any weight is computed or touched."""
    for logit, gradient in zip(logits, torch.autograd.grad(loss, logits), strict=True):
        logit.grad = gradient
    optimizer.step()


def softmax(logits: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Over the operations of each edge. {group: (edges, operations)} in and out."""
    return {group: matrix.softmax(dim=1) for group, matrix in logits.items()}
