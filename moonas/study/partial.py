"""Partial channels: the settings of search networks whose operations read only some channels of each state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pydantic import ConfigDict

from moonas.study.numbers import Count


@dataclass(frozen=True, kw_only=True)
class Partial:
    """The operations of an edge read 1/K of its input's channels; the others bypass them.

    channel_divisor: K. It must divide the channels of every cell; 1 leaves nothing to bypass.
    sampling: which channels are read. "shuffle": always the first, and a channel shuffle after each edge makes them others in turn;
    "random": drawn anew for every edge and pass.
    side: what stands beside the bypass. "none", or "conv1x1": a 1x1 convolution in `side_groups` groups.
    downsample: operations work at half the resolution where their edge has stride 1 and their input at least 16 rows and columns.
    Source: Xu et al., ICLR 2020, arXiv:1907.05737; for the last three settings its journal version,
    doi:10.1109/TPAMI.2021.3059510, whose exact form we did not find: theirs here is our own choice.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    channel_divisor: Count = 4
    sampling: Literal["shuffle", "random"] = "shuffle"
    side: Literal["none", "conv1x1"] = "none"
    side_groups: Count = 1
    downsample: bool = False

    def misfits(self, channels: int) -> Iterator[tuple[str, str]]:
        """(setting, what is wrong with it) at cells of so many channels; twice as many then fit too."""
        divisor = self.channel_divisor
        if channels % divisor:
            yield "channel_divisor", f"must divide the channels of every cell: {channels} is no multiple of {divisor}"
        elif self.side != "none" and divisor == 1:
            yield "side", "has no channels to work on where channel_divisor is 1"
        elif self.side != "none" and (bypassing := channels - channels // divisor) % self.side_groups:
            yield (
                "side_groups",
                f"must divide the bypassing channels: {bypassing} of {channels}, not into {self.side_groups} groups",
            )
