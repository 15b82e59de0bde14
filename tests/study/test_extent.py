"""How much a study file may ask for."""

import time

import pytest

from tests.study.files import complaints

WIDE = {"channels": [4, 8], "cells": [3, 5]}
LEVELS = [f"{number}k" for number in range(1, 23)]


def test_budgets_and_sizes_multiply_up_to_a_bound():
    assert complaints(budgets={"params": LEVELS, "macs": LEVELS}, final=WIDE) == {}  # 22 · 22 · 2 · 2 = 1,936
    crossed = complaints(budgets={"params": LEVELS, "macs": [*LEVELS, "none"]}, final=WIDE)
    assert crossed == {"budgets": "2,024 budgets, each size of the final network counted, are more than 2,000"}


def test_a_grid_has_a_bound_and_a_sampler_that_draws_has_none():
    ranges = {name: {"log": [1e-4, 1e-2]} for name in ("alpha_lr", "weight_lr", "alpha_decay", "weight_decay")}
    asked = {"methods": [{"name": "darts", "label": "wide", **ranges}], "budgets": {"params": ["30%", "70%"]}}
    assert complaints(**asked, replicates=617) == {}  # 3^4 · 2 · 617 = 99,954
    told = complaints(**asked, replicates=618)["sampler"]
    assert told.startswith("a grid of 100,116 trials, 81 settings of wide among them, is more than 100,000")
    assert complaints(**asked, replicates=618, sampler="tpe", trials=50) == {}


@pytest.mark.parametrize("channels", [{"int": [1, 10**12]}, {"int": [10**11, 10**12]}])
def test_an_endless_range_of_channels_is_refused_at_once(channels):
    before = time.process_time()
    told = complaints(methods=[{"name": "pc-darts", "channel_divisor": channels}])
    assert "does not divide" in told["methods[0].channel_divisor"]
    assert time.process_time() - before < 2
