"""Search methods by name, and the spaces and budget handlers that each works with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from moonas.registry import Registry
from moonas.study.method_settings import (
    DartsConfig,
    DirectConfig,
    FixedConfig,
    FunctionConfig,
    ParsecConfig,
    PCDartsConfig,
    PCDartsJournalConfig,
    RandomConfig,
    RandomSharedConfig,
    RcDartsConfig,
    TndNasConfig,
)
from moonas.study.partial import Partial
from moonas.study.validation import settings_of


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
