"""What must hold between the parts of a study file. Each check names the parts it needs and runs where those are sound."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from moonas.study.budgets import Level
from moonas.study.data import DATA, TRAINING_PARTS, training_fractions
from moonas.study.methods import HANDLERS
from moonas.study.metrics import ADDITIVE, PREDICTED
from moonas.study.protocols import PROTOCOLS
from moonas.study.samplers import SAMPLERS
from moonas.study.validation import Place

# of a URL as SQLAlchemy and the database drivers read it: scheme://user:password@host, or ...?password=...
_PASSWORD = re.compile(r"(\w[\w+.-]*://[^/\s:@]*:)\S+(?=@)|([?&](?:password|passwd|pwd)=)[^&\s]+", re.IGNORECASE)


def check_parts(parts: Mapping[str, Any], place: Place) -> None:
    """Run every check whose parts are sound; `parts` as `read_study` returned them."""
    for check in _CHECKS:
        needed = [name for name in inspect.signature(check).parameters if name != "place"]
        if all(name in parts for name in needed):
            check(place, *(parts[name] for name in needed))


def check_no_password(raw: Any, place: Place) -> None:
    """A study file may be shared; a password in it is refused wherever it stands."""
    for path, text in _texts(raw, place):
        if _PASSWORD.search(text):
            path.wrong("holds a password; give the address by --storage or MOONAS_STORAGE instead, not in the study file")


def without_password(text: str) -> str:
    """`text` with every password in it replaced, so that a message may quote it."""
    return _PASSWORD.sub(r"\1\2***", text)


def _texts(value: Any, place: Place) -> Iterator[tuple[Place, str]]:
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(key, place / str(key))
            yield from _texts(item, place / str(key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _texts(item, place / index)


def _objectives_are_distinct(place: Place, objectives: Any) -> None:
    if not objectives:
        (place / "objectives").wrong("expected at least one, such as [accuracy, params]")
    metrics = [objective.metric for objective in objectives]
    for metric in sorted({metric for metric in metrics if metrics.count(metric) > 1}):
        (place / "objectives").wrong(f"{metric} stands more than once")


def _methods_have_distinct_labels(place: Place, methods: Any) -> None:
    if not methods:
        (place / "methods").wrong("expected at least one, such as [random, darts]")
    labels = [method.label for method in methods]
    for index, label in enumerate(labels):
        if label in labels[:index]:
            (place / "methods" / index).wrong(f"{label!r} stands more than once; give one of them a `label`")


def _methods_fit_space(place: Place, methods: Any, space: Any) -> None:
    for index, method in enumerate(methods):
        if space.name not in method.entry.spaces:
            known = ", ".join(method.entry.spaces)
            (place / "methods" / index).wrong(f"{method.name} does not search {space.name!r}; it searches: {known}")


def _handlers_fit(place: Place, methods: Any) -> None:
    for index, method in enumerate(methods):
        if method.handler.name not in method.entry.handlers:
            known = ", ".join(method.entry.handlers)
            (place / "methods" / index / "handler").wrong(
                f"{method.name} does not work with {method.handler.name!r}; it works with: {known}"
            )


def _warmup_leaves_epochs(place: Place, methods: Any) -> None:
    for index, method in enumerate(methods):
        epochs, warmup = min(_values(method, "epochs"), default=None), max(_values(method, "warmup_epochs"), default=0)
        if epochs is not None and warmup >= epochs:
            (place / "methods" / index / "warmup_epochs").wrong(f"must leave epochs to search in: {warmup} of {epochs} are warm-up")


def _values(method: Any, name: str) -> tuple[Any, ...]:
    """What a setting may be: its one value, or the listed values or ends of its range; nothing where there is no such setting."""
    if name in method.open:
        return tuple(method.open[name].values)
    return (method.settings[name],) if name in method.settings else ()


def _handlers_have_budgets(place: Place, methods: Any, budgets: Any, constraints: Any) -> None:
    bounded = any(level != Level() for levels in budgets.levels.values() for level in levels)
    bounded = bounded or any(constraint.metric in ADDITIVE for constraint in constraints)
    for index, method in enumerate(methods):
        if HANDLERS[method.handler.name].uses_budget and not bounded:
            (place / "methods" / index / "handler").wrong(
                f"{method.handler.name!r} works on a budget, and the study bounds no cost: give it `budgets`"
            )


def _predictions_have_tables(place: Place, objectives: Any, constraints: Any, budgets: Any, device_tables: Any) -> None:
    tables = [table.name for table in device_tables]
    for index, name in enumerate(tables):
        if name in tables[:index]:
            (place / "device_tables" / index).wrong(f"gives {name}, which a table before it gives already")
    used = [("objectives", objective.metric) for objective in objectives]
    used += [("constraints", constraint.metric) for constraint in constraints] + [("budgets", metric) for metric in budgets.levels]
    for key, metric in used:
        if metric in PREDICTED and metric not in tables:
            (place / key).wrong(f"{metric} is read off a device table: give the study one in `device_tables`")


def _tables_fit_space(place: Place, device_tables: Any, space: Any) -> None:
    for index, table in enumerate(device_tables):
        if table.space != space.to_json():
            (place / "device_tables" / index).wrong(f"was fitted for the space {table.space}, not for {space.to_json()}")


def _protocol_fits_methods(place: Place, methods: Any, protocol: Any) -> None:
    if PROTOCOLS[protocol.name].skeleton != "search":
        return
    for index, method in enumerate(methods):
        if not method.entry.searches:
            (place / "methods" / index).wrong(
                f"{method.name} trains no search network, so the protocol {protocol.name!r} has nothing to read"
            )


def _sampler_knows_its_end(place: Place, sampler: Any, trials: Any) -> None:
    if not SAMPLERS[sampler.name].finite and trials is None:
        (place / "trials").wrong(f"is missing: the sampler {sampler.name!r} needs a number of trials")


def _parts_fit_data(place: Place, data: Any) -> None:
    images, fractions = data.settings.images, data.settings.fractions
    here = place / "data" / "fractions"
    if fractions is None:
        return
    if images is not None:
        here.wrong("cannot stand beside `images`: both say how many images there are")
    parts = dict(zip(TRAINING_PARTS, training_fractions(DATA[data.name].shares, fractions), strict=True))
    if sum(parts.values()) > 1 + 1e-9:
        told = ", ".join(f"{part} {fraction:.4g}{'' if part in fractions else ' unless named'}" for part, fraction in parts.items())
        here.wrong(f"add up to more than the training images there are: {told}")


def _widths_suit_stem(place: Place, search: Any, final: Any) -> None:
    for key, section, widths in (("search", search, (search.channels,)), ("final", final, final.channels)):
        if section.stem == "imagenet" and any(channels % 2 for channels in widths):
            (place / key / "channels").wrong("the imagenet stem halves the channels once, so they must be even")


_CHECKS: tuple[Callable[..., None], ...] = (
    _objectives_are_distinct,
    _methods_have_distinct_labels,
    _methods_fit_space,
    _handlers_fit,
    _handlers_have_budgets,
    _predictions_have_tables,
    _tables_fit_space,
    _warmup_leaves_epochs,
    _protocol_fits_methods,
    _sampler_knows_its_end,
    _parts_fit_data,
    _widths_suit_stem,
)
