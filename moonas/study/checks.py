"""What must hold between the parts of a study file. Each check names the parts it needs and runs where those are sound."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from itertools import product
from typing import Any

from moonas.study.budgets import Level
from moonas.study.cluster import check_backend, check_measured_at_home
from moonas.study.data import DATA, TRAINING_PARTS, training_fractions
from moonas.study.extent import check_extent
from moonas.study.functions import FUNCTIONS
from moonas.study.handlers import HANDLERS
from moonas.study.methods import METHODS
from moonas.study.metrics import ADDITIVE, METRICS, PREDICTED, is_measured
from moonas.study.partial import Partial
from moonas.study.promotion import check_promotion
from moonas.study.protocols import PROTOCOLS, TABLES, TABULATED
from moonas.study.samplers import SAMPLERS
from moonas.study.spaces import SPACES
from moonas.study.validation import Place, settings_of

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
        epochs, warmup = min(method.values("epochs"), default=None), max(method.values("warmup_epochs"), default=0)
        if epochs is not None and warmup >= epochs:
            (place / "methods" / index / "warmup_epochs").wrong(f"must leave epochs to search in: {warmup} of {epochs} are warm-up")


def _partial_channels_fit(place: Place, methods: Any, search: Any) -> None:
    """Cells have search.channels channels, or twice as many, and so on."""
    names = [setting.name for setting in fields(Partial)]
    for index, method in enumerate(methods):
        if issubclass(method.entry.config, Partial):
            values = [_choices(method, name, search.channels) for name in names]
            choices = [dict(zip(names, chosen, strict=True)) for chosen in product(*values)]
            wrong = {setting: told for chosen in choices for setting, told in Partial(**chosen).misfits(search.channels)}
            for setting, told in wrong.items():
                (place / "methods" / index / setting).wrong(told)


def _choices(method: Any, name: str, channels: int) -> tuple[Any, ...]:
    """All values that a setting may have which is no real number; of those above `channels`, which fit no better, the first."""
    if name in method.open and method.open[name].kind == "int":
        low, high = method.open[name].values
        return tuple(range(low, min(high, max(low, channels + 1)) + 1))
    return method.values(name)


def _handlers_have_budgets(place: Place, methods: Any, budgets: Any, constraints: Any) -> None:
    bounded = any(level != Level() for levels in budgets.levels.values() for level in levels)
    bounded = bounded or any(constraint.metric in ADDITIVE for constraint in constraints)
    for index, method in enumerate(methods):
        refers = getattr(method.handler.settings, "references", None)
        if HANDLERS[method.handler.name].uses_budget and not bounded and not refers:
            (place / "methods" / index / "handler").wrong(
                f"{method.handler.name!r} works on a budget, and the study bounds no cost: give it `budgets`"
            )


def _searches_can_continue(place: Place, methods: Any) -> None:
    for index, method in enumerate(methods):
        here = place / "methods" / index / "continue_from"
        if method.continue_from is None:
            continue
        if not method.entry.leaves:
            able = ", ".join(name for name in METHODS if METHODS[name].leaves)
            here.wrong(f"{method.name} leaves no architecture parameters that another search could start from; these do: {able}")
        elif not method.uses_budget:
            others = " or ".join(name for name in method.entry.handlers if HANDLERS[name].uses_budget)
            here.wrong(
                f"with the handler {method.handler.name!r} one search serves all budgets; it takes another handler: {others}"
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


def _rewards_have_tables(place: Place, methods: Any, device_tables: Any) -> None:
    tables = [table.name for table in device_tables]
    for index, method in enumerate(methods):
        for metric in getattr(method.handler.settings, "references", None) or ():
            if metric in PREDICTED and metric not in tables:
                (place / "methods" / index / "handler" / "references").wrong(
                    f"{metric} is read off a device table: give the study one in `device_tables`"
                )


def _is_space(settings: Mapping[str, Any], space: Any) -> bool:
    """Whether settings, of which some may be left to their defaults, are those of the study's space."""
    try:
        return settings.get("name") == space.name and settings_of(SPACES[space.name].config, settings) == space.settings
    except ValueError:  # as pydantic's errors are
        return False


