"""What must hold between the parts of a study file."""

import pytest

from moonas.errors import Problem
from moonas.study.checks import check_parts
from moonas.study.loading import study_from
from moonas.study.method_settings import RandomConfig
from moonas.study.methods import MethodEntry
from moonas.study.validation import Place
from moonas.study.variants import Method, Named
from tests.study.files import complaints, study


def test_objectives_are_needed_and_differ():
    assert complaints(objectives=[]) == {"objectives": "expected at least one, such as [accuracy, params]"}
    assert complaints(objectives=["accuracy", "flops", "macs"]) == {"objectives": "macs stands more than once"}
    assert complaints(objectives=["accuracy"]) == {}


def test_method_variants_are_told_apart_by_their_labels():
    assert complaints(methods=[]) == {"methods": "expected at least one, such as [random, darts]"}
    twice = complaints(methods=["darts", {"name": "darts", "alpha_lr": 0.1}])
    assert twice == {"methods[1]": "'darts' stands more than once; give one of them a `label`"}
    assert complaints(methods=["darts", {"name": "darts", "label": "fast"}]) == {}
    assert list(complaints(methods=["darts", {"name": "random", "label": "darts"}])) == ["methods[1]"]


def test_a_method_must_search_the_space_and_work_with_the_handler(monkeypatch):
    elsewhere = MethodEntry(config=RandomConfig, load="a:b", spaces=("nas-bench-201",), handlers=("none",))
    space = study().space
    monkeypatch.setattr(Method, "entry", property(lambda self: elsewhere))
    problems: list[Problem] = []
    method = Method("walk", "walk", Named("penalty", None), {}, {})
    check_parts({"methods": (method,), "space": space}, Place(problems))
    assert [str(problem) for problem in problems] == [
        "methods[0]: walk does not search 'darts-cnn'; it searches: nas-bench-201",
        "methods[0].handler: walk does not work with 'penalty'; it works with: none",
    ]


def test_a_pair_of_method_and_handler_that_does_not_exist_is_refused():
    told = complaints(methods=[{"name": "random", "handler": "penalty"}], budgets={"params": ["10%"]})
    assert told == {"methods[0].handler": "random does not work with 'penalty'; it works with: none"}


@pytest.mark.parametrize(
    ("changed", "sound"),
    [
        ({}, False),
        ({"budgets": {"params": ["none"]}}, False),
        ({"constraints": ["accuracy>=0.5"]}, False),
        ({"budgets": {"params": ["none", "10%"]}}, True),
        ({"budgets": {"macs": [{"upper": "90%"}]}}, True),
        ({"constraints": ["macs<=5M"]}, True),
    ],
)
def test_a_handler_that_works_on_a_budget_needs_a_bounded_cost(changed, sound):
    told = complaints(methods=[{"name": "darts", "handler": "penalty"}], **changed)
    assert list(told) == ([] if sound else ["methods[0].handler"])


@pytest.mark.parametrize(
    ("settings", "sound"),
    [
        ({"epochs": 5, "warmup_epochs": 4}, True),
        ({"epochs": 5, "warmup_epochs": 5}, False),
        ({"warmup_epochs": 50}, False),  # of the paper's 50
        ({"epochs": [5, 50], "warmup_epochs": 10}, False),
        ({"epochs": [20, 50], "warmup_epochs": [0, 10]}, True),
        ({"epochs": 10, "warmup_epochs": [0, 10]}, False),
    ],
)
def test_warm_up_leaves_epochs_to_search_in(settings, sound):
    told = complaints(methods=[{"name": "darts", **settings}])
    assert list(told) == ([] if sound else ["methods[0].warmup_epochs"])


def test_inherited_accuracy_needs_a_method_that_trains_a_search_network():
    told = complaints(protocol="inherited")
    assert told == {"methods[0]": "random trains no search network, so the protocol 'inherited' has nothing to read"}
    assert complaints(protocol="inherited", methods=["darts"]) == {}


