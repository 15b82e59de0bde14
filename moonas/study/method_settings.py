"""The settings of every search method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from moonas.study.numbers import Count, CountOrZero, Decay, NonNegative, Number, Positive, Share, parse_whole
from moonas.study.partial import Partial


@dataclass(frozen=True, kw_only=True)
class DartsConfig:
    """Defaults: the published CIFAR-10 search of Liu et al. (ICLR 2019, arXiv:1806.09055)."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    order: Annotated[Literal[1, 2], BeforeValidator(parse_whole)] = 1
    """1 takes the gradient of the validation loss at the current weights, 2 that at the weights after one more step"""
    hessian: Literal["finite-difference", "exact"] = "finite-difference"
    """with `order: 2`: the second derivative as published, or exactly: slower, and another number"""
    epochs: Count = 50
    """passes over `train_w`"""
    warmup_epochs: CountOrZero = 0
    """epochs in which only the weights train, fewer than `epochs`; the paper has none"""
    batch: Count = 64
    """images of a step, at most"""
    weight_lr: Positive = 0.025
    """learning rate of the weights at the start"""
    weight_lr_min: NonNegative = 0.001
    """the learning rate at the end of its cosine"""
    weight_momentum: Decay = 0.9
    """momentum of the weights' SGD"""
    weight_decay: NonNegative = 3e-4
    """decay of the weights"""
    weight_clip: Positive = 5.0
    """largest norm of the weights' gradient"""
    alpha_lr: Positive = 3e-4
    """learning rate of the logits (Adam)"""
    alpha_beta1: Decay = 0.5
    """first beta of Adam"""
    alpha_beta2: Decay = 0.999
    """second beta of Adam"""
    alpha_decay: NonNegative = 1e-3
    """decay of the logits, as part of their gradient"""


@dataclass(frozen=True, kw_only=True)
class WarmStart:
    """The distribution of a finished trial, to start from."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    study: str
    """the study of the trial; looked up when this one is made"""
    trial: CountOrZero = 0
    """its number"""
    uniform: Decay = 0.0
    """share of the uniform distribution that is mixed in"""
    distribution: dict[str, Any] | None = None
    """what was found there; stored with the study, not to be written by hand"""


@dataclass(frozen=True, kw_only=True)
class ParsecConfig:
    """PARSEC (Casale et al. 2019, arXiv:1902.05116). The paper's settings were not found: the defaults are our own choices.

    The exact estimator is `tempering: none`, in which one cell nearly always takes all the weight. `adaptive` is after FP-NAS
    (Yan et al., CVPR 2021).
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    epochs: Count = 100
    """passes over `train_w`"""
    warmup_epochs: CountOrZero = 10
    """epochs in which only the weights train, on cells drawn from the start; fewer than `epochs`"""
    batch: Count = 64
    """images of a step, at most"""
    samples: Annotated[Count, Field(ge=2)] = 16
    """cells drawn for a step of the logits"""
    weight_samples: Annotated[Count, Field(ge=2)] = 16
    """cells drawn for a step of the weights"""
    adaptive: bool = False
    """draw fewer cells as the entropy of the distribution falls"""
    tempering: Literal["effective-samples", "none"] = "effective-samples"
    """flatten the cells' weights until a quarter of them count, at least two, or not at all: the exact estimator"""
    single_level: bool = False
    """logits and weights learn from the same batch and cells"""
    weight_lr: Positive = 0.025
    """learning rate of the weights at the start"""
    weight_lr_min: NonNegative = 0.001
    """the learning rate at the end of its cosine"""
    weight_momentum: Decay = 0.9
    """momentum of the weights' SGD"""
    weight_decay: NonNegative = 3e-4
    """decay of the weights"""
    weight_clip: Positive = 5.0
    """largest norm of the weights' gradient"""
    logit_lr: Positive = 3e-3
    """learning rate of the logits (Adam)"""
    logit_beta1: Decay = 0.5
    """first beta of Adam"""
    logit_beta2: Decay = 0.999
    """second beta of Adam"""
    warm_start: WarmStart | None = None
    """start from the distribution of a finished trial, such as `{study: NAME, trial: 3, uniform: 0.1}`"""


