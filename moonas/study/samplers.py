"""Samplers by name: what chooses the next trial."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from moonas.registry import Registry
from moonas.study.numbers import Count, CountOrZero, Fraction, NonNegative, Whole

FORBID = ConfigDict(extra="forbid")
Population = Annotated[Whole, Field(ge=2)]


@dataclass(frozen=True, kw_only=True)
class GridConfig:
    """Crosses methods, the grid points of their open settings, budgets, open widths and depths, and replicates."""

    __pydantic_config__ = FORBID


@dataclass(frozen=True, kw_only=True)
class RandomSamplerConfig:
    """Draws each trial independently: a method, its open settings, a width and depth, and a budget they can meet."""

    __pydantic_config__ = FORBID


@dataclass(frozen=True, kw_only=True)
class MoonasConfig:
    """Our own: the largest expected gain of hypervolume, exact in costs known beforehand, the rest by Gaussian processes."""

    __pydantic_config__ = FORBID


# Optuna's samplers: the settings have Optuna's names, and its defaults unless said otherwise.


@dataclass(frozen=True, kw_only=True)
class TPEConfig:
    """Tree-structured Parzen estimators, multi-objective (Ozaki et al., GECCO 2020, doi:10.1145/3377930.3389817).

    Always multivariate, in groups of parameters that occur together, with a constant liar for trials that still run: not
    Optuna's defaults for several objectives, but measured to need fewer trials.
    """

    __pydantic_config__ = FORBID

    n_startup_trials: CountOrZero = 10
    """random draws before the first that is learned"""
    n_ei_candidates: Count = 24
    """candidates that each draw is the best of"""


@dataclass(frozen=True, kw_only=True)
class NSGA2Config:
    """NSGA-II (Deb et al. 2002, doi:10.1109/4235.996017)."""

    __pydantic_config__ = FORBID

    population_size: Population = 20
    """draws of a generation, for studies of some hundreds of trials; Optuna's own default is 50"""
    mutation_prob: Fraction | None = None
    """probability that a parameter of an offspring is drawn anew; one over their number where absent"""
    crossover_prob: Fraction = 0.9
    """probability that an offspring has two parents"""
    swapping_prob: Fraction = 0.5
    """probability that a parameter comes from the second of them"""


@dataclass(frozen=True, kw_only=True)
class NSGA3Config(NSGA2Config):
    """NSGA-III (Deb and Jain 2014, doi:10.1109/TEVC.2013.2281535): for three objectives and more."""

    dividing_parameter: Count = 3
    """into how many parts the reference points divide each axis"""


@dataclass(frozen=True, kw_only=True)
class GPConfig:
    """A Gaussian process per objective and expected hypervolume improvement; it models the parameters that all trials have."""

    __pydantic_config__ = FORBID

    n_startup_trials: CountOrZero = 10
    """random draws before the first that is learned"""
    deterministic_objective: bool = False
    """whether measuring twice gives the same"""


@dataclass(frozen=True, kw_only=True)
class QMCConfig:
    """Points of a low-discrepancy sequence, which cover the parameters more evenly than random ones."""

    __pydantic_config__ = FORBID

    qmc_type: Literal["sobol", "halton"] = "sobol"
    """which sequence of points"""
    scramble: bool = True
    """shift the points by the study's seed; Optuna's own default is `false`"""


# pymoo's algorithms: a generation is `population_size` draws.


@dataclass(frozen=True, kw_only=True)
class PymooConfig:
    """One of pymoo's algorithms: a generation is `population_size` draws."""

    __pydantic_config__ = FORBID

    population_size: Population = 20
    """draws of a generation, for studies of some hundreds of trials; pymoo's own default is 100"""


@dataclass(frozen=True, kw_only=True)
class RVEAConfig(PymooConfig):
    """Reference vectors (Cheng et al. 2016, doi:10.1109/TEVC.2016.2519378), for the number of trials of the study."""

    alpha: NonNegative = 2.0
    """how fast the pull towards the reference vectors grows"""
    adapt_freq: Annotated[Fraction, Field(gt=0)] = 0.1
    """after which share of all generations the vectors are adapted"""


@dataclass(frozen=True, kw_only=True)
class SamplerEntry:
    """A sampler: its settings, its class, and whether it ends by itself (else the study gives the number of trials).

    objectives: the fewest it works with. needs: a package that is not installed with moonas, of the extra of the same name.
    """

    config: type[Any]
    load: str
    finite: bool = False
    objectives: int = 1
    needs: str | None = None


_OPTUNA = "moonas.outer.samplers.optuna:OptunaSampler"
_PYMOO = "moonas.outer.samplers.pymoo:PymooSampler"
SAMPLERS: Registry[SamplerEntry] = Registry(
    "sampler",
    "sampler",
    {
        "grid": SamplerEntry(config=GridConfig, load="moonas.outer.samplers.grid:Grid", finite=True),
        "random": SamplerEntry(config=RandomSamplerConfig, load=_OPTUNA),
        "moonas": SamplerEntry(config=MoonasConfig, load="moonas.outer.samplers.moonas:MoonasSampler"),
        "tpe": SamplerEntry(config=TPEConfig, load=_OPTUNA),
        "nsga2": SamplerEntry(config=NSGA2Config, load=_OPTUNA),
        "nsga3": SamplerEntry(config=NSGA3Config, load=_OPTUNA),
        "gp": SamplerEntry(config=GPConfig, load="moonas.outer.samplers.apart:Apart"),
        "qmc": SamplerEntry(config=QMCConfig, load=_OPTUNA),
        "pymoo:nsga2": SamplerEntry(config=PymooConfig, load=_PYMOO),
        "pymoo:unsga3": SamplerEntry(config=PymooConfig, load=_PYMOO),
        "pymoo:agemoea2": SamplerEntry(config=PymooConfig, load=_PYMOO, objectives=2, needs="numba"),
        "pymoo:smsemoa": SamplerEntry(config=PymooConfig, load=_PYMOO, objectives=2),
        "pymoo:rvea": SamplerEntry(config=RVEAConfig, load=_PYMOO, objectives=2),
        "pymoo:spea2": SamplerEntry(config=PymooConfig, load=_PYMOO),
    },
)
