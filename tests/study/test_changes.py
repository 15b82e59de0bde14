"""What may change under a study's name: free, only with --extend, or not at all."""

import pytest

from moonas.study.changes import changes, scientific_hash
from tests.study.files import raw, study

BASE = {
    "methods": ["random", {"name": "darts", "alpha_lr": [1e-3, 1e-2]}],
    "budgets": {"params": ["10%", "1M"]},
    "replicates": 2,
    "constraints": ["macs<=5M"],
}


def kinds(new, old=None):
    """{path: kind} of every difference from the base study."""
    found = changes(study(**BASE, **(old or {})), study(**{**BASE, **new}))
    return {change.path: change.kind for change in found}


def test_an_equal_file_changes_nothing():
    assert kinds({}) == {}
    assert kinds({"budgets": {"params": ["10.0%", "1000k"]}, "constraints": ["flops <= 5e6"]}) == {}
    assert kinds({"sampler": "grid", "seed": 0, "protocol": {"name": "short", "epochs": 20}}) == {}


@pytest.mark.parametrize(
    ("new", "path"),
    [
        ({"storage": "sqlite:///b.db"}, "storage"),
        ({"artifacts": "elsewhere"}, "artifacts"),
        ({"limits": {"hours": 3}}, "limits.hours"),
        ({"limits": {"device_hours": 3}}, "limits.device_hours"),
        ({"workers": {"devices": "cpu"}}, "workers.devices"),
        ({"workers": {"tasks_per_device": 4}}, "workers.tasks_per_device"),
        ({"workers": {"max_attempts": 4}}, "workers.max_attempts"),
    ],
)
def test_where_and_how_long_a_study_runs_is_free(new, path):
    assert kinds(new) == {path: "free"}
    assert scientific_hash(study(**{**BASE, **new})) == scientific_hash(study(**BASE))


@pytest.mark.parametrize(
    ("new", "path"),
    [
        ({"budgets": {"params": ["10%", "40%", "1M"]}}, "budgets"),
        ({"budgets": {"params": ["1M", "10%", "geometric(1k, 4k, 3)"]}}, "budgets"),
        ({"methods": [*BASE["methods"], {"name": "darts", "label": "second"}]}, "methods"),
        ({"replicates": 3}, "replicates"),
    ],
)
def test_more_of_the_same_is_an_addition(new, path):
    assert kinds(new) == {path: "addition"}
    assert scientific_hash(study(**{**BASE, **new})) != scientific_hash(study(**BASE))


def test_more_trials_are_an_addition_and_fewer_are_refused():
    few, more = (study(**BASE, sampler="random", trials=trials) for trials in (5, 9))
    assert [(change.path, change.kind) for change in changes(few, more)] == [("trials", "addition")]
    assert [(change.path, change.kind) for change in changes(more, few)] == [("trials", "refused")]


@pytest.mark.parametrize(
    ("new", "path"),
    [
        ({"budgets": {"params": ["10%"]}}, "budgets"),
        ({"budgets": {"params": ["10%", "2M", "3M"]}}, "budgets"),
        ({"budgets": {"params": ["10%", "1M"], "macs": ["10%"]}}, "budgets"),  # crosses: the old ones are gone
        ({"budgets": None}, "budgets"),
        ({"methods": ["random"]}, "methods"),
        ({"methods": ["random", {"name": "darts", "alpha_lr": [1e-3, 1e-2, 1e-1]}]}, "methods"),
        ({"methods": ["random", {"name": "darts", "label": "other", "alpha_lr": [1e-3, 1e-2]}]}, "methods"),
        ({"replicates": 1}, "replicates"),
        ({"seed": 1}, "seed"),
        ({"data": {"name": "digits", "images": 500}}, "data.images"),
        ({"data": {"name": "fashion-mnist"}}, "data.name"),
        ({"space": {"name": "darts-cnn", "nodes": 3}}, "space.nodes"),
        ({"search": {"channels": 4, "cells": 3}}, "search.channels"),
        ({"final": {"channels": [8, 16], "cells": 5}}, "final.channels"),
        ({"objectives": ["accuracy", "macs"]}, "objectives"),
        ({"constraints": ["macs<=6M"]}, "constraints"),
        ({"constraints": None}, "constraints"),
        ({"protocol": {"name": "short", "epochs": 30}}, "protocol.epochs"),
        ({"decode": {"extra": 1}}, "decode.extra"),
        ({"workers": {"threads_per_task": 2}}, "workers.threads_per_task"),  # changes the last digits
    ],
)
def test_whatever_results_depend_on_is_refused(new, path):
    assert kinds(new) == {path: "refused"}
    assert scientific_hash(study(**{**BASE, **new})) != scientific_hash(study(**BASE))


def test_every_difference_is_told_with_its_values():
    new = {"seed": 7, "replicates": 3, "limits": {"hours": 2}, "protocol": {"name": "short", "lr": 0.1, "epochs": 5}}
    found = changes(study(**BASE), study(**{**BASE, **new}))
    assert {(change.path, change.old, change.new, change.kind) for change in found} == {
        ("replicates", 2, 3, "addition"),
        ("limits.hours", None, 2.0, "free"),
        ("protocol.epochs", 20, 5, "refused"),
        ("protocol.lr", 0.05, 0.1, "refused"),
        ("seed", 0, 7, "refused"),
    }
    assert "seed: 0 -> 7" in map(str, found)


def test_the_hash_does_not_depend_on_how_the_file_is_written():
    ordered = study(**BASE)
    assert scientific_hash(ordered) == scientific_hash(study(**dict(reversed(raw(**BASE).items()))))
