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


@dataclass(frozen=True, kw_only=True)
class ProjectionConfig:
    """Logits move to the nearest ones whose expected costs lie within the budget. All defaults are our own choice.

    distance: "kl" (Kullback-Leibler divergence of the probabilities, weighted by the share of an edge that is kept) or "euclidean"
    (of the logits). Shares of the search's epochs: tighten, over which upper bounds come down from the cost of the even mixture;
    epochwise, over which there is one projection an epoch; stepwise, at the end, over which every step is followed by one, at
    least those of the last epoch. every: steps from one projection to the next in between.
    floor: least expected parameters, as a share of the reachable span; never above 0.8 of what the budget allows; 0 for none. A
    lower bound of the budget takes its place.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    distance: Literal["kl", "euclidean"] = "kl"
    tighten: Fraction = 0.6
    epochwise: Fraction = 0.6
    every: Count = 50
    stepwise: Fraction = 0.1
    floor: Fraction = 0.25


@dataclass(frozen=True, kw_only=True)
class RewardConfig:
    """The reward of a sampled network is `accuracy * product over costs of (cost / reference) ** exponent`, after TND-NAS.

    The costs are those that the budget bounds from above, each with that bound as its reference; the method says how both the
    reference and the exponent change from stage to stage, by factors on what is given here.
    references: further costs with their references, or other ones than the budget's. exponents: factors on the method's exponent;
    1 unless given, 0 leaves a cost out. one_sided: a cost below its reference counts as one that equals it, our own choice.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    references: Mapping[RewardCost, Positive] | None = None
    exponents: Mapping[RewardCost, Number] | None = None
    one_sided: bool = False


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
