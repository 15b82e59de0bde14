"""Settings of data sets: what a study file may say, checked without any data on disk."""

import pytest

from moonas import api
from moonas.study.data import training_fractions
from tests.study.files import complaints, raw, study

MINE = {"name": "image-folder", "root": "photos", "size": 64, "classes": 7}


def test_shape_and_classes_of_an_image_folder_are_its_settings():
    colour, grey = study(data=MINE), study(data={**MINE, "channels": 1})
    assert (colour.input_shape, colour.classes) == ((3, 64, 64), 7)
    assert grey.input_shape == (1, 64, 64)


@pytest.mark.parametrize("name", ["cifar100", "imagenet", MINE], ids=["cifar100", "imagenet", "image-folder"])
def test_a_study_is_planned_without_the_data_on_disk(name, monkeypatch):
    monkeypatch.setenv("MOONAS_DATA", "/nowhere")
    skeleton = {"channels": 8, "cells": 3, "stem": "imagenet"}
    assert api.validate(raw(data=name, search=skeleton, final=skeleton)).pairs


def test_an_image_folder_needs_a_place_a_size_and_a_number_of_classes():
    assert complaints(data="image-folder") == {f"data.{key}": "is missing" for key in ("root", "size", "classes")}


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("classes", 1, "greater than or equal to 2"),
        ("channels", 2, "must be 1 or 3"),
        ("augment", "crpo", "'shift' or 'crop'"),
        ("root", "", "at least 1 character"),
        ("clases", 3, "did you mean 'classes'?"),
    ],
)
def test_a_wrong_setting_of_an_image_folder_is_reported_at_its_place(setting, value, message):
    found = complaints(data={**MINE, setting: value})
    assert list(found) == [f"data.{setting}"]
    assert message in found[f"data.{setting}"]


@pytest.mark.parametrize(
    ("fractions", "message"),
    [
        ({"train_w": 0.1, "train_alpa": 0.2}, "did you mean 'train_alpha'?"),
        ({"test": 0.1}, "'test' is not a part of the training images"),
        ({"train_w": 0}, "train_w must be above 0 and at most 1, got 0"),
        ({"train_w": 1.5}, "train_w must be above 0 and at most 1, got 1.5"),
        ({"train_w": "some"}, "'some' is not a number"),
        (0.1, "expected parts with their fractions"),
        ({}, "expected parts with their fractions"),
        ({"train_w": 0.5, "train_alpha": 0.45, "valid": 0.1}, "train_w 0.5, train_alpha 0.45, valid 0.1"),
        # of CIFAR-10's 50,000 training images 22,500 are for train_alpha and 5,000 for valid
        ({"train_w": 0.5}, "train_w 0.5, train_alpha 0.45 unless named, valid 0.1 unless named"),
    ],
)
def test_fractions_that_cannot_be_are_refused(fractions, message):
    found = complaints(data={"name": "cifar10", "fractions": fractions})
    assert list(found) == ["data.fractions"]
    assert message in found["data.fractions"]


def test_fractions_may_use_up_every_image():
    assert complaints(data={"name": "cifar10", "fractions": {"train_w": 0.6, "train_alpha": 0.3}}) == {}


def test_fractions_and_images_exclude_each_other():
    assert "images" in complaints(data={"name": "cifar10", "fractions": {"train_w": "0.1"}, "images": 1000})["data.fractions"]


def test_parts_without_a_fraction_keep_their_shares():
    shares = (22_500, 22_500, 5_000, 10_000)
    assert training_fractions(shares, {"train_w": 0.1}) == pytest.approx((0.1, 0.45, 0.1))
    assert training_fractions(shares, {"valid": 0.05}) == pytest.approx((0.45, 0.45, 0.05))
