"""What a search starts from: looked up in another study once, and stored with the study that uses it."""

import pytest

from moonas import api
from moonas.errors import StudyFileError, UnknownStudyError, UsageError
from moonas.inner.distribution import CellDistribution
from moonas.outer.plan import Plan
from moonas.outer.warm_start import with_distributions
from moonas.store.store import Store
from moonas.study.loading import study_from

TINY = {
    "data": {"name": "digits", "images": 60},
    "space": {"name": "darts-cnn", "nodes": 1, "operations": ["skip_connect", "sep_conv_3x3"]},
    "search": {"channels": 2, "cells": 3},
    "final": {"channels": 2, "cells": 3},
    "objectives": ["accuracy", "params"],
    "protocol": {"name": "short", "epochs": 1},
    "workers": {"devices": "cpu", "tasks_per_device": 1},
}
SHORT = {"name": "parsec", "handler": "none", "epochs": 1, "warmup_epochs": 0, "samples": 2, "weight_samples": 2}


@pytest.fixture(scope="module")
def storage(tmp_path_factory):
    """A database in which the study `small` is complete."""
    url = f"sqlite:///{tmp_path_factory.mktemp('warm')}/moonas.db"
    api.run({**TINY, "name": "small", "methods": [{**SHORT, "logit_lr": 0.3}, "random"]}, url)
    return url


def large(**start) -> dict:
    warm = {**SHORT, "warm_start": {"study": "small", **start}}
    return {**TINY, "name": "large", "search": {"channels": 4, "cells": 4}, "methods": [warm]}


def test_a_search_starts_from_the_distribution_of_a_trial_and_needs_its_study_no_more(storage):
    api.run(large(), storage)
    with Store.open(storage, read_only=True) as store:
        source = store.tasks(store.study("small").id, kind="search", trial=0)[0].result["distribution"]
        record = store.study("large")
        assert record.config["methods"][0]["warm_start"]["distribution"] == source
        spec = store.tasks(record.id, kind="search")[0].spec
        assert spec["method"]["warm_start"]["distribution"] == source
        left = store.tasks(record.id, kind="search")[0].result["distribution"]
    space = Plan(study_from(large())).space
    before, after = CellDistribution(space), CellDistribution(space)
    before.start_from(source)
    after.start_from(left)
    drift = (before.probabilities() - after.probabilities()).abs().max()
    assert 0 < drift < 0.1  # a few steps from where it started
    assert (CellDistribution(space).probabilities() - after.probabilities()).abs().max() > 0.1
    stored = study_from(record.config)
    with Store.open(storage, read_only=True) as store:
        assert with_distributions(study_from(large()), store, stored) == stored
    api.delete_study("small", storage)
    assert api.run(large(), storage).state.value == "COMPLETE"  # the same file again, without the source


def test_a_start_that_is_not_there_is_refused_and_says_where(storage):
    with Store.open(storage) as store:
        with pytest.raises(UnknownStudyError, match=r"methods: parsec: warm_start: .*'nowhere'"):
            with_distributions(study_from(large(study="nowhere")), store)
        with pytest.raises(UsageError, match="warm_start: there is no trial 9"):
            with_distributions(study_from(large(study="large", trial=9)), store)


def test_what_is_wrong_in_a_start_is_said_at_its_place():
    with pytest.raises(StudyFileError, match=r"methods\[0\].warm_start.*trail"):
        study_from(large(trail=3))
