"""Rewards of sampled networks, and the gradient by which they move a policy of independent choices, one per edge.

Source: Lyu et al. 2021, arXiv:2111.03892, and the first author's published notes. Our own choices: any number of costs as factors,
the one-sided form, the leave-one-out baseline (the notes subtract nearly the mean of the batch itself, which shrinks the expected
gradient), and the ratio that corrects for uniform exploration.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def reward(
    accuracy: float, costs: Mapping[str, float], references: Mapping[str, float], exponents: Mapping[str, float], one_sided: bool
) -> float:
    """accuracy * product over `references` of (cost / reference) ** exponent; one-sided, costs below their reference equal it.

    accuracy: a fraction of 1. All costs and references must be positive.
    """
    value = accuracy
    for name, reference in references.items():
        ratio = costs[name] / reference
        value *= (max(ratio, 1.0) if one_sided else ratio) ** exponents[name]
    return value


def advantages(rewards: Tensor) -> Tensor:
    """(samples,): each reward less the mean of the others, which does not bias the gradient. At least two samples."""
    return (rewards * len(rewards) - rewards.sum()) / (len(rewards) - 1)


def policy_gradient(probabilities: Tensor, columns: Tensor, gains: Tensor) -> Tensor:
    """(edges, operations): mean over samples of gain * gradient of the log-probability by the logits, the direction of ascent.

    probabilities: (edges, operations), softmax of the logits. columns: (samples, edges), the operations drawn. gains: (samples,).
    """
    drawn = torch.nn.functional.one_hot(columns, probabilities.shape[1]).to(probabilities)
    return (gains[:, None, None] * (drawn - probabilities)).mean(dim=0)


def draw(probabilities: Tensor, generator: torch.Generator, uniformly: bool = False) -> Tensor:
    """(edges,): an operation for each edge; with `uniformly`, each of those with a probability above 0 is equally likely."""
    weights = (probabilities > 0).to(probabilities) if uniformly else probabilities
    return torch.multinomial(weights, 1, generator=generator)[:, 0]


def exploration_ratios(log_probabilities: Tensor, log_uniform: float, explore: float) -> Tensor:
    """(samples,): pi / ((1 - explore) * pi + explore * u), by which gains of samples drawn uniformly now and then are multiplied.

    log_probabilities: (samples,), log pi of each. log_uniform: log u, of one sample drawn uniformly.
    """
    if explore == 0:
        return torch.ones_like(log_probabilities)
    return 1 / (1 - explore + explore * (log_uniform - log_probabilities).exp())


def strongest(probabilities: Tensor, remaining: Tensor, count: int) -> Tensor:
    """(edges, operations) bool: of each edge's remaining operations the `count` most probable; of equal ones the first.

    Rows that have no more than `count` keep all.
    """
    ranked = torch.where(remaining, probabilities, -1.0).argsort(dim=1, descending=True, stable=True)
    kept = torch.zeros_like(remaining).scatter_(1, ranked[:, :count], True)
    return kept & remaining