@dataclass(frozen=True, kw_only=True)
class RcDartsConfig(DartsConfig):
    """DARTS whose budget is a projection, after Jin et al. 2019 (RC-DARTS, arXiv:1912.12814), whose text was not at hand."""

    warmup_epochs: CountOrZero = 5
    """epochs in which only the weights train, fewer than `epochs`; our own choice"""


@dataclass(frozen=True, kw_only=True)
class PCDartsConfig(Partial):
    """Defaults: the published CIFAR-10 search of Xu et al. (ICLR 2020, arXiv:1907.05737)."""

    epochs: Count = 50
    """passes over `train_w`"""
    warmup_epochs: CountOrZero = 15
    """epochs in which only the weights train, fewer than `epochs`: early logits favour operations without weights"""
    batch: Count = 256
    """images of a step, at most; make `weight_lr` smaller with it"""
    weight_lr: Positive = 0.1
    """learning rate of the weights at the start"""
    weight_lr_min: NonNegative = 0.0
    """the learning rate at the end of its cosine"""
    weight_ramp_epochs: CountOrZero = 0
    """n, the first epochs, in which the learning rate of the weights is 1/n, 2/n ... of its cosine"""
    weight_momentum: Decay = 0.9
    """momentum of the weights' SGD"""
    weight_decay: NonNegative = 3e-4
    """decay of the weights"""
    weight_clip: Positive = 5.0
    """largest norm of the weights' gradient"""
    alpha_lr: Positive = 6e-4
    """learning rate of the logits of operations and edges (Adam)"""
    alpha_beta1: Decay = 0.5
    """first beta of Adam"""
    alpha_beta2: Decay = 0.999
    """second beta of Adam"""
    alpha_decay: NonNegative = 1e-3
    """decay of the logits, as part of their gradient"""
    alpha_clip: Positive | None = None
    """largest norm of the gradient of all logits, those of whole edges among them; not clipped where absent"""


@dataclass(frozen=True, kw_only=True)
class PCDartsJournalConfig(PCDartsConfig):
    """After the journal version (Xu et al. 2021, doi:10.1109/TPAMI.2021.3059510), whose settings were not found: these are ours."""

    channel_divisor: Count = 8
    side: Literal["none", "conv1x1"] = "conv1x1"
    downsample: bool = True


@dataclass(frozen=True, kw_only=True)
class TndNasConfig:
    """Defaults: the settings that the first author's notes give for the published cell (Lyu et al. 2021, arXiv:2111.03892).

    A search has three stages; `_1`, `_2`, `_3` stand for them. That two operations at least are left, and that costs are compared
    with multiples of the budget, is our own choice.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    epochs: Count = 25
    """passes over `train_w` in each stage"""
    warmup_epochs: CountOrZero = 15
    """epochs at the start of each stage in which only the weights train, fewer than `epochs`"""
    batch: Count = 256
    """images of a step, at most"""
    deepen: CountOrZero = 6
    """cells that each stage has more than the one before; the first has those of `search`; in `nas-bench-201` a multiple of 3"""
    keep_1: Share = 0.6
    """share of an edge's operations that are left after the first stage, rounded up, two at least"""
    keep_2: Share = 0.3
    """share of an edge's first operations that are left after the second stage"""
    dropout_1: Decay = 0.3
    """dropout after identities at the start of the first stage"""
    dropout_2: Decay = 0.6
    """dropout after identities at the start of the second stage"""
    dropout_3: Decay = 0.8
    """dropout after identities at the start of the third stage"""
    weight_lr: Positive = 0.04
    """learning rate of the weights at the start of each stage"""
    weight_lr_min: NonNegative = 0.0
    """the learning rate at the end of its cosine"""
    weight_momentum: Decay = 0.9
    """momentum of the weights' SGD"""
    weight_decay: NonNegative = 3e-4
    """decay of the weights"""
    weight_clip: Positive = 5.0
    """largest norm of the weights' gradient"""
    alpha_lr: Positive = 6e-3
    """learning rate of the logits (Adam)"""
    alpha_beta1: Decay = 0.5
    """first beta of Adam"""
    alpha_beta2: Decay = 0.999
    """second beta of Adam"""
    alpha_decay: NonNegative = 1e-3
    """decay of the logits, as part of their gradient"""
    alpha_clip: Positive = 5.0
    """largest norm of the logits' gradient"""
    samples: Annotated[Count, Field(ge=2)] = 10
    """networks drawn for a step of the logits"""
    every: Count = 1
    """training steps from one step of the logits to the next, counted in each epoch"""
    explore: Decay = 0.0
    """probability of drawing a network uniformly"""
    gamma_1: Number = -0.45
    """exponent of the costs in the reward, in the first stage"""
    gamma_2: Number = -0.20
    """exponent of the costs in the second stage"""
    gamma_3: Number = -0.25
    """exponent of the costs in the third stage"""
    reference_1: Positive = 1.45
    """what the reward compares a cost with, as a multiple of its budget, in the first stage"""
    reference_2: Positive = 1.23
    """the multiple of the budget in the second stage"""
    reference_3: Positive = 1.00
    """the multiple of the budget in the third stage"""


