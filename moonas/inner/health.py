"""Health of a search: what to look at after each epoch, and the signs that it collapses into operations without weights.

Sources: skips and a ranking that no longer changes: Liang et al. 2019, arXiv:1909.06035 (DARTS+); the dominant eigenvalue and its
rule: Zela et al., ICLR 2020, arXiv:1909.09656 (R-DARTS). Our own choices: the limits of the first two alarms, the power iteration,
and the eigenvalue without the decay of the logits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from moonas.inner.expected_cost import ExpectedCost
from moonas.inner.method import Method
from moonas.networks.precision import full_precision
from moonas.spaces.decode import Decoder, latest_within
from moonas.spaces.space import CellGroup, Space
from moonas.specs import Bounds
from moonas.study.operations import OPERATIONS

MOST_SKIPS, MOST_WEIGHTLESS = 0.5, 0.7  # shares above which a search counts as collapsed
WINDOW, LAG, GROWTH = 5, 4, 1.3  # measurements averaged, how many lie between the two averages, and their largest ratio


def vitals(
    space: Space, decoder: Decoder, expected_cost: ExpectedCost, method: Method, before: list[int], budget: Bounds | None = None
) -> dict[str, float]:
    """What to look at after an epoch. before: the strongest operations before it. budget: within which to decode.

    entropy: of the operations of an edge, the mean over edges in nats. changes: edges whose strongest operation is another than
    before. expected_params, decoded_params: of the mixture, and of the architecture decoded within the budget. Of all cells but
    reductions: skips, the share of the edges decoded without bounds; weightless, the mean probability of what has no weights.
    """
    probabilities = method.probabilities()
    stages = [method.slot_scores() or _arrays(method.scores()), *map(_arrays, method.earlier_scores())]
    unbounded = decoder.decode(stages[0])
    decoded = decoder.decode(latest_within(decoder, stages, budget), budget) if budget else unbounded
    cells = unbounded.architecture.groups
    watched = [name for name in cells if not name.startswith("reduce")]
    operations = [operation for name in watched for _, _, operation in cells[name]]
    free = [probabilities[name][:, _weightless(space.groups[name])].sum(dim=1) for name in watched]
    return {
        "entropy": mean_entropy(probabilities),
        "skips": operations.count("skip_connect") / max(1, len(operations)),
        "weightless": float(torch.cat(free).mean()),
        "changes": float(sum(one != other for one, other in zip(before, strongest(method), strict=True))),
        "expected_params": float(expected_cost(probabilities, method.shares())[0]),
        "decoded_params": float(decoded.costs["params"]),
    }


def _arrays(scores: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    return {name: matrix.cpu().numpy() for name, matrix in scores.items()}


def _weightless(group: CellGroup) -> list[int]:
    """The columns of operations without weights."""
    return [column for column, operation in enumerate(group.operations) if OPERATIONS[operation].weightless]


def strongest(method: Method) -> list[int]:
    """The column of the strongest operation of every edge, group by group."""
    return [int(column) for matrix in method.scores().values() for column in matrix.argmax(dim=1)]


def mean_entropy(probabilities: Mapping[str, Tensor]) -> float:
    """Of the operations' distribution, in nats, averaged over the edges of all groups."""
    return float(torch.cat([torch.special.entr(matrix).sum(dim=1) for matrix in probabilities.values()]).mean())


def alarm(metrics: Mapping[str, float], at_first: Mapping[str, float], eigenvalues: Sequence[float]) -> str | None:
    """Why a search counts as collapsed; None where it does not. at_first: the metrics before any step."""
    if metrics["skips"] > MOST_SKIPS >= at_first["skips"]:
        return f"{metrics['skips']:.0%} of the edges are skip connections"
    if metrics["weightless"] > MOST_WEIGHTLESS >= at_first["weightless"]:
        return f"operations without weights have {metrics['weightless']:.0%} of the probability"
    if len(eigenvalues) >= WINDOW + LAG:
        now, then = np.mean(eigenvalues[-WINDOW:]), np.mean(eigenvalues[-WINDOW - LAG : -LAG])
        if now > GROWTH * then:
            return f"the dominant eigenvalue of the validation loss grew from {then:.3g} to {now:.3g}"
    return None


@full_precision()
def dominant_eigenvalue(
    loss: Callable[[], Tensor], leaves: Sequence[Tensor], *, seed: int = 0, iterations: int = 20, radius: float = 1e-2
) -> float:
    """The largest eigenvalue of the Hessian of `loss` by `leaves`, by power iteration with central differences of gradients.

    A negative eigenvalue of larger size is shifted away by a second run. The leaves stay as they are.
    """
    value = _power(lambda v: _hessian_product(loss, leaves, v, radius), _start(leaves, seed), iterations)
    if value >= 0:
        return value
    shifted = _power(
        lambda v: [h - value * x for h, x in zip(_hessian_product(loss, leaves, v, radius), v, strict=True)],
        _start(leaves, seed),
        iterations,
    )
    return shifted + value


def _start(leaves: Sequence[Tensor], seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(leaf.shape, generator=generator, dtype=leaf.dtype).to(leaf.device) for leaf in leaves]


def _power(product: Callable[[list[Tensor]], list[Tensor]], v: list[Tensor], iterations: int, tolerance: float = 1e-2) -> float:
    value = 0.0
    for _ in range(iterations):
        length = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(v)))
        if length == 0:
            return 0.0
        v = [x / length for x in v]
        image = product(v)
        before, value = value, float(sum((x * y).sum() for x, y in zip(v, image, strict=True)))
        if abs(value - before) <= tolerance * 1e-1 * abs(value):
            break
        v = image
    return value


def _hessian_product(loss: Callable[[], Tensor], leaves: Sequence[Tensor], v: Sequence[Tensor], radius: float) -> list[Tensor]:
    """v has length 1."""
    start = [leaf.detach().clone() for leaf in leaves]
    ends = []
    try:
        for distance in (radius, -radius):
            with torch.no_grad():
                for leaf, own, x in zip(leaves, start, v, strict=True):
                    torch.add(own, x, alpha=distance, out=leaf)
            ends.append(torch.autograd.grad(loss(), list(leaves), materialize_grads=True, allow_unused=True))
    finally:
        with torch.no_grad():
            torch._foreach_copy_(list(leaves), start)
    return [(plus - minus) / (2 * radius) for plus, minus in zip(*ends, strict=True)]


class Watch:
    """Watches a search for collapse. at_first: its vitals before any step.

    state, JSON data: eigenvalues so far; healthy, the scores after the last epoch that was well; collapse, once there is one:
    {"epoch", "reason", "before"}, epochs counting from 1 and `before` being the scores of the last healthy one.
    """

    def __init__(self, at_first: Mapping[str, float]) -> None:
        self.at_first = at_first
        self.state: dict[str, Any] = {"eigenvalues": [], "healthy": None, "collapse": None}

    def look(self, epoch: int, metrics: Mapping[str, float], scores: Any) -> bool:
        """Take in epoch `epoch`, counted from 0; returns whether it is the one in which the search collapses."""
        state = self.state
        if "eigenvalue" in metrics:
            state["eigenvalues"].append(metrics["eigenvalue"])
        if state["collapse"] is not None:
            return False
        reason = alarm(metrics, self.at_first, state["eigenvalues"])
        if reason is None:
            state["healthy"] = scores
        else:
            state["collapse"] = {"epoch": epoch + 1, "reason": reason, "before": state["healthy"] or scores}
        return reason is not None
