"""Search spaces by name, with their settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

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


Operation = Annotated[str, AfterValidator(_known_operation)]


@dataclass(frozen=True, kw_only=True)
class DartsCnnConfig:
    """The cell space of Liu et al. (ICLR 2019, arXiv:1806.09055).

    operations: candidates of an edge, in index order; shorten or extend the list.
    nodes: intermediate nodes of a cell.
    levels: 1, as published: all normal cells share one architecture, and both reductions another. 3: the normal cells before,
    between and after the reductions have one each, and so has each reduction; several levels are the idea of Jin et al. 2019
    (arXiv:1912.12814), their number is our own choice.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    operations: Annotated[tuple[Annotated[str, AfterValidator(_known_operation)], ...], AfterValidator(_candidates)] = (
        DARTS_OPERATIONS
    )
    nodes: Annotated[Whole, Field(ge=1, le=8)] = 4
    levels: Annotated[Literal[1, 3], BeforeValidator(parse_whole)] = 1


@dataclass(frozen=True, kw_only=True)
class SpaceEntry:
    """A search space: its settings and the class, torch-free, that knows its cells and costs.

    frame: "module:function", called as `function(skeleton, plans) -> moonas.networks.frame.Surroundings`: what stands around cells.
    """

    config: type[Any]
    load: str
    frame: str = "moonas.networks.frame:darts_surroundings"


SPACES: Registry[SpaceEntry] = Registry(
    "search space",
    "space",
    {"darts-cnn": SpaceEntry(config=DartsCnnConfig, load="moonas.spaces.darts_cnn:DartsCnn")},
)
