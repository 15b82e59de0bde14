"""What a search method that trains a supernet offers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from torch import Tensor

from moonas.data.dataset import Part
from moonas.networks.descent import Outcome


class StepOutcomes(NamedTuple):
    """Of one step: the training batch before its weight step, and the validation batch; None in warm-up."""

    train: Outcome
    valid: Outcome | None


class Method(Protocol):
    """Moves the architecture parameters of a supernet.

    It is made by `Class(supernet, space, config, handler, seed)`, the seed being that of its initial parameters. Between two epochs
    its whole state is what `state_dict` returns. Decoding is outside. Classes inherit from it for what most methods leave as it is.
    """

    epochs: int
    batch: int

    def step(self, train: Part, valid: Part, epoch: int) -> StepOutcomes:
        """Update the architecture parameters and the weights once."""

    def probabilities(self) -> dict[str, Tensor]:
        """{group: (edges, operations)}, detached; each row adds up to 1."""

    def scores(self) -> dict[str, Tensor]:
        """{group: (edges, operations)}, detached and finite: log-probabilities, edge weights included; `none` keeps its own."""

    def shares(self) -> dict[str, Tensor] | None:
        """{group: (edges,)}: how often each edge is kept; None where all edges into a node are kept alike."""
        return None

    def slot_scores(self) -> list[list[float]] | None:
        """The scores of all options of every slot of the space; None where `scores` add up over edges."""
        return None

    def metrics(self) -> dict[str, float]:
        """Further numbers to report of the epoch that ended."""
        return {}

    def architecture_loss(self, batch: Part) -> tuple[Callable[[], Tensor], list[Tensor]] | None:
        """The loss of a batch, anew at every call, and the logits that it depends on; None for methods without such a loss."""
        return None

    def leaves(self) -> dict[str, Any]:
        """JSON data that joins the result of the search, for later searches to start from."""
        return {}

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...
