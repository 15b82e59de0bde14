"""Budget handlers by name, with their settings: what a budget does during a search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict

from moonas.errors import UsageError
from moonas.registry import Registry
from moonas.study.metrics import ADDITIVE, metric_name
from moonas.study.numbers import Count, Fraction, NonNegative, Number, Positive


def _cost(name: str) -> str:
    try:
        known = metric_name(name)
    except UsageError as error:
        raise ValueError(str(error)) from error
    if known not in ADDITIVE:
        raise ValueError(f"{known} is not known of a sampled network; known: {', '.join(ADDITIVE)}")
    return known


RewardCost = Annotated[str, AfterValidator(_cost)]


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
    """what the relative excess is multiplied by"""


@dataclass(frozen=True, kw_only=True)
class ProjectionConfig:
    """Logits move to the nearest ones whose expected costs lie within the budget. All defaults are our own choice.

    The divergence weighs the probabilities of an edge by the share of it that is kept.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    distance: Literal["kl", "euclidean"] = "kl"
    """what is nearest: in the probabilities' Kullback-Leibler divergence, or in the logits"""
    tighten: Fraction = 0.6
    """share of the epochs over which upper bounds come down from the cost of the even mixture"""
    epochwise: Fraction = 0.6
    """share of the epochs, from the start, with one projection each"""
    every: Count = 50
    """after them: steps from one projection to the next"""
    stepwise: Fraction = 0.1
    """share of the epochs, at the end, in which every step is followed by one; at least the last epoch"""
    floor: Fraction = 0.25
    """least expected parameters, as a share of the reachable span, and at most 0.8 of what the budget allows; 0 for none; a
    lower end of the budget takes its place"""


@dataclass(frozen=True, kw_only=True)
class RewardConfig:
    """The reward of a sampled network is `accuracy * product over costs of (cost / reference) ** exponent`, after TND-NAS.

    The costs are those that the budget bounds from above, each with that bound as its reference; the method says how both the
    reference and the exponent change from stage to stage, by factors on what is given here.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    references: Mapping[RewardCost, Positive] | None = None
    """further costs with their references, or other references than the budget's"""
    exponents: Mapping[RewardCost, Number] | None = None
    """what the method's exponent is multiplied by; 1 unless given, 0 leaves a cost out"""
    one_sided: bool = False
    """whether a cost below its reference counts as one that equals it; our own"""


@dataclass(frozen=True, kw_only=True)
class HandlerEntry:
    """What a budget does during the search.

    uses_budget: the budget and the final skeleton belong to the search key.
    relaxes: it brings expected costs within the budget, so that probabilities must be able to meet it, not only architectures.
    """

    config: type[Any]
    load: str
    uses_budget: bool
    relaxes: bool = False


HANDLERS: Registry[HandlerEntry] = Registry(
    "budget handler",
    "handler",
    {
        "none": HandlerEntry(config=NoneConfig, load="moonas.inner.handlers.none:NoHandler", uses_budget=False),
        "penalty": HandlerEntry(config=PenaltyConfig, load="moonas.inner.handlers.penalty:Penalty", uses_budget=True),
        "reward": HandlerEntry(config=RewardConfig, load="moonas.inner.handlers.reward:Reward", uses_budget=True),
        "projection": HandlerEntry(
            config=ProjectionConfig,
            load="moonas.inner.handlers.projection:Projection",
            uses_budget=True,
            relaxes=True,
        ),
    },
)
