"""What a search method that trains a supernet offers."""

from __future__ import annotations

from collections.abc import Callable
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

    It is made by `Class(supernet, space, config, handler, seed)`, the seed being that of its initial parameters; where its entry is
    `staged`, by `Class(make_net, space, config, handler, seed)`, and `net` is the present stage's. Between two epochs its whole
    state is what `state_dict` returns. Decoding is outside. Classes inherit from it for what most methods leave as it is.
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

    def shares(self) -> dict[str, Tensor] | None:
        """{group: (edges,)}: how often each edge is kept; None where all edges into a node are kept alike."""
        return None

    def edge_weights(self) -> dict[str, Tensor] | None:
        """{group: (edges,)}, detached: how much each edge counts beside the others; None where nothing is learned of that."""
        return self.shares()

    def slot_scores(self) -> list[list[float]] | None:
        """The scores of all options of every slot of the space; None where `scores` add up over edges."""
        return None

    def earlier_scores(self) -> list[dict[str, Tensor]]:
        """As `scores`, at the end of each stage before the present one, the latest first.

        They are decoded in this order where no architecture of the operations left meets the bounds.
        """
        return []

    def metrics(self) -> dict[str, float]:
        """Further numbers to report of the epoch that ended."""
        return {}

    def architecture_loss(self, batch: Part) -> tuple[Callable[[], Tensor], list[Tensor]] | None:
        """The loss of a batch, anew at every call, and the logits that it depends on; None for methods without such a loss."""
        return None

    def leaves(self) -> dict[str, Any]:
        """JSON data that joins the result of the search, for later searches to start from."""
        return {}

    def start_from(self, left: Any) -> None:
        """Take over, before the first step, what another search of the method has left under the name in its entry's `leaves`."""
        raise NotImplementedError(f"{type(self).__name__} leaves nothing to start from")

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class MakeNet(Protocol):
    """What makes the search networks of a method that goes on with another one from stage to stage."""

    def __call__(self, stage: int = 0, deeper: int = 0) -> Supernet:
        """A network with `deeper` cells more than the search skeleton; its initial weights depend on the stage."""