def _tables_fit_space(place: Place, device_tables: Any, space: Any) -> None:
    for index, table in enumerate(device_tables):
        if not _is_space(table.space, space):
            (place / "device_tables" / index).wrong(f"was fitted for the space {table.space}, not for {space.to_json()}")


def _protocol_fits_methods(place: Place, methods: Any, protocol: Any) -> None:
    if PROTOCOLS[protocol.name].skeleton != "search":
        return
    for index, method in enumerate(methods):
        if not method.entry.searches:
            (place / "methods" / index).wrong(
                f"{method.name} trains no search network, so the protocol {protocol.name!r} has nothing to read"
            )


def _protocol_gives_metrics(place: Place, objectives: Any, constraints: Any, protocol: Any) -> None:
    for key, parts in (("objectives", objectives), ("constraints", constraints)):
        for index, part in enumerate(parts):
            givers = METRICS[part.metric].protocols
            if givers and protocol.name not in givers:
                (place / key / index).wrong(f"{part.metric} is known to the protocol {' or '.join(givers)} alone")


def _table_holds_networks(place: Place, protocol: Any, data: Any, space: Any, final: Any) -> None:
    if protocol.name != "tabular":
        return
    if space.name != "nas-bench-201":
        (place / "protocol").wrong(f"the tables hold cells of nas-bench-201, not of {space.name}")
    if protocol.settings.table is None and data.name not in TABLES:
        (place / "protocol" / "table").wrong(f"is missing: there is no table of {data.name}; there are: {', '.join(TABLES)}")
    for name, size in TABULATED.items():
        if getattr(final, name) != (size,):
            (place / "final" / name).wrong(f"the tables are those of {size} {name}")


def _sampler_knows_its_end(place: Place, sampler: Any, trials: Any) -> None:
    if not SAMPLERS[sampler.name].finite and trials is None:
        (place / "trials").wrong(f"is missing: the sampler {sampler.name!r} needs a number of trials")


def _sampler_has_objectives(place: Place, sampler: Any, objectives: Any) -> None:
    if 0 < len(objectives) < (least := SAMPLERS[sampler.name].objectives):
        (place / "sampler").wrong(f"{sampler.name} needs at least {least} objectives; for one there is pymoo:nsga2 or tpe")


def _pruning_has_curves(place: Place, pruning: Any, protocol: Any, methods: Any) -> None:
    if pruning is None:
        return
    epochs = getattr(protocol.settings, "epochs", None)
    if epochs is None:
        (place / "pruning").wrong(f"the protocol {protocol.name!r} trains nothing epoch by epoch, so there is nothing to give up")
        return
    longest = max([epochs, *(one for method in methods if method.fixed for one in method.values("epochs") if one is not None)])
    if pruning.every > longest - 2:
        (place / "pruning" / "every").wrong(f"leaves no look at a training of {longest} epochs before its last but one")
    if pruning.least < pruning.fewest:
        (place / "pruning" / "after").wrong(
            f"the bound at quantile {pruning.quantile:g} needs at least {pruning.fewest} finished trainings, not {pruning.least}"
        )


def _pruning_can_tell(place: Place, pruning: Any, objectives: Any, constraints: Any) -> None:
    """A network is of no use once its accuracy is too low for a constraint, or for the front if all else is known."""
    if pruning is None or any(bound.metric == "accuracy" and bound.lower is not None for bound in constraints):
        return
    names = [objective.metric for objective in objectives]
    measured_first = any(objective.known and is_measured(objective.metric) for objective in objectives)
    unknown = [
        o.metric for o in objectives if not (o.metric == "accuracy" or o.entry.known or (measured_first and is_measured(o.metric)))
    ]
    if "accuracy" not in names:
        (place / "pruning").wrong("goes by accuracy, which is neither an objective nor bounded from below by a constraint")
    elif unknown:
        hint = f"; {{metric: {unknown[0]}, known: true}} is measured first" if is_measured(unknown[0]) else ""
        (place / "pruning").wrong(f"{unknown[0]} is not known before a training ends, so none can be told to be of no use{hint}")


