"""The study file as a whole: every mistake at once with its place, defaults, and the resolved form in a database."""

import json
from pathlib import Path

import pytest

from moonas.errors import StudyFileError
from moonas.study.loading import load_study, study_from
from moonas.study.method_settings import DartsConfig
from moonas.study.methods import METHODS
from moonas.study.ranges import Range
from moonas.study.validation import plain
from tests.study.files import complaints, raw, study


def test_the_least_a_file_must_say_is_completed_by_defaults():
    config = study()
    assert (config.seed, config.replicates, config.trials) == (0, 1, None)
    assert (config.sampler.name, config.protocol.name, config.protocol.settings.epochs) == ("grid", "short", 20)
    assert (config.final.channels, config.final.cells) == ((8,), (5,))
    assert [method.label for method in config.methods] == ["random", "darts"]
    assert config.methods[1].settings["alpha_lr"] == 3e-4  # Liu et al. 2019
    assert config.methods[1].handler.name == "none"
    assert config.space.settings.nodes == 4
    assert (config.input_shape, config.classes) == ((1, 8, 8), 10)
    assert study(data={"name": "cifar10", "size": 16}).input_shape == (3, 16, 16)


def test_every_mistake_is_told_at_once_with_its_place_and_the_nearest_name():
    told = complaints(
        name="no spaces",
        seed=-1,
        data="digitz",
        space={"name": "darts-cnn", "operations": ["sep_con_3x3", "none", "zero"], "nodes": 9},
        search={"channels": 0, "cells": 2.5, "stem": "cifer", "depth": 3},
        final={"channels": [8, "x", [9]], "cells": []},
        objectives=["accuracy", "parms", {"metric": "macs", "referense": 1}],
        constraints=["params<5", 7],
        methods=["DARTS", {"name": "darts", "alpha_lr": "fast", "batch": True, "epoch": 3, "handler": "penalti"}, {"order": 1}],
        budgets={"params": ["130%"]},
        replicates=0,
        sampler={"name": "grid", "size": 3},
        protocol={"name": "shrt"},
        decode={"extra": -1},
        workers={"backend": "cloud", "devices": "gpu"},
        limits={"hours": 0},
        performance={"precision": "fp8"},
        storage=5,
        bugdets={},
    )
    assert {path: message.split("\n")[0] for path, message in told.items()} == {
        "bugdets": "'bugdets' is not known here; did you mean 'budgets'?",
        "name": "expected 1 to 64 letters, digits, '.', '_' and '-', beginning with a letter or digit, got 'no spaces'",
        "seed": "must be greater than or equal to 0, got -1",
        "data.name": "'digitz' is not a data set; did you mean 'digits'?",
        "space.operations[0]": "'sep_con_3x3' is not an operation; did you mean 'sep_conv_3x3'?",
        "space.operations[2]": "'zero' is not an operation",
        "space.nodes": "must be less than or equal to 8, got 9",
        "search.channels": "must be greater than or equal to 1, got 0",
        "search.cells": "expected a whole number, got 2.5",
        "search.stem": "must be 'cifar', 'imagenet' or 'imagenet-search', got 'cifer'",
        "search.depth": "'depth' is not known here",
        "final.channels[1]": "'x' is not a number; write it like 0.025, 1e-4, 600e6, 30k or 2M",
        "final.channels[2]": "expected a number, got [9]",
        "final.cells": "expected at least one size",
        "objectives[1]": "'parms' is not a metric; did you mean 'params'?",
        "objectives[2]": "'referense' is not a setting of an objective; did you mean 'reference'?",
        "constraints[0]": "'params<5': write params<=5 or params>=5; an end belongs to its bound",
        "constraints[1]": "expected a bound such as params<=2M, got 7",
        "methods[0].name": "'DARTS' is not a search method; did you mean 'darts'?",
        "methods[1].alpha_lr": "'fast' is not a number; write it like 0.025, 1e-4, 600e6, 30k or 2M",
        "methods[1].batch": "expected a number, got True",
        "methods[1].epoch": "'epoch' is not known here; did you mean 'epochs'?",
        "methods[1].handler.name": "'penalti' is not a budget handler; did you mean 'penalty'?",
        "methods[2].name": f"is missing: which search method? Known: {', '.join(METHODS)}.",
        "budgets.params[0]": "'130%': a share of the reachable span lies between 0% and 100%",
        "replicates": "must be greater than or equal to 1, got 0",
        "sampler.size": "'size' is not known here",
        "protocol.name": "'shrt' is not an evaluation protocol; did you mean 'short'?",
        "decode.extra": "must be greater than or equal to 0, got -1",
        "workers.backend": "must be 'local' or 'ray', got 'cloud'",
        "workers.devices": "must be auto, cpu, or GPU indices such as [0, 1], got 'gpu'",
        "limits.hours": "must be greater than 0, got 0",
        "performance.precision": "must be 'fp32' or 'bf16', got 'fp8'",
        "storage": "expected text, got 5",
    }


