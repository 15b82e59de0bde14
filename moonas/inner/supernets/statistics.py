"""Running statistics of batch norms that the fused supernet computes by other means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


class Statistics:
    """Means and variances of a step's batch norms, to go into their running statistics all at once."""

    def __init__(self) -> None:
        self.norms: list[Any] = []
        self.means: list[Tensor] = []
        self.variances: list[Tensor] = []

    def add(self, norms: Sequence[nn.BatchNorm2d], mean: Tensor, variance: Tensor, count: int) -> None:
        """mean, variance (biased): one row per norm, however shaped. count: what they were taken over."""
        if norms[0].track_running_stats:
            channels = norms[0].num_features
            self.norms += norms
            self.means += mean.reshape(-1, channels).expand(len(norms), channels).unbind()
            self.variances += (variance * (count / (count - 1))).reshape(-1, channels).expand(len(norms), channels).unbind()

    @torch.no_grad()
    def update(self) -> None:
        """As torch does; every norm has the same momentum."""
        if self.norms:
            momentum = self.norms[0].momentum
            torch._foreach_lerp_([norm.running_mean for norm in self.norms], self.means, momentum)
            torch._foreach_lerp_([norm.running_var for norm in self.norms], self.variances, momentum)
            torch._foreach_add_([norm.num_batches_tracked for norm in self.norms], 1)