def _functions_stand_alone(place: Place, methods: Any) -> None:
    others = [method.label for method in methods if not method.function]
    if others and len(others) < len(methods):
        found = ", ".join(others)
        (place / "methods").wrong(f"functions and methods that find networks ({found}) do not compare: make two studies of them")


def _functions_have_no_network(
    place: Place, methods: Any, data: Any, space: Any, protocol: Any, budgets: Any, measure: Any
) -> None:
    if methods and all(method.function for method in methods):
        for key, given in (("data", data), ("space", space)):
            if given.name != "none":
                (place / key).wrong(f"a function reads none: leave `{key}` out")
        if protocol.name != "function":
            (place / "protocol").wrong("a function is called, not trained: leave `protocol` out")
        if budgets.levels or measure.metrics:
            (place / ("budgets" if budgets.levels else "measure")).wrong("speaks of networks; a function has none: leave it out")
    elif any(method.function for method in methods):
        return
    elif protocol.name == "function":
        (place / "protocol").wrong("calls the functions of the method `function`, which this study does not have")
    elif data.name == "none":
        (place / "data").wrong("holds no images; it stands in studies of functions")


def _functions_return_metrics(place: Place, methods: Any, objectives: Any, constraints: Any) -> None:
    for method in methods:
        returned = tuple(method.returns or FUNCTIONS[method.function].metrics) if method.function else ()
        for key, parts in (("objectives", objectives), ("constraints", constraints)):
            for index, part in enumerate(parts):
                if method.function and part.metric not in returned:
                    known = ", ".join(returned)
                    (place / key / index).wrong(f"{part.metric} is nothing that {method.function} returns; it returns: {known}")


def _recipes_fit(place: Place, methods: Any, protocol: Any) -> None:
    """What varies the training must be settings of the protocol, and numbers of two protocols never share a front."""
    known = [setting.name for setting in fields(protocol.settings)]
    others = [method.label for method in methods if not method.fixed]
    for index, method in enumerate(methods):
        here = place / "methods" / index
        varied = [*method.recipe({}), *method.open] if method.fixed else []
        for name in varied:
            if name not in known:
                (here / name).wrong(f"is no setting of the protocol {protocol.name!r}; it has: {', '.join(known)}")
        if varied and others:
            here.wrong(f"varies the training, so that its accuracies do not compare with those of {', '.join(others)}")


def _sampler_names_architectures(place: Place, methods: Any, sampler: Any) -> None:
    for index, method in enumerate(methods):
        if method.named and not method.fixed and not method.function and SAMPLERS[sampler.name].finite:
            (place / "methods" / index).wrong(
                f"{method.name} leaves every operation to the sampler, and {sampler.name!r} would try all of them: choose another, "
                "such as our own, by `trials: 100`, without `sampler`"
            )


def _compiling_suits(place: Place, performance: Any, protocol: Any) -> None:
    if performance.compile and performance.memory == "low":
        (place / "performance" / "compile").wrong("decides itself what is kept, so it does not go with memory: low")
    if performance.compile and getattr(protocol.settings, "drop_path", 0):
        (place / "performance" / "compile").wrong("cannot follow the random stream of drop_path; leave one of them out")


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
        if section.stem != "cifar" and any(channels % 2 for channels in widths):
            (place / key / "channels").wrong(f"the {section.stem} stem halves the channels once, so they must be even")


_CHECKS: tuple[Callable[..., None], ...] = (
    _objectives_are_distinct,
    _methods_have_distinct_labels,
    _methods_fit_space,
    _handlers_fit,
    _handlers_have_budgets,
    _searches_can_continue,
    _predictions_have_tables,
    _rewards_have_tables,
    _tables_fit_space,
    _warmup_leaves_epochs,
    _partial_channels_fit,
    _protocol_fits_methods,
    _protocol_gives_metrics,
    _table_holds_networks,
    _sampler_knows_its_end,
    _sampler_has_objectives,
    _sampler_names_architectures,
    _recipes_fit,
    _pruning_has_curves,
    _pruning_can_tell,
    check_promotion,
    _functions_stand_alone,
    _functions_have_no_network,
    _functions_return_metrics,
    _parts_fit_data,
    _widths_suit_stem,
    _compiling_suits,
    check_backend,
    check_measured_at_home,
    check_extent,
)
