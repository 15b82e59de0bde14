"""Architecture and Skeleton as data: identity, JSON, and the community's Genotype text."""

import json

import pytest

from moonas.architecture import Architecture
from moonas.errors import ArchitectureError, SkeletonError
from moonas.skeleton import Skeleton

DARTS_V2 = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 1), "
    "('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], normal_concat=[2, 3, 4, 5], reduce=[('max_pool_3x3', 0), "
    "('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), "
    "('max_pool_3x3', 1)], reduce_concat=range(2, 6))"
)


def test_genotype_text_round_trips() -> None:
    architecture = Architecture.from_genotype(DARTS_V2)
    assert architecture.groups["normal"][4:6] == ((4, 0, "skip_connect"), (4, 1, "sep_conv_3x3"))
    assert architecture.concat["reduce"] == (2, 3, 4, 5)
    assert Architecture.from_genotype(architecture.to_genotype()) == architecture


def test_the_order_inside_a_pair_does_not_matter() -> None:
    swapped = DARTS_V2.replace("('sep_conv_3x3', 1), ('skip_connect', 0)", "('skip_connect', 0), ('sep_conv_3x3', 1)")
    assert swapped != DARTS_V2
    assert Architecture.from_genotype(swapped) == Architecture.from_genotype(DARTS_V2)
    assert Architecture.from_genotype(swapped).key == Architecture.from_genotype(DARTS_V2).key


def test_json_round_trips_as_data_and_as_text() -> None:
    architecture = Architecture.from_genotype(DARTS_V2)
    assert Architecture.from_json(architecture.to_json()) == architecture
    assert Architecture.from_json(json.dumps(architecture.to_json())) == architecture
    assert hash(Architecture.from_json(architecture.to_json())) == hash(architecture)


def test_another_operation_is_another_key() -> None:
    other = DARTS_V2.replace("dil_conv_3x3", "dil_conv_5x5")
    assert Architecture.from_genotype(other).key != Architecture.from_genotype(DARTS_V2).key


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "Genotype(normal=__import__('os'), normal_concat=range(2, 6))",
        "Genotype(normal=[('a', 0)] * 9, normal_concat=[2])",
        "Genotype(normal=[('a', 0), ('b', 1), ('c', 0)], normal_concat=[2])",
        "Genotype(normal=[('a', 0), ('b', 1)])",
        "Genotype(normal=[('a', 0), ('b', 1)], normal_concat=range(10**9))",
        "Genotype(",
        "",
        "(" * 10_000,
    ],
)
def test_text_that_is_not_a_genotype_is_refused_and_never_run(text: str) -> None:
    with pytest.raises(ArchitectureError):
        Architecture.from_genotype(text)


@pytest.mark.parametrize(
    "data",
    [
        "{",
        [],
        {"space": 3, "groups": {}},
        {"space": "darts-cnn", "groups": {"normal": [[2, 0]]}},
        {"space": "darts-cnn", "groups": {"normal": [[2, "0", "skip_connect"]]}},
        {"space": "darts-cnn", "groups": {}, "concat": {"normal": "25"}},
        {"space": "darts-cnn", "groups": {}, "extra": 1},
        {"space": "darts-cnn", "groups": {}, "format": 99},
    ],
)
def test_json_that_is_not_an_architecture_is_refused(data: object) -> None:
    with pytest.raises(ArchitectureError):
        Architecture.from_json(data)  # type: ignore[arg-type]


def test_skeleton_round_trips_through_its_keyword_arguments() -> None:
    skeleton = Skeleton(channels=36, cells=20, input_shape=(3, 32, 32), classes=10)
    assert Skeleton(**json.loads(json.dumps(skeleton.to_json()))) == skeleton


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"channels": 0}, "channels must be a positive integer"),
        ({"stem": "cifr"}, "did you mean 'cifar'"),
        ({"input_shape": (3, 32)}, "input_shape"),
        ({"stem": "imagenet", "channels": 15}, "even"),
    ],
)
def test_a_skeleton_that_cannot_be_says_why(change: dict[str, object], words: str) -> None:
    fields = {"channels": 16, "cells": 8, "input_shape": (3, 32, 32), "classes": 10, **change}
    with pytest.raises(SkeletonError, match=words):
        Skeleton(**fields)  # type: ignore[arg-type]


def test_an_architecture_without_genotype_text_is_given_as_json():
    architecture = Architecture("darts-cnn", {"normal": [(2, 0, "skip_connect")]}, {"normal": (2,)})
    assert Architecture.from_json(architecture.to_text()) == architecture