def test_a_sampler_without_an_end_of_its_own_needs_a_number_of_trials():
    assert complaints(sampler="random") == {"trials": "is missing: the sampler 'random' needs a number of trials"}
    assert complaints(sampler="random", trials=5) == {}
    assert complaints(sampler="grid", trials=5) == complaints(sampler="grid") == {}


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        ({}, {}),
        ({"channel_divisor": [2, 4, 8]}, {}),
        ({"channel_divisor": 3}, {"channel_divisor": "3 does not divide the 8 channels of the first cells; these do: 1, 2, 4, 8"}),
        (
            {"channel_divisor": [4, 16]},
            {"channel_divisor": "16 does not divide the 8 channels of the first cells; these do: 1, 2, 4, 8"},
        ),
        (
            {"channel_divisor": {"int": [1, 4]}},
            {"channel_divisor": "3 does not divide the 8 channels of the first cells; these do: 1, 2, 4, 8"},
        ),
        ({"side": "conv1x1", "side_groups": [2, 3]}, {}),
        (
            {"side": ["none", "conv1x1"], "side_groups": 4},
            {"side_groups": "4 does not divide the 6 channels that bypass the operations"},
        ),
        (
            {"side": "conv1x1", "channel_divisor": 1},
            {"side": "needs channels that bypass the operations: a channel_divisor above 1"},
        ),
    ],
    ids=str,
)
def test_partial_channels_must_fit_the_cells_of_the_search_network(settings, wrong):
    told = complaints(methods=[{"name": "pc-darts", **settings}], search={"channels": 8, "cells": 3})
    assert told == {f"methods[0].{setting}": message for setting, message in wrong.items()}


def test_the_imagenet_stem_needs_even_widths():
    told = complaints(
        search={"channels": 5, "cells": 3, "stem": "imagenet"}, final={"channels": [8, 9], "cells": 5, "stem": "imagenet"}
    )
    assert set(told) == {"search.channels", "final.channels"}
    assert complaints(search={"channels": 6, "cells": 3, "stem": "imagenet"}, final={"channels": [9], "cells": 5}) == {}


def test_compiling_goes_neither_with_low_memory_nor_with_drop_path():
    told = complaints(performance={"compile": True, "memory": "low"})
    assert "memory: low" in told["performance.compile"]
    told = complaints(performance={"compile": True}, protocol={"name": "short", "drop_path": 0.2})
    assert "drop_path" in told["performance.compile"]
    assert complaints(performance={"compile": True}, protocol={"name": "short"}) == {}
    assert complaints(performance={"memory": "low"}, protocol={"name": "short", "drop_path": 0.2}) == {}


def test_a_mistake_in_one_part_does_not_hide_those_between_others():
    told = complaints(data="digitz", objectives=["macs", "macs"], protocol="inherited")
    assert set(told) == {"data.name", "objectives", "methods[0]"}


def tnd(**handler) -> dict:
    return {"space": "tnd-cnn", "methods": [{"name": "tnd-nas", "handler": {"name": "reward", **handler}}]}


def test_a_reward_needs_a_budget_or_references_of_its_own():
    assert "works on a budget" in complaints(**tnd())["methods[0].handler"]
    assert complaints(**tnd(references={"params": "2M"})) == {}
    assert complaints(**tnd(), budgets={"params": ["30%"]}) == {}


def test_a_reward_names_costs_that_are_known_of_a_sampled_network():
    path = "methods[0].handler"
    told = complaints(**tnd(references={"accuracy": 1, "flops": "2M"}))
    assert [text for place, text in told.items() if place.startswith(f"{path}.references.accuracy")] == [
        "accuracy is not known of a sampled network; known: params, macs, predicted_latency_us, predicted_energy_uj"
    ]
    predicted = complaints(**tnd(references={"predicted_latency_us": 900}))
    assert predicted == {
        f"{path}.references": "predicted_latency_us is read off a device table: give the study one in `device_tables`"
    }
    assert list(complaints(**tnd(references={"params": 0}))) == [f"{path}.references.params"]


def test_a_reward_s_settings_survive_being_stored():
    settings = {"references": {"flops": "2M"}, "exponents": {"params": 0.5}, "one_sided": True}
    config = study(**tnd(**settings), budgets={"params": ["30%"]})
    assert config.methods[0].handler.settings.references == {"macs": 2e6}
    assert study_from(config.to_json()) == config
