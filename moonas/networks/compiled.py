"""Training a network through torch.compile."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from moonas.errors import MoonasWarning


class Compiled:
    """Called like `network`, through torch.compile, anew for each size of a batch: an epoch has two at most.

    Where compiling fails the plain way is taken from then on, with a warning.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self.forward: Callable[[Tensor], Tensor] | None = None  # what is called, once there was a call

    def __call__(self, x: Tensor) -> Tensor:
        if self.forward is not self.network:
            try:
                if self.forward is None:
                    self.forward = torch.compile(self.network, fullgraph=True, dynamic=False)
                return self.forward(x)
            except Exception as error:  # of many kinds; what is wrong with the network itself shows again on the plain way
                reason = str(error).strip().partition("\n")[0]
                warnings.warn(f"torch.compile failed, so the network trains without: {reason}", MoonasWarning, stacklevel=2)
                self.forward = self.network
        return self.network(x)