def test_every_part_that_has_no_default_is_asked_for():
    with pytest.raises(StudyFileError) as caught:
        study_from({"seed": 3}, "empty.yaml")
    needed = ["name", "data", "space", "search", "final", "objectives", "methods"]
    assert sorted(str(problem) for problem in caught.value.problems) == sorted(f"{key}: is missing" for key in needed)
    assert str(caught.value).startswith("empty.yaml: name: is missing\n")
    assert complaints(search={}) == {"search.channels": "is missing", "search.cells": "is missing"}


@pytest.mark.parametrize("value", [3, "text", ["a", "b"]])
def test_a_section_of_the_wrong_type_is_refused(value):
    for key in ("search", "final", "decode", "workers", "limits", "performance"):
        assert complaints(**{key: value}) == {key: f"expected settings as a mapping, got {value!r}"}


@pytest.mark.parametrize("key", ["data", "space", "sampler", "protocol"])
@pytest.mark.parametrize("value", [3, ["digits"]])
def test_a_named_part_of_the_wrong_type_is_refused(key, value):
    assert "{name: ..., settings}" in complaints(**{key: value})[key]


@pytest.mark.parametrize("key", ["objectives", "constraints", "methods"])
def test_a_list_must_be_one(key):
    assert complaints(**{key: "params"}) == {key: "expected a list, got 'params'"}


@pytest.mark.parametrize("key", ["seed", "replicates", "trials"])
@pytest.mark.parametrize("value", [True, "many", 1.5, [1], 10**400])
def test_a_count_must_be_a_whole_number(key, value):
    assert key in complaints(**{key: value}, sampler="random" if key == "trials" else "grid")


def test_numbers_may_be_written_as_people_write_them():
    config = study(seed="1k", limits={"hours": "1e-3"}, methods=[{"name": "darts", "alpha_lr": "1e-4", "batch": "6.4e1"}])
    assert config.seed == 1000
    assert config.limits.hours == 0.001
    assert config.methods[0].settings["alpha_lr"] == 0.0001
    assert config.methods[0].settings["batch"] == 64
    assert study(seed=2**63 - 1).seed == 9_223_372_036_854_775_807
    assert list(complaints(seed=2**63)) == ["seed"]  # no database holds it


def test_sizes_no_network_has_are_refused_before_anything_is_worked_out():
    assert set(complaints(search={"channels": "1e10", "cells": "1e9"}, final={"channels": 10**6, "cells": [5, 10**6]})) == {
        "search.channels",
        "search.cells",
        "final.channels[0]",
        "final.cells[1]",
    }


def test_an_open_width_stands_once_each():
    assert study(final={"channels": [16, "8", 8.0, 16], "cells": 5}).final.channels == (16, 8)


@pytest.mark.parametrize(("devices", "read"), [("cpu", "cpu"), ("auto", "auto"), ([1, "0"], (1, 0))])
def test_devices_are_auto_cpu_or_gpu_indices(devices, read):
    assert study(workers={"devices": devices}).workers.devices == read


