"""Changing one part of a study file's text: it says what it should, and everything else stays letter by letter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from moonas.errors import StudyFileError
from moonas.study.yaml_text import ABSENT, changed, line_of, part, read_path, write_path

STUDIES = [Path(__file__).parents[2] / "studies" / name for name in ("digits.yaml", "hpo-digits.yaml")]
TEXT = """\
# What it is for.
name: digits   # of the study
data: digits

methods:
  # the baseline
  - random
  - {name: darts, epochs: 8}   # few
  - name: fixed
    architecture: >-
      Genotype(a,
      b)
    # learning rates
    lr: {log: [0.01, 0.5]}
budgets: {params: [2%, 12%]}   # they bind
"""


def test_a_path_is_read_as_it_is_written() -> None:
    assert read_path("methods[0].alpha_lr.log[1]") == ("methods", 0, "alpha_lr", "log", 1)
    assert write_path(("methods", 0, "alpha_lr", "log", 1)) == "methods[0].alpha_lr.log[1]"
    assert read_path("") == ()


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("name", 2),
        ("methods[0]", 7),
        ("methods[1].epochs", 8),
        ("methods[2].lr", 14),
        ("methods[2].lr.log[0]", 14),
        ("methods[0].name", 7),  # a bare name has no keys
        ("methods[1].alpha_lr", 8),  # what is missing is missing from its mapping
        ("budgets.params[1]", 15),
        ("protocol", 1),
    ],
)
def test_each_part_has_its_line(path: str, line: int) -> None:
    assert line_of(TEXT, read_path(path)) == line


@pytest.mark.parametrize(
    ("path", "value", "old", "new"),
    [
        ("name", "mine", "name: digits ", "name: mine "),
        ("methods[1].epochs", 9, "epochs: 8}   #", "epochs: 9}   #"),
        ("methods[1].order", 2, "epochs: 8}", "epochs: 8, order: 2}"),
        ("methods[1].epochs", ABSENT, ", epochs: 8", ""),
        ("methods[0]", ABSENT, "  - random\n", ""),
        ("methods[2].lr", 0.1, "{log: [0.01, 0.5]}", "0.1"),
        ("methods[2].lr", ABSENT, "    lr: {log: [0.01, 0.5]}\n", ""),
        ("methods[2].batch", 32, "0.5]}\n", "0.5]}\n    batch: 32\n"),
        ("methods[3]", "direct", "0.5]}\n", "0.5]}\n  - direct\n"),
        ("methods[0].label", "baseline", "- random\n", "- {name: random, label: baseline}\n"),
        ("data.size", 14, "data: digits\n", "data: {name: digits, size: 14}\n"),
        ("data", ABSENT, "data: digits\n", ""),
        ("budgets.macs", ["1M", "none"], "12%]}", "12%], macs: [1M, none]}"),
        ("budgets.params[2]", "60%", "12%]", "12%, 60%]"),
        ("budgets.params[0]", ABSENT, "[2%, 12%]", "[12%]"),
        ("limits.hours", 8, "they bind\n", "they bind\nlimits: {hours: 8}\n"),
    ],
)
def test_only_what_is_changed_differs(path: str, value: Any, old: str, new: str) -> None:
    assert TEXT.count(old) == 1
    assert changed(TEXT, read_path(path), value) == TEXT.replace(old, new)


def test_a_new_key_goes_where_the_order_puts_it() -> None:
    order = ["seed", "name", "data", "space", "methods", "budgets"]
    assert "data: digits\nspace: darts-cnn\n\nmethods:" in changed(TEXT, ("space",), "darts-cnn", order=order)
    assert "# What it is for.\nseed: 3\nname: digits" in changed(TEXT, ("seed",), 3, order=order)


@pytest.mark.parametrize(
    "text", ["", "# nothing yet\n", "{}", "{name: a}", "a: &x [1, 2]\nb: *x\n", "a: {<<: {c: 1}, d: 2}\n", "a:\n- 1\n"]
)
@pytest.mark.parametrize(("path", "value"), [(("a",), 5), (("a", "c"), [1]), (("b",), {"c": "x"}), (("a",), ABSENT)])
def test_every_change_says_what_it_should_whatever_the_text(text: str, path: tuple[str, ...], value: Any) -> None:
    before, after = yaml.safe_load(text) or {}, yaml.safe_load(changed(text, path, value)) or {}
    assert part(after, path) == value or (value is ABSENT and part(after, path) is ABSENT)
    assert {key: item for key, item in after.items() if key != path[0]} == {
        key: item for key, item in before.items() if key != path[0]
    }


def paths(data: Any, above: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    pairs = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [path for key, below in pairs for path in ((*above, key), *paths(below, (*above, key)))]


@pytest.mark.parametrize("file", STUDIES, ids=lambda file: file.stem)
def test_any_part_of_a_study_file_can_be_changed_or_left_out_with_its_comments_kept(file: Path) -> None:
    text = file.read_text("utf-8")
    data = yaml.safe_load(text)
    for path in paths(data):
        for value in ("2M", ABSENT):
            new = changed(text, path, value)
            found = yaml.safe_load(new)
            if value is not ABSENT:
                assert part(found, path) == value
            elif isinstance(path[-1], str):
                assert part(found, path) is ABSENT
            assert text.count("#") - new.count("#") <= 1  # at most the comment behind what is left out


def test_what_is_no_yaml_is_refused() -> None:
    with pytest.raises(StudyFileError, match="not YAML: line 1"):
        changed("name: [", ("name",), "a")
