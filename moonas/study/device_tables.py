"""Device tables: what every choice of a space adds to a measured metric on one device, so that any architecture is predicted.

`moonas device-table` fits and writes them. A study file names the files; the stored study holds their contents, so that it goes on
from its database alone, whatever becomes of the files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict

from moonas.errors import UsageError
from moonas.skeleton import Skeleton
from moonas.specs import Device
from moonas.study.metrics import METRICS, PREDICTED
from moonas.study.numbers import CountOrZero, Number

GRID = 1000  # a table counts in thousandths of its metric's unit: microseconds of latency_ms


def predicted_name(metric: str) -> str:
    """The metric that a table of `metric` predicts. Raises ValueError where there is none."""
    for name in PREDICTED:
        if METRICS[name].predicts == metric:
            return name
    known = ", ".join(str(METRICS[name].predicts) for name in PREDICTED)
    raise ValueError(f"there are no device tables of {metric!r}, which does not add up over operations; there are of: {known}")


def _predictable(metric: str) -> str:
    predicted_name(metric)
    return metric


@dataclass(frozen=True, kw_only=True)
class Column:
    """A cost that adds up, at one skeleton, in whole numbers. edges: {group: (edges, operations)}, over all cells of the group."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    fixed: CountOrZero
    edges: dict[str, tuple[tuple[CountOrZero, ...], ...]]


@dataclass(frozen=True, kw_only=True)
class FittedSkeleton:
    """The table at one skeleton, with how well it predicts networks that were held out of the fit.

    fit: networks, held_out: how many. error: the mean absolute error of the latter, relative to what was measured.
    rank_correlation: Spearman's. spread: mean interquartile range of one network's measurements, relative to their median.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    skeleton: dict[str, Any]
    column: Column
    fit: dict[str, Number]


@dataclass(frozen=True, kw_only=True)
class DeviceTable:
    """A measured metric on one device, as a sum of whole numbers of a thousandth of its unit.

    device: fingerprint. space: the resolved search space. settings: of the measurements that it was fitted to.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    format: Literal[1] = 1
    metric: Annotated[str, AfterValidator(_predictable)]
    device: Device
    space: dict[str, Any]
    settings: dict[str, Any]
    skeletons: tuple[FittedSkeleton, ...]

    @property
    def name(self) -> str:
        """The metric that the table gives."""
        return predicted_name(self.metric)

    def column(self, skeleton: Skeleton) -> Column | None:
        """The column at a skeleton; None where none was fitted there."""
        wanted = skeleton.to_json()
        return next((fitted.column for fitted in self.skeletons if fitted.skeleton == wanted), None)


def read_tables(raw: Any, folder: Path) -> Any:
    """`raw`, a study file's content, with the contents of the device tables in place of the paths that it gives, below `folder`.

    Raises UsageError where a file cannot be read; what its content means is not looked at.
    """
    if not isinstance(raw, Mapping) or not isinstance(raw.get("device_tables"), list):
        return raw
    return {**raw, "device_tables": [_content(item, folder) if isinstance(item, str) else item for item in raw["device_tables"]]}


def _content(path: str, folder: Path) -> Any:
    try:
        return json.loads((folder / path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(f"there is no file {folder / path}; make it with: moonas device-table STUDY.yaml -o {path}") from error
    except (OSError, ValueError) as error:
        raise UsageError(f"the device table {folder / path} cannot be read: {error}") from error
