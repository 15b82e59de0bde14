"""Search methods and budget handlers by name, with their settings and which goes with which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict

from moonas.registry import Registry
from moonas.study.numbers import Count, CountOrZero, Decay, NonNegative, Positive, parse_whole


@dataclass(frozen=True, kw_only=True)
class DartsConfig:
    """Defaults: the published CIFAR-10 search of Liu et al. (ICLR 2019, arXiv:1806.09055).

    order: 1 takes the gradient of the validation loss at the current weights.
    warmup_epochs: epochs in which only the weights train; the paper has none.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    order: Annotated[Literal[1], BeforeValidator(parse_whole)] = 1
    epochs: Count = 50
    warmup_epochs: CountOrZero = 0
    batch: Count = 64
    weight_lr: Positive = 0.025
    weight_lr_min: NonNegative = 0.001
    weight_momentum: Decay = 0.9
    weight_decay: NonNegative = 3e-4
    weight_clip: Positive = 5.0
    alpha_lr: Positive = 3e-4
    alpha_beta1: Decay = 0.5
    alpha_beta2: Decay = 0.999
    alpha_decay: NonNegative = 1e-3


@dataclass(frozen=True, kw_only=True)
class RandomConfig:
    """Uniform over the architectures that meet the budget: no search, nothing to set."""

    __pydantic_config__ = ConfigDict(extra="forbid")


@dataclass(frozen=True, kw_only=True)
class NoneConfig:
    """The search does not know the budget; only decoding does. One search serves every budget."""

    __pydantic_config__ = ConfigDict(extra="forbid")


@dataclass(frozen=True, kw_only=True)
class PenaltyConfig:
    """Adds `strength * sum over the budget's costs of max(0, expected cost / upper bound - 1)` to the architecture loss.

    Our own choice of form; no paper's.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    strength: NonNegative = 1.0


@dataclass(frozen=True, kw_only=True)
class HandlerEntry:
    """What a budget does during the search. uses_budget: the budget and the final skeleton belong to the search key."""

    config: type[Any]
    load: str
    uses_budget: bool


@dataclass(frozen=True, kw_only=True)
class MethodEntry:
    """A search method: its settings, its class, and the spaces and handlers it works with (the first handler is its default).

    searches: trains a supernet and leaves scores and weights behind; where false, the method names architectures itself.
    uses_budget: the method itself reads the budget and the final skeleton, whatever the handler.
    """

    config: type[Any]
    load: str
    spaces: tuple[str, ...]
    handlers: tuple[str, ...]
    searches: bool = True
    uses_budget: bool = False


HANDLERS: Registry[HandlerEntry] = Registry(
    "budget handler",
    "handler",
    {
        "none": HandlerEntry(config=NoneConfig, load="moonas.inner.handlers.none:NoHandler", uses_budget=False),
        "penalty": HandlerEntry(config=PenaltyConfig, load="moonas.inner.handlers.penalty:Penalty", uses_budget=True),
    },
)

METHODS: Registry[MethodEntry] = Registry(
    "search method",
    "method",
    {
        "darts": MethodEntry(
            config=DartsConfig,
            load="moonas.inner.methods.darts:Darts",
            spaces=("darts-cnn", "nas-bench-201"),
            handlers=("none", "penalty"),
        ),
        "random": MethodEntry(
            config=RandomConfig,
            load="moonas.inner.methods.random:Random",
            spaces=("darts-cnn", "nas-bench-201"),
            handlers=("none",),
            searches=False,
            uses_budget=True,
        ),
    },
)
