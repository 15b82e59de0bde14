"""Search spaces by name, with their settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from moonas.registry import Registry
from moonas.study.numbers import Whole, parse_whole
from moonas.study.operations import OPERATIONS

DARTS_OPERATIONS = (
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)


def _known_operation(name: str) -> str:
    if name not in OPERATIONS:
        raise ValueError(OPERATIONS.unknown(name))
    return name


def _candidates(names: tuple[str, ...]) -> tuple[str, ...]:
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{', '.join(repeated)} stands more than once")
    if not set(names) - {"none"}:
        raise ValueError("at least one operation other than 'none' is needed")
    return names


NasBench201Operation = Literal["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]
NAS_BENCH_201_OPERATIONS: tuple[NasBench201Operation, ...] = get_args(NasBench201Operation)
Candidates = Annotated[tuple[Annotated[str, AfterValidator(_known_operation)], ...], AfterValidator(_candidates)]


@dataclass(frozen=True, kw_only=True)
class DartsCnnConfig:
    """The cell space of Liu et al. (ICLR 2019, arXiv:1806.09055).

    Several levels, and connections that are searched, are the idea of Jin et al. 2019 (arXiv:1912.12814); the number of levels and
    the candidates are our own choice.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    operations: Candidates = DARTS_OPERATIONS
    """candidates of an edge, in the order that breaks ties; shorten or extend it"""
    nodes: Annotated[Whole, Field(ge=1, le=8)] = 4
    """intermediate nodes of a cell"""
    levels: Annotated[Literal[1, 3], BeforeValidator(parse_whole)] = 1
    """1: all normal cells share an architecture, and both reductions another; 3: the normal cells before, between and after
    the reductions have one each, and each reduction its own"""
    connections: bool = False
    """what brings each input of a cell to its channels is searched as well, instead of a 1×1 convolution"""


TND_NORMAL = (
    "none",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "sep_conv_7x7",
    "dil_conv_3x3",
    "dil_conv_5x5",
    "conv_1x1",
    "conv_3x3",
    "conv_3x1_1x3",
)
TND_REDUCE = ("none", "skip_connect", "max_pool_3x3", "max_pool_5x5", "max_pool_7x7", "avg_pool_3x3")


@dataclass(frozen=True, kw_only=True)
class TndCnnConfig:
    """The cell space of TND-NAS (arXiv:2111.03892), after its first author's published fork of P-DARTS."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    normal: Candidates = TND_NORMAL
    """candidates of an edge in normal cells, in the order that breaks ties; the other published list leaves `conv_1x1` out"""
    reduce: Candidates = TND_REDUCE
    """candidates of an edge in reductions"""
    nodes: Annotated[Whole, Field(ge=1, le=4)] = 4
    """intermediate nodes of a cell"""
    empty_nodes: bool = False
    """whether a node may be left without any input; it is all zeros then"""


@dataclass(frozen=True, kw_only=True)
class NasBench201Config:
    """The cell space of Dong & Yang (ICLR 2020, arXiv:2001.00326)."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    operations: Annotated[tuple[NasBench201Operation, ...], AfterValidator(_candidates)] = NAS_BENCH_201_OPERATIONS
    """candidates of an edge, in the order that breaks ties; shorten it"""


@dataclass(frozen=True, kw_only=True)
class NothingConfig:
    """Of studies of functions, which look for no network."""

    __pydantic_config__ = ConfigDict(extra="forbid")


@dataclass(frozen=True, kw_only=True)
class SpaceEntry:
    """A search space: its settings and the class, torch-free, that knows its cells and costs.

    frame: "module:function", called as `function(skeleton, plans) -> moonas.networks.frame.Surroundings`: what stands around cells.
    renamed: the registry's names of operations that are not what the registry has under the space's own name for them.
    """

    config: type[Any]
    load: str
    frame: str = "moonas.networks.frame:darts_surroundings"
    renamed: Mapping[str, str] = field(default_factory=dict)


SPACES: Registry[SpaceEntry] = Registry(
    "search space",
    "space",
    {
        "darts-cnn": SpaceEntry(config=DartsCnnConfig, load="moonas.spaces.darts_cnn:DartsCnn"),
        "nas-bench-201": SpaceEntry(
            config=NasBench201Config,
            load="moonas.spaces.nas_bench_201:NasBench201",
            frame="moonas.networks.residual_frame:surroundings",
            renamed={"avg_pool_3x3": "bare_avg_pool_3x3"},
        ),
        "tnd-cnn": SpaceEntry(config=TndCnnConfig, load="moonas.spaces.tnd_cnn:TndCnn"),
        "none": SpaceEntry(config=NothingConfig, load="moonas.spaces.nothing:Nothing"),
    },
)


def operation_name(space: str, name: str) -> str:
    """What the registry of operations calls the operation `name` of a space."""
    return SPACES[space].renamed.get(name, name)
