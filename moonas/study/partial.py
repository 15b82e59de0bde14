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

    Source: Xu et al., ICLR 2020, arXiv:1907.05737; for the last three settings its journal version,
    doi:10.1109/TPAMI.2021.3059510, whose exact form we did not find: theirs here is our own choice.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    channel_divisor: Count = 4
    """K: operations read 1/K of the channels; it must divide `search.channels`, and 1 leaves nothing to bypass"""
    sampling: Literal["shuffle", "random"] = "shuffle"
    """which channels are read: always the first, with a shuffle after each edge; or some drawn anew for every edge and step"""
    side: Literal["none", "conv1x1"] = "none"
    """what stands beside the bypass of the other channels: nothing, or a 1×1 convolution that starts at 0"""
    side_groups: Count = 1
    """groups of that convolution"""
    downsample: bool = False
    """operations work at half the resolution where their edge has stride 1 and their input at least 16 rows and columns"""

    def misfits(self, channels: int) -> Iterator[tuple[str, str]]:
        """(setting, what is wrong with it) at cells of so many channels; twice as many then fit too."""
        divisor = self.channel_divisor
        bypassing = channels - channels // divisor
        if channels % divisor:
            fitting = ", ".join(str(number) for number in range(1, channels + 1) if channels % number == 0)
            yield "channel_divisor", f"{divisor} does not divide the {channels} channels of the first cells; these do: {fitting}"
        elif self.side != "none" and not bypassing:
            yield "side", "needs channels that bypass the operations: a channel_divisor above 1"
        elif self.side != "none" and bypassing % self.side_groups:
            yield "side_groups", f"{self.side_groups} does not divide the {bypassing} channels that bypass the operations"
