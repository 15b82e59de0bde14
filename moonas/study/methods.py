"""Search methods and budget handlers by name, with their settings and which goes with which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from moonas.registry import Registry
from moonas.study.numbers import Count, CountOrZero, Decay, Fraction, NonNegative, Positive, parse_whole


@dataclass(frozen=True, kw_only=True)
class DartsConfig:
    """Defaults: the published CIFAR-10 search of Liu et al. (ICLR 2019, arXiv:1806.09055).

    order: 1 takes the gradient of the validation loss at the current weights, 2 that at the weights after one more step.
    hessian: how order 2 finds the second derivative: by finite differences, as published, or exactly, by differentiating twice,
    which is slower and another number.
    warmup_epochs: epochs in which only the weights train; the paper has none.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    order: Annotated[Literal[1, 2], BeforeValidator(parse_whole)] = 1
    hessian: Literal["finite-difference", "exact"] = "finite-difference"
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
class WarmStart:
    """The distribution of a finished trial, to start from.

    study, trial: where it is looked up when the study is created. uniform: the share of the uniform distribution mixed in.
    distribution: what was found there; it is stored with the study and not to be written by hand.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    study: str
    trial: CountOrZero = 0
    uniform: Decay = 0.0
    distribution: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class ParsecConfig:
    """PARSEC (Casale et al. 2019, arXiv:1902.05116). The paper's settings were not found: the defaults are our own choices.

    samples, weight_samples: cells drawn for a step of the logits, and of the weights.
    adaptive: fewer cells as the entropy of the distribution falls, as in FP-NAS (Yan et al., CVPR 2021).
    tempering: "effective-samples" flattens the cells' weights until a quarter of them, at least two, count; "none" is the exact
    estimator, in which one cell nearly always takes all.
    single_level: logits and weights learn from the same batch and cells. warm_start: a distribution to start from.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    epochs: Count = 100
    warmup_epochs: CountOrZero = 10
    batch: Count = 64
    samples: Annotated[Count, Field(ge=2)] = 16
    weight_samples: Annotated[Count, Field(ge=2)] = 16
    adaptive: bool = False
    tempering: Literal["effective-samples", "none"] = "effective-samples"
    single_level: bool = False
    weight_lr: Positive = 0.025
    weight_lr_min: NonNegative = 0.001
    weight_momentum: Decay = 0.9
    weight_decay: NonNegative = 3e-4
    weight_clip: Positive = 5.0
    logit_lr: Positive = 3e-3
    logit_beta1: Decay = 0.5
    logit_beta2: Decay = 0.999
    warm_start: WarmStart | None = None


@dataclass(frozen=True, kw_only=True)
class RcDartsConfig(DartsConfig):
    """DARTS whose budget is a projection, after Jin et al. 2019 (RC-DARTS, arXiv:1912.12814).

    warmup_epochs: our own choice; the paper's text was not at hand.
    """

    warmup_epochs: CountOrZero = 5


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
class HandlerEntry:
    """What a budget does during the search.

    uses_budget: the budget and the final skeleton belong to the search key.
    relaxes: it brings expected costs within the budget, so that probabilities must be able to meet it, not only architectures.
    """

    config: type[Any]
    load: str
    uses_budget: bool
    relaxes: bool = False


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
        "projection": HandlerEntry(
            config=ProjectionConfig,
            load="moonas.inner.handlers.projection:Projection",
            uses_budget=True,
            relaxes=True,
        ),
    },
)

METHODS: Registry[MethodEntry] = Registry(
    "search method",
    "method",
    {
        "darts": MethodEntry(
            config=DartsConfig,
            load="moonas.inner.methods.darts:Darts",
            spaces=("darts-cnn",),
            handlers=("none", "penalty", "projection"),
        ),
        "rc-darts": MethodEntry(
            config=RcDartsConfig,
            load="moonas.inner.methods.darts:Darts",
            spaces=("darts-cnn",),
            handlers=("projection",),
        ),
        "parsec": MethodEntry(
            config=ParsecConfig,
            load="moonas.inner.methods.parsec:Parsec",
            spaces=("darts-cnn",),
            handlers=("penalty", "none"),
        ),
        "random": MethodEntry(
            config=RandomConfig,
            load="moonas.inner.methods.random:Random",
            spaces=("darts-cnn",),
            handlers=("none",),
            searches=False,
            uses_budget=True,
        ),
    },
)