@pytest.mark.parametrize("devices", [0, [], [-1], ["cpu"], None, {}])
def test_other_devices_are_refused(devices):
    assert list(complaints(workers={"devices": devices})) == ["workers.devices"]


def test_a_methods_settings_may_be_left_open():
    settings = {"alpha_lr": {"log": ["1e-4", "1e-2"]}, "batch": [32, "64", 32.0], "epochs": {"int": [5, 20]}}
    config = study(methods=[{"name": "darts", **settings}], sampler="random", trials=4)
    method = config.methods[0]
    assert method.open == {
        "alpha_lr": Range("log", (0.0001, 0.01)),
        "batch": Range("choice", (32, 64)),
        "epochs": Range("int", (5, 20)),
    }
    assert set(method.settings) == set(plain(DartsConfig())) - set(method.open)
    chosen = {"alpha_lr": 0.001, "batch": 32, "epochs": 7}
    assert method.spec(chosen) == {"name": "darts", **plain(DartsConfig()), **chosen}


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ({"batch": [32, 0]}, "must be greater than or equal to 1, got 0"),
        ({"batch": {"uniform": [8, 64]}}, "is a whole number, so its range must be a list or {int: [8, 64]}"),
        ({"epochs": {"log": [1, 50]}}, "is a whole number"),
        ({"weight_momentum": {"uniform": [0, 1]}}, "must be less than 1, got 1"),
        ({"alpha_lr": {"lg": [1, 2]}}, "'lg' is not a kind of range; did you mean 'log'?"),
        ({"alpha_lr": []}, "choice: expected a list of values"),
    ],
)
def test_every_value_of_a_range_is_checked_like_a_single_one(setting, complaint):
    told = complaints(methods=[{"name": "darts", **setting}], sampler="random", trials=2)
    assert list(told) == [f"methods[0].{next(iter(setting))}"]
    assert complaint in next(iter(told.values()))


def test_flags_are_no_numbers_anywhere():
    told = complaints(methods=[{"name": "darts", "order": True, "alpha_lr": False}], search={"channels": True, "cells": 3})
    assert set(told) == {"methods[0].order", "methods[0].alpha_lr", "search.channels"}


VARIANTS = [
    {},
    {"seed": 5, "replicates": 3, "final": {"channels": [8, 16], "cells": [5, 8], "stem": "cifar"}},
    {"budgets": {"params": ["10%", "2M", None, {"lower": "10k", "upper": "50%"}], "flops": "geometric(1M, 5M, 3)"}},
    {"budgets": {"params": None}},
    {"constraints": ["macs<=5M", "10k<=params<=2M", "accuracy>=0.123456789012345"]},
    {"objectives": [{"metric": "accuracy", "reference": None}, {"metric": "params", "known": False, "reference": "2M"}]},
    {"methods": [{"name": "darts", "label": "a"}, {"name": "darts", "label": "b", "alpha_lr": [1e-3, "1e-4"]}, "random"]},
    {"methods": [{"name": "darts", "handler": {"name": "penalty", "strength": "1e-1"}}], "budgets": {"params": ["10%"]}},
    {
        "methods": [
            {"name": "darts", "alpha_lr": {"log": [1e-4, 1e-2]}, "batch": {"int": [8, 64]}, "weight_clip": {"int": [1, 9]}}
        ],
        "sampler": "random",
        "trials": 7,
    },
    {"data": {"name": "fashion-mnist", "size": 14, "images": "12k"}},
    {"space": {"name": "darts-cnn", "operations": ["skip_connect", "sep_conv_7x7"], "nodes": 2}},
    {"protocol": {"name": "inherited", "batch": 32}, "methods": ["darts"], "decode": {"extra": 2}},
    {"workers": {"devices": [0, 1], "tasks_per_device": 2, "threads_per_task": 2}, "limits": {"hours": 0.5}},
    {"storage": "sqlite:///a.db", "artifacts": "file:///tmp/a"},
]


