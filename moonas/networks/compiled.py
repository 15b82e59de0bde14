"""Training a network through torch.compile."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from moonas.errors import MoonasWarning


class Compiled:
    """Called like `network`, compiled for batches of `images`; others go the plain way, as each size would cost minutes.

    Where compiling fails, at the first call, the plain way is taken from then on, with a warning.
    """

    def __init__(self, network: nn.Module, images: int) -> None:
        self.network, self.images = network, images
        self.forward: Callable[[Tensor], Tensor] | None = None

    def __call__(self, x: Tensor) -> Tensor:
        if len(x) != self.images:
            return self.network(x)
        if self.forward is not None:
            return self.forward(x)
        try:
            compiled = torch.compile(self.network, fullgraph=True, dynamic=False)
            out = compiled(x)
        except Exception as error:  # of many kinds; what is wrong with the network itself shows again on the plain way
            reason = str(error).strip().partition("\n")[0]
            warnings.warn(f"torch.compile failed, so the network trains without: {reason}", MoonasWarning, stacklevel=2)
            compiled, out = self.network, self.network(x)
        self.forward = compiled
        return out
