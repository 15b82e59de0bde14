"""Names with their settings, as a study file gives them, and the method variants among them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from moonas.study.continuing import ContinueFrom
from moonas.study.handlers import HANDLERS
from moonas.study.methods import METHODS, MethodEntry
from moonas.study.ranges import Range
from moonas.study.validation import plain


@dataclass(frozen=True)
class Named:
    """An entry of a registry with its settings; in the file a bare name stands for `{name: ...}`."""

    name: str
    settings: Any

    def to_json(self) -> dict[str, Any]:
        """The form that task specs carry."""
        return {"name": self.name, **plain(self.settings)}


@dataclass(frozen=True)
class Method:
    """One method variant of a study.

    label: what the study calls it; its name unless the file says otherwise.
    settings: every setting that is not open. open: ranges that the outer layer fills in, one value per trial.
    continue_from: what its searches start from; None where all start from scratch.
    """

    name: str
    label: str
    handler: Named
    settings: Mapping[str, Any]
    open: Mapping[str, Range]
    continue_from: ContinueFrom | None = None

    @property
    def entry(self) -> MethodEntry:
        return METHODS[self.name]

    @property
    def named(self) -> bool:
        """Whether its architectures are named and not searched for, so that there is no budget to decode within."""
        return not self.entry.load

    @property
    def function(self) -> str | None:
        """The function that its trials call."""
        return self.settings["function"] if self.name == "function" else None

    @property
    def returns(self) -> Mapping[str, str] | None:
        """Of a function that was called elsewhere, so that no trial can be asked for, what it returned, with directions."""
        return self.settings["returns"] if self.name == "function" and "returns" in self.settings else None

    @property
    def fixed(self) -> str | None:
        """The one architecture of all its trials, as the file writes it."""
        return self.settings["architecture"] if self.name == "fixed" else None

    def recipe(self, chosen: Mapping[str, Any]) -> dict[str, Any]:
        """What stands for settings of the protocol in a trial, with a chosen value for each open one."""
        settings = {**self.settings, **chosen}
        if self.function:
            params = {name: value for name, value in settings.items() if name not in ("function", "returns")}
            return {"function": self.function, "params": params}
        names = [name for name in settings if name != "architecture" and settings[name] is not None] if self.fixed else []
        return {name: settings[name] for name in names}

    @property
    def uses_budget(self) -> bool:
        """Whether a search depends on the budget, so that budgets cannot share it."""
        return self.entry.uses_budget or HANDLERS[self.handler.name].uses_budget

    def values(self, name: str) -> tuple[Any, ...]:
        """What a setting may be: its one value, or the listed values or ends of its range; nothing for no setting."""
        if name in self.open:
            return tuple(self.open[name].values)
        return (self.settings[name],) if name in self.settings else ()

    def spec(self, chosen: Mapping[str, Any], continued: bool = False) -> dict[str, Any]:
        """The method part of a search spec, with a chosen value for each open setting. continued: where it starts from another."""
        settings = {"name": self.name, **self.settings, **{name: chosen[name] for name in self.open}}
        return self.continue_from.shortened(settings) if continued and self.continue_from else settings

    def to_json(self) -> dict[str, Any]:
        open_settings = {name: value.to_json() for name, value in self.open.items()}
        fixed = {"name": self.name, "label": self.label, "handler": self.handler.to_json()}
        continuing = {"continue_from": plain(self.continue_from)} if self.continue_from else {}
        return {**fixed, **continuing, **self.settings, **open_settings}