@pytest.mark.parametrize("changed", VARIANTS)
def test_the_resolved_form_reads_back_as_the_same_study(changed):
    config = study(**changed)
    stored = json.loads(json.dumps(config.to_json(), allow_nan=False))
    again = study_from(stored)
    assert again == config
    assert again.to_json() == stored


FULL = raw(
    seed=1,
    data={"name": "digits", "size": 8, "images": 500},
    space={"name": "darts-cnn", "nodes": 2, "operations": ["skip_connect", "sep_conv_3x3"]},
    final={"channels": [8, 16], "cells": [5]},
    objectives=["accuracy", {"metric": "params", "known": True, "reference": 5}],
    constraints=["macs<=5M"],
    methods=[{"name": "darts", "label": "a", "handler": {"name": "penalty", "strength": 2}, "alpha_lr": {"log": [1e-4, 1e-2]}}],
    budgets={"params": ["10%", {"lower": 5, "upper": "50%"}]},
    sampler={"name": "random"},
    trials=5,
    protocol={"name": "short", "epochs": 3},
    decode={"extra": 1},
    workers={"backend": "local", "devices": "auto", "tasks_per_device": 1},
    limits={"hours": 1},
    performance={"memory": "normal", "compile": False, "channels_last": "auto"},
    storage="sqlite:///a.db",
)
JUNK = [
    None,
    True,
    -1,
    0.5,
    10**400,
    float("nan"),
    "",
    "x",
    "1e-4",
    "30%",
    [],
    [None],
    [[1]],
    {},
    {"name": "x"},
    {"log": [1, 2]},
    {3: 4},
]


def replaced(value, junk):
    """Every copy of a tree of data in which one part, however deep, is junk."""
    yield junk
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        for part in replaced(value[key], junk):
            copy = value.copy()
            copy[key] = part
            yield copy


@pytest.mark.parametrize("junk", JUNK, ids=repr)
def test_junk_anywhere_is_a_mistake_of_the_file_or_a_study_that_can_be_stored(junk):
    assert study_from(FULL).trials == 5
    refused = 0
    for data in replaced(FULL, junk):
        try:
            config = study_from(data)
        except StudyFileError:
            refused += 1
        else:
            assert study_from(json.loads(json.dumps(config.to_json(), allow_nan=False))) == config
    assert refused > 20


def test_a_password_is_refused_wherever_it_stands_and_never_repeated():
    secret = "s3cr/et"
    url = f"postgresql+psycopg://me:{secret}@db.example/studies"
    for changed in (
        {"storage": url},
        {"storage": f"postgresql://db.example/studies?user=me&password={secret}"},
        {"artifacts": f"redis://:{secret}@cache"},
        {"methods": [{"name": "random", "label": f"see {url}"}]},
        {"data": {"name": "digits", "images": [[url]]}},
        {url: 1},
    ):
        with pytest.raises(StudyFileError) as caught:
            study(**changed)
        assert "holds a password; give the address by --storage or MOONAS_STORAGE instead" in str(caught.value)
        assert secret not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["sqlite:///a.db", "postgresql://db.example/studies", "postgresql://me@db.example:5432/studies", "s3://bucket/a:b/c"]
)
def test_an_address_without_a_password_is_accepted(url):
    assert study(storage=url).storage == url


def test_a_file_that_is_not_there_or_cannot_be_read_is_told(tmp_path):
    with pytest.raises(StudyFileError, match=r"nowhere\.yaml: no such file"):
        load_study(tmp_path / "nowhere.yaml")
    with pytest.raises(StudyFileError, match=r"cannot be read: .*directory"):
        load_study(tmp_path)
    Path(tmp_path / "latin.yaml").write_bytes(b"name: caf\xe9")
    with pytest.raises(StudyFileError, match=r"cannot be read: .*utf-8"):
        load_study(tmp_path / "latin.yaml")


def test_a_file_is_read_from_disk(tmp_path):
    (tmp_path / "study.yaml").write_text(json.dumps(raw(seed=4)), encoding="utf-8")
    assert load_study(tmp_path / "study.yaml") == study(seed=4)
