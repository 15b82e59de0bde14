"""Search methods by name, with their settings, and the spaces and budget handlers that each works with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from moonas.registry import Registry
from moonas.study.numbers import Count, CountOrZero, Decay, NonNegative, Number, Positive, Share, parse_whole
from moonas.study.partial import Partial
from moonas.study.validation import settings_of


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
class PCDartsConfig(Partial):
    """Defaults: the published CIFAR-10 search of Xu et al. (ICLR 2020, arXiv:1907.05737).

    warmup_epochs: epochs in which only the weights train: early logits favour operations without weights.
    weight_ramp_epochs: n, the first epochs, in which the learning rate of the weights is 1/n, 2/n ... of its cosine.
    alpha_clip: largest norm of the gradient of all logits, those of whole edges among them; None does not clip.
    """

    epochs: Count = 50
    warmup_epochs: CountOrZero = 15
    batch: Count = 256
    weight_lr: Positive = 0.1
    weight_lr_min: NonNegative = 0.0
    weight_ramp_epochs: CountOrZero = 0
    weight_momentum: Decay = 0.9
    weight_decay: NonNegative = 3e-4
    weight_clip: Positive = 5.0
    alpha_lr: Positive = 6e-4
    alpha_beta1: Decay = 0.5
    alpha_beta2: Decay = 0.999
    alpha_decay: NonNegative = 1e-3
    alpha_clip: Positive | None = None


@dataclass(frozen=True, kw_only=True)
class PCDartsJournalConfig(PCDartsConfig):
    """After the journal version (Xu et al. 2021, doi:10.1109/TPAMI.2021.3059510), whose settings were not found: these are ours."""

    channel_divisor: Count = 8
    side: Literal["none", "conv1x1"] = "conv1x1"
    downsample: bool = True


@dataclass(frozen=True, kw_only=True)
class TndNasConfig:
    """Defaults: the settings that the first author's notes give for the published cell (Lyu et al. 2021, arXiv:2111.03892).

    A search has three stages; `_1`, `_2`, `_3` stand for them.
    epochs: of each stage. warmup_epochs: at the start of each, in which only the weights train.
    deepen: cells that each stage has more than the one before; the first has those of the search skeleton.
    keep: share of an edge's first operations that are left after the stage, rounded up; two at least, our own choice.
    dropout: after identities, at the start of the stage.
    samples: sub-networks of an architecture step. every: training steps from one architecture step to the next.
    explore: probability of drawing a sub-network uniformly instead.
    gamma: exponents of the reward. reference: what costs are compared with in the reward, as multiples of the budget, our own
    choice.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    epochs: Count = 25
    warmup_epochs: CountOrZero = 15
    batch: Count = 256
    deepen: CountOrZero = 6
    keep_1: Share = 0.6
    keep_2: Share = 0.3
    dropout_1: Decay = 0.3
    dropout_2: Decay = 0.6
    dropout_3: Decay = 0.8
    weight_lr: Positive = 0.04
    weight_lr_min: NonNegative = 0.0
    weight_momentum: Decay = 0.9
    weight_decay: NonNegative = 3e-4
    weight_clip: Positive = 5.0
    alpha_lr: Positive = 6e-3
    alpha_beta1: Decay = 0.5
    alpha_beta2: Decay = 0.999
    alpha_decay: NonNegative = 1e-3
    alpha_clip: Positive = 5.0
    samples: Annotated[Count, Field(ge=2)] = 10
    every: Count = 1
    explore: Decay = 0.0
    gamma_1: Number = -0.45
    gamma_2: Number = -0.20
    gamma_3: Number = -0.25
    reference_1: Positive = 1.45
    reference_2: Positive = 1.23
    reference_3: Positive = 1.00


@dataclass(frozen=True, kw_only=True)
class RandomConfig:
    """Uniform over the architectures that meet the budget: no search, nothing to set."""

    __pydantic_config__ = ConfigDict(extra="forbid")


@dataclass(frozen=True, kw_only=True)
class RandomSharedConfig:
    """Random search with shared weights (Li and Talwalkar, UAI 2019, arXiv:1902.07638). Defaults: the optimizer of DARTS.

    candidates: architectures drawn uniformly within a trial's budget, of which the best by inherited accuracy is taken.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    epochs: Count = 50
    batch: Count = 64
    weight_lr: Positive = 0.025
    weight_lr_min: NonNegative = 0.001
    weight_momentum: Decay = 0.9
    weight_decay: NonNegative = 3e-4
    weight_clip: Positive = 5.0
    candidates: Count = 16


@dataclass(frozen=True, kw_only=True)
class DirectConfig:
    """The operations of the architecture are the trial's parameters, and the sampler chooses them: no search, nothing to set."""

    __pydantic_config__ = ConfigDict(extra="forbid")


