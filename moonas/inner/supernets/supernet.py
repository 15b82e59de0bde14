"""What every supernet offers: all candidates of a space in one network, run as a choice says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from moonas.architecture import Architecture
from moonas.networks.dropout import Dropout
from moonas.skeleton import Skeleton


@dataclass(frozen=True)
class Mixture:
    """Every operation of every edge, weighted. Gradients flow into all weights and factors.

    weights: {group: (edges, operations)}. edges: {group: (edges,)} factors of whole edges; None where each is 1.
    remaining: {group: (edges, operations) bool}, the operations that are computed; all where None. The weights of others are not
    read. An edge that nothing but `none` remains of is left out, whatever would bypass it.
    draw: seeds the channels that edges read where partial channels are drawn at random; the same draw gives the same channels.
    """

    weights: Mapping[str, Tensor]
    edges: Mapping[str, Tensor] | None = None
    remaining: Mapping[str, Tensor] | None = None
    draw: int = 0


@dataclass(frozen=True)
class Path:
    """Only the operations of one architecture, every weight and factor being 1; nothing else is computed. draw: as in `Mixture`."""

    architecture: Architecture
    draw: int = 0


Choice = Mixture | Path


class Supernet(Protocol):
    """Architecture logits are the method's, never the network's: its parameters are weights only.

    skeleton: what it was built by. skip_dropout: acts on identities of mixtures while training; of no effect at first.
    """

    skeleton: Skeleton
    skip_dropout: Dropout

    def __call__(self, x: Tensor, choice: Choice) -> Tensor:
        """Logits (n, classes) of images (n, c, h, w)."""

    def weights(self) -> Iterable[Tensor]:
        """The parameters, for the weight optimizer."""

    def frozen_statistics(self) -> AbstractContextManager[None]:
        """Inside the block training passes normalise by their batch as ever, but leave the running statistics alone."""

    def twice_differentiable(self) -> AbstractContextManager[None]:
        """Inside the block gradients can be differentiated again, at the speed of one module per edge and operation."""

    def train(self, mode: bool = True) -> Any: ...

    def eval(self) -> Any: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any: ...
