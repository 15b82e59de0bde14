"""Study files are YAML read as plain data: what is not, and what would explode, is refused at once."""

import json
import time

import pytest

from moonas.study.loading import parse_study
from tests.study.files import raw, study, yaml_complaint

SOUND = "\n".join(f"{key}: {json.dumps(value)}" for key, value in raw().items()) + "\n"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "the file is empty"),
        ("# nothing\n", "the file is empty"),
        ("- a\n- b\n", "expected settings such as `name: digits`, got ['a', 'b']"),
        ("just words", "expected settings such as `name: digits`, got 'just words'"),
        ("name: [1", "not YAML: line 1, column 9"),
        ("name:\n\t- 1", "not YAML: line 2, column 1: found character '\\t'"),
        ("name: a\n---\nname: b", "not YAML: line 2, column 1"),
        ("name: a\nseed: 1\nname: b", "not YAML: line 3, column 1: the key 'name' stands twice"),
        ("search: {channels: 8, cells: 3, channels: 9}", "line 1, column 33: the key 'channels' stands twice"),
        ("seed: !!int abc", "line 1, column 7: 'abc' cannot be read as int"),
        ("seed: !!bool abc", "'abc' cannot be read as bool"),
        ("seed: !!timestamp abc", "'abc' cannot be read as timestamp"),
        ("seed: " + "9" * 5000, "cannot be read as int"),
        ("? [a, b]\n: 1", "found unhashable key"),
        ("name: \x00", "not YAML: unacceptable character"),
        ("seed: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("name: *unknown", "found undefined alias"),
        ("storage: &a [*a]", "line 1, column 10: an alias stands within what it stands for"),
        ("storage: &a {b: {c: *a}}", "an alias stands within what it stands for"),
        ("storage: " + "[" * 1000, "not YAML"),
    ],
)
def test_what_is_no_study_file_is_refused_with_the_place(text, complaint):
    assert complaint in yaml_complaint(text)


@pytest.mark.parametrize("repeated", ["[{}]", "{{<<: [{}]}}"])
def test_aliases_that_multiply_are_refused_at_once(repeated):
    lines = ["a0: &a0 {k: 1}"]
    lines += [f"a{n}: &a{n} {repeated.format(', '.join([f'*a{n - 1}'] * 9))}" for n in range(1, 30)]
    began = time.monotonic()
    assert "more than 100,000 values" in yaml_complaint("\n".join(lines))
    assert time.monotonic() - began < 2


def test_anchors_and_merge_keys_serve_as_in_any_yaml():
    text = SOUND.replace('["random", "darts"]', "[&one {name: darts, label: a, epochs: 7}, {<<: *one, label: b}]")
    methods = parse_study(text).methods
    assert [(method.label, method.settings["epochs"]) for method in methods] == [("a", 7), ("b", 7)]
    sizes = {"search": "&sizes {channels: 4, cells: 3}", "final": "{<<: *sizes, cells: 5}"}
    rest = "\n".join(f"{key}: {json.dumps(value)}" for key, value in raw().items() if key not in sizes)
    config = parse_study(f"{rest}\nsearch: {sizes['search']}\nfinal: {sizes['final']}\n")
    assert (config.final.channels, config.final.cells) == ((4,), (5,))


def test_what_yaml_takes_for_text_is_read_as_a_number_and_dates_stay_text():
    config = parse_study(SOUND.replace('"small"', "2024-01-31") + "limits: {hours: 1e-4, device_hours: 2k}\nseed: 1_0\n")
    assert config.name == "2024-01-31"
    assert (config.limits.hours, config.limits.device_hours, config.seed) == (0.0001, 2000, 10)
    assert parse_study(SOUND.replace('"small"', "2024-99-99")).name == "2024-99-99"


def test_a_sound_file_gives_the_study_its_data_describe():
    assert parse_study(SOUND) == study()
    assert parse_study("\ufeff" + SOUND) == study()


def test_an_entry_that_is_left_empty_takes_its_default():
    assert parse_study(SOUND + "budgets:\nreplicates: null\nsampler:\n") == study()
