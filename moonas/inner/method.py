"""What a search method that trains a supernet offers."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from torch import Tensor

from moonas.data.dataset import Part
from moonas.inner.supernets.supernet import Supernet
from moonas.networks.descent import Outcome


class StepOutcomes(NamedTuple):
    """Of one step: the training batch before its weight step, and the validation batch; None in warm-up."""

    train: Outcome
    valid: Outcome | None


class Method(Protocol):
    """Moves the architecture parameters of a supernet.

    It is made by `Class(supernet, space, config, handler, seed)`, the seed being that of its initial parameters. Between two epochs
    its whole state is what `state_dict` returns. Decoding is outside.
    """

    epochs: int
    batch: int
    net: Supernet

    def step(self, train: Part, valid: Part, epoch: int) -> StepOutcomes:
        """Update the architecture parameters and the weights once."""

    def probabilities(self) -> dict[str, Tensor]:
        """{group: (edges, operations)}, detached; each row adds up to 1."""

    def scores(self) -> dict[str, Tensor]:
        """{group: (edges, operations)}, detached: log-probabilities, edge weights included; `none` keeps its own.

        -inf for operations that the search has dropped.
        """

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class MakeNet(Protocol):
    """What makes the search networks of a staged method."""

    def __call__(self, stage: int = 0, deeper: int = 0) -> Supernet:
        """A network with `deeper` cells more than the search skeleton; its initial weights depend on the stage."""


class StagedMethod(Method, Protocol):
    """A method that goes on with another network from stage to stage, operations being dropped in between.

    It is made by `Class(make_net, space, config, handler, seed)`; `net` is the present stage's. `load_state_dict` brings it to the
    stage of the state.
    """

    def earlier_scores(self) -> list[dict[str, Tensor]]:
        """As `scores`, at the end of each stage before the present one, the latest first.

        They are decoded in this order where no architecture of the operations left meets the bounds.
        """