@dataclass(frozen=True, kw_only=True)
class FixedConfig:
    """One architecture, named by the file, whose training is varied: these stand for the protocol's settings of the same names.

    architecture: as `Architecture.from_genotype` reads it, or as JSON.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    architecture: str
    epochs: Count | None = None
    batch: Count | None = None
    lr: Positive | None = None
    momentum: Decay | None = None
    weight_decay: NonNegative | None = None
    clip: Positive | None = None
    drop_path: Decay | None = None
    label_smoothing: Decay | None = None


@dataclass(frozen=True, kw_only=True)
class FunctionConfig:
    """A function; its own parameters stand beside it.

    function: its name. returns: of one that was called elsewhere, so that it need not be installed, the direction of each metric.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    function: str
    returns: Mapping[str, Literal["minimize", "maximize"]] | None = None


@dataclass(frozen=True, kw_only=True)
class MethodEntry:
    """A search method: its settings, its class, and the spaces and handlers it works with (the first handler is its default).

    staged: goes on with another network from stage to stage, and so is given what makes one instead of a network.
    searches: trains a supernet and leaves scores and weights behind; where false, the method names architectures itself.
    uses_budget: the method itself reads the budget and the final skeleton, whatever the handler.
    draws: its search scores nothing; architectures are drawn within the budget, as many as `candidates` says, and compared.
    leaves: the part of a search's result that another search of the method can start from; empty where there is none.
    load: empty where there is nothing to run: the sampler names the architectures, or the file its only one, or there is none.
    """

    config: type[Any]
    load: str
    spaces: tuple[str, ...]
    handlers: tuple[str, ...]
    staged: bool = False
    searches: bool = True
    uses_budget: bool = False
    draws: bool = False
    leaves: str = ""


METHODS: Registry[MethodEntry] = Registry(
    "search method",
    "method",
    {
        "darts": MethodEntry(
            config=DartsConfig,
            load="moonas.inner.methods.darts:Darts",
            spaces=("darts-cnn", "nas-bench-201"),
            handlers=("none", "penalty", "projection"),
            leaves="logits",
        ),
        "rc-darts": MethodEntry(
            config=RcDartsConfig,
            load="moonas.inner.methods.darts:Darts",
            spaces=("darts-cnn", "nas-bench-201"),
            handlers=("projection",),
            leaves="logits",
        ),
        "pc-darts": MethodEntry(
            config=PCDartsConfig,
            load="moonas.inner.methods.pc_darts:PCDarts",
            spaces=("darts-cnn", "nas-bench-201"),
            handlers=("none", "penalty", "projection"),
            leaves="logits",
        ),
        "pc-darts-journal": MethodEntry(
            config=PCDartsJournalConfig,
            load="moonas.inner.methods.pc_darts:PCDarts",
            spaces=("darts-cnn", "nas-bench-201"),
            handlers=("none", "penalty", "projection"),
            leaves="logits",
        ),
        "parsec": MethodEntry(
            config=ParsecConfig,
            load="moonas.inner.methods.parsec:Parsec",
            spaces=("darts-cnn", "nas-bench-201"),
            handlers=("penalty", "none"),
            leaves="distribution",
        ),
        "random-shared": MethodEntry(
            config=RandomSharedConfig,
            load="moonas.inner.methods.random_shared:RandomShared",
            spaces=("darts-cnn", "nas-bench-201", "tnd-cnn"),
            handlers=("none",),
            draws=True,
        ),
        "random": MethodEntry(
            config=RandomConfig,
            load="moonas.inner.methods.random:Random",
            spaces=("darts-cnn", "nas-bench-201", "tnd-cnn"),
            handlers=("none",),
            searches=False,
            uses_budget=True,
        ),
        "direct": MethodEntry(
            config=DirectConfig,
            load="",
            spaces=("darts-cnn", "nas-bench-201", "tnd-cnn"),
            handlers=("none",),
            searches=False,
        ),
        "fixed": MethodEntry(
            config=FixedConfig,
            load="",
            spaces=("darts-cnn", "nas-bench-201", "tnd-cnn"),
            handlers=("none",),
            searches=False,
        ),
        "function": MethodEntry(config=FunctionConfig, load="", spaces=("none",), handlers=("none",), searches=False),
        "tnd-nas": MethodEntry(
            config=TndNasConfig,
            load="moonas.inner.methods.tnd_nas:TndNas",
            spaces=("tnd-cnn", "nas-bench-201"),
            handlers=("reward", "none"),
            staged=True,
            leaves="logits",
        ),
    },
)


def partial_channels(method: Mapping[str, Any]) -> Partial | None:
    """What `{"name": ..., **settings}` of a method says of partial channels; None where its operations read all channels."""
    config = settings_of(METHODS[method["name"]].config, method)
    return config if isinstance(config, Partial) else None