@dataclass(frozen=True, kw_only=True)
class RandomConfig:
    """Uniform over the architectures that meet the budget: no search, nothing to set."""

    __pydantic_config__ = ConfigDict(extra="forbid")


@dataclass(frozen=True, kw_only=True)
class RandomSharedConfig:
    """Random search with shared weights (Li and Talwalkar, UAI 2019, arXiv:1902.07638). Defaults: the optimizer of DARTS."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    epochs: Count = 50
    """passes over `train_w`"""
    batch: Count = 64
    """images of a step, at most"""
    weight_lr: Positive = 0.025
    """learning rate of the weights at the start"""
    weight_lr_min: NonNegative = 0.001
    """the learning rate at the end of its cosine"""
    weight_momentum: Decay = 0.9
    """momentum of the weights' SGD"""
    weight_decay: NonNegative = 3e-4
    """decay of the weights"""
    weight_clip: Positive = 5.0
    """largest norm of the weights' gradient"""
    candidates: Count = 16
    """architectures that are compared"""


@dataclass(frozen=True, kw_only=True)
class DirectConfig:
    """The operations of the architecture are the trial's parameters, and the sampler chooses them: no search, nothing to set."""

    __pydantic_config__ = ConfigDict(extra="forbid")


@dataclass(frozen=True, kw_only=True)
class FixedConfig:
    """One architecture, named by the file, whose training is varied: these stand for the protocol's settings of the same names."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    architecture: str
    """the community's `Genotype(...)`, the text of a cell of NAS-Bench-201, or JSON, as `moonas arch` prints it"""
    epochs: Count | None = None
    """in place of the protocol's: passes over the training parts"""
    batch: Count | None = None
    """in place of the protocol's: images of a step, at most"""
    lr: Positive | None = None
    """in place of the protocol's: learning rate at the start"""
    momentum: Decay | None = None
    """in place of the protocol's: momentum of SGD"""
    weight_decay: NonNegative | None = None
    """in place of the protocol's: decay of the weights"""
    clip: Positive | None = None
    """in place of the protocol's: largest norm of the gradient"""
    drop_path: Decay | None = None
    """in place of the protocol's: probability of dropping an operation's output towards the last epoch"""
    label_smoothing: Decay | None = None
    """in place of the protocol's: smoothing of the labels"""


@dataclass(frozen=True, kw_only=True)
class FunctionConfig:
    """A function; its own parameters stand beside it."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    function: str
    """name of the function"""
    returns: Mapping[str, Literal["minimize", "maximize"]] | None = None
    """of a function that was called elsewhere, the direction of each metric it returned; filled in by `import-optuna`"""
