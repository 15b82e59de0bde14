"""The form that shows a study file's text: every field has the path of what it shows and changes as its id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import dash_mantine_components as dmc
from dash import html

from moonas.dashboard.components import panel
from moonas.dashboard.sweep.asked import bare, choices_at, elsewhere, name_at, setting_at, settings_at, standing_for
from moonas.dashboard.sweep.edits import entry
from moonas.dashboard.sweep.entries import written
from moonas.study.described import Setting
from moonas.study.loading import parse_yaml
from moonas.study.metrics import ADDITIVE
from moonas.study.yaml_text import ABSENT, Path, part, read_path, write_path

ORDER = ["label", "input", "description", "error"]
FIRST = ("epochs",)  # shown beside what must be given: how long it takes
BOUNDS = "Such as macs<=5M, accuracy>=0.5."
RANGES = "Any number may be a range: {log: [1e-4, 1e-2]}, {int: [4, 16]}, [1, 2]."
LEVELS = "Such as 10%, 2M, none; {lower: 1M, upper: 2M}; geometric(1M, 5M, 5). Several metrics are crossed."


def form(text: str) -> list[Any]:
    """All fields for a text that is YAML."""
    data = parse_yaml(text) or {}
    others = elsewhere(data)
    return [
        panel(
            _grid([_text(data, "name", "Name"), _text(data, "seed", "Seed")]),
            _named(data, ("data",), "Data set"),
            _named(data, ("space",), "Search space"),
            title="The study",
        ),
        panel(
            _rows(data, "objectives", "Metric", "Add an objective"),
            _grid([_text(data, "constraints", "Constraints", BOUNDS)], wide=True),
            title="What is weighed",
        ),
        panel(_budgets(data), title="Budgets", note="What the sweep bounds, one after another."),
        panel(_rows(data, "methods", "Method", "Add a method"), title="Methods", note=RANGES),
        panel(
            _section(data, "search", "In the search"),
            _section(data, "final", "In the end", "Several numbers are tried one by one."),
            title="Networks",
        ),
        panel(_named(data, ("protocol",), "Protocol"), title="How accuracy is found"),
        panel(
            _named(data, ("sampler",), "Sampler"),
            _grid([_text(data, "trials", "Trials"), _text(data, "replicates", "Replicates")]),
            title="Trials",
        ),
        panel(_section(data, "workers", "Workers"), _section(data, "limits", "Limits"), title="Work"),
        *[html.P(["Also set in the file: ", html.Code(", ".join(others)), "."], className="note")] * bool(others),
    ]


def _named(data: Any, path: Path, label: str, above: Sequence[Any] = ()) -> Any:
    """The choice of a name out of a table, and what may be set of it."""
    name = name_at(data, path)
    choices = choices_at(path)
    choice = dmc.Select(
        id=_ask((*path, bare(path))),
        label=label,
        data=list(dict.fromkeys([*choices, *[name] * bool(name)])),
        value=name or None,
        clearable=part(data, path) is not ABSENT and standing_for(data, path) not in ("", name),
        allowDeselect=False,
        checkIconPosition="right",
        inputWrapperOrder=ORDER,
        size="sm",
    )
    return _settings(data, path, [choice, *above])


def _section(data: Any, key: str, title: str, note: str = "") -> Any:
    return html.Div([html.H4(title), *[html.P(note, className="note")] * bool(note), _settings(data, (key,))])


def _settings(data: Any, path: Path, first: Sequence[Any] = ()) -> Any:
    """Fields for what may be set below a path: at hand what must be given or is set, the others folded away."""
    known = settings_at(data, path)
    at_hand = [one for one in known if one.required or one.name in FIRST or part(data, (*path, one.name)) is not ABSENT]
    others = [one for one in known if one not in at_hand]

    def grid(settings: Sequence[Setting], *before: Any) -> Any:
        return _grid([*before, *(_field(data, (*path, one.name), one) for one in settings)])

    count = f"{len(others)} {'more ' if at_hand or first else ''}setting{'s' * (len(others) != 1)}"
    folded = html.Details([html.Summary(count), grid(others)], className="others")
    return html.Div([grid([*at_hand, *_strays(data, path, known)], *first), *[folded] * bool(others)])


def _strays(data: Any, path: Path, known: Sequence[Setting]) -> list[Setting]:
    """What stands below a path and is no setting there: a mistake, or a parameter of a function that was called elsewhere."""
    now = part(data, path)
    names = {one.name for one in known} | {bare(path), "handler", "label"}
    return [Setting(str(key)) for key in now if key not in names] if isinstance(now, Mapping) else []


def _field(data: Any, path: Path, setting: Setting, label: str = "") -> Any:
    """One setting. Its default stands in the empty field."""
    standing = {} if setting.required else {"placeholder": written(setting.default, setting.many)}
    value = entry(data, path)
    about: dict[str, Any] = {
        "id": _ask(path),
        "label": label or setting.name,
        "description": "; ".join(text for text in (setting.limits, setting.help.replace("`", "")) if text) or None,
        "inputWrapperOrder": ORDER,
        "size": "sm",
        **standing,
    }
    if not setting.choices:
        return dmc.TextInput(value=value, debounce=400, required=setting.required, withAsterisk=False, **about)
    choices = dict.fromkeys([*map(written, setting.choices), *([value] if value else [])])
    return dmc.Select(value=value or None, data=list(choices), clearable=True, **about)


def _text(data: Any, key: str, label: str, example: str = "") -> Any:
    """A value that stands by itself in the file."""
    known = setting_at(data, (key,))
    assert known is not None
    return _field(data, (key,), replace(known, help=f"{known.help}. {example}" if example else known.help), label)


def _rows(data: Any, key: str, what: str, one_more: str) -> Any:
    """A box for each item of a list, and a button for one more. what: is chosen in each."""
    items = part(data, (key,))
    count = len(items) if isinstance(items, list) else 0
    return html.Div(
        [*(_box(data, (key, place), what) for place in range(count)), _button("more", (key,), one_more)], className="rows"
    )


def _box(data: Any, path: Path, what: str) -> Any:
    title = f"{what} {path[-1]}"
    if path[0] != "methods":
        return _boxed([_named(data, path, what)], path, title)
    label = _field(data, (*path, "label"), Setting("label", name_at(data, path)))
    handler = _named(data, (*path, "handler"), "Budget handler")
    return _boxed([_named(data, path, what, [label]), handler], path, title)


def _budgets(data: Any) -> Any:
    """A box for each metric that is bounded."""
    found = part(data, ("budgets",))
    boxes = []
    for key in found if isinstance(found, Mapping) else ():
        path = ("budgets", str(key))
        free = dict.fromkeys([str(key), *(name for name in ADDITIVE if name not in found)])
        metric = dmc.Select(
            id={"type": "metric", "path": write_path(path)},
            label="Metric",
            data=list(free),
            value=str(key),
            allowDeselect=False,
            size="sm",
        )
        levels = _field(data, path, Setting(str(key), many=True, help=LEVELS), "Levels")
        boxes.append(_boxed([_grid([metric, levels], wide=True)], path, f"budget of {key}"))
    return html.Div([*boxes, _button("more", ("budgets",), "Add a budget")], className="rows")


def _boxed(content: list[Any], path: Path, title: str) -> Any:
    drop = _button("less", path, "Remove", f"Remove {title}")
    return html.Div([html.Div(content, className="filling"), drop], className="box", role="group", **{"aria-label": title})


def _button(what: str, path: Path, label: str, told: str = "") -> Any:
    aria = {"aria-label": told} if told else {}
    return html.Button(label, id={"type": what, "path": write_path(path)}, type="button", className="action", **aria)


def _grid(fields: Sequence[Any], wide: bool = False) -> Any:
    return html.Div(list(fields), className="asks wide" if wide else "asks")


def _ask(path: Path) -> dict[str, str]:
    return {"type": "ask", "path": write_path(path)}


def path_of(field_id: dict[str, str]) -> Path:
    """The path in a field's id."""
    return read_path(field_id["path"])
