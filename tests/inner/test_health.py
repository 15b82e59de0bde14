"""Vitals of a search, its alarms, and the dominant eigenvalue, against hand calculation and known matrices."""

from types import SimpleNamespace

import pytest
import torch

from moonas.inner.expected_cost import ExpectedCost
from moonas.inner.health import Watch, dominant_eigenvalue, strongest, vitals
from moonas.skeleton import Skeleton
from moonas.spaces.costs import cost_table
from moonas.spaces.decode import Decoder
from moonas.spaces.space import make_space

SKELETON = Skeleton(channels=4, cells=3, input_shape=(1, 8, 8), classes=10)
WELL = {"skips": 0.25, "weightless": 0.5}


def certain(space, operation: str) -> SimpleNamespace:
    """A method that is sure of one operation on every edge."""
    column = space.operations.index(operation)
    probabilities = {name: torch.full(group.shape, 1e-9) for name, group in space.groups.items()}
    for matrix in probabilities.values():
        matrix[:, column] = 1 - 7e-9
    return SimpleNamespace(
        probabilities=lambda: probabilities,
        scores=lambda: {name: matrix.log() for name, matrix in probabilities.items()},
        slot_scores=lambda: None,
        shares=lambda: None,
        earlier_scores=list,
    )


def test_a_search_that_is_sure_of_skips_has_nothing_else():
    space = make_space({"name": "darts-cnn"})
    table = cost_table(space, SKELETON)
    decoder, method = Decoder(space, table), certain(space, "skip_connect")
    before = strongest(certain(space, "sep_conv_3x3"))
    found = vitals(space, decoder, ExpectedCost(space, table.columns(["params"])), method, before)
    assert found["skips"] == 1
    assert found["weightless"] == pytest.approx(1)
    assert found["entropy"] == pytest.approx(0, abs=1e-5)
    assert found["changes"] == 28
    # of a skip at stride 2: C * C weights and 2 C of batch norm, in the two reduction cells, of 8 and 16 channels
    reduction = 8 * 8 + 2 * 8 + 16 * 16 + 2 * 16
    assert found["decoded_params"] == table.fixed[0] + 8 * reduction  # ties take nodes 0 and 1, the cell's inputs
    # into a node with n edges come two from the inputs, each of them kept with a share of 2 / n
    assert found["expected_params"] == pytest.approx(table.fixed[0] + 2 * (2 / 2 + 2 / 3 + 2 / 4 + 2 / 5) * reduction)


def test_an_unchanged_ranking_counts_no_changes():
    space = make_space({"name": "darts-cnn", "nodes": 1})
    method = certain(space, "sep_conv_5x5")
    table = cost_table(space, SKELETON)
    found = vitals(space, Decoder(space, table), ExpectedCost(space, table.columns(["params"])), method, strongest(method))
    assert found["changes"] == 0
    assert found["skips"] == 0
    assert found["weightless"] == pytest.approx(0, abs=1e-6)


def watched(metrics: list[dict[str, float]], at_first: dict[str, float] = WELL) -> Watch:
    watch = Watch(at_first)
    for epoch, values in enumerate(metrics):
        watch.look(epoch, {**WELL, **values}, {"scores": {"normal": [[float(epoch)]]}, "slot_scores": None})
    return watch


def test_skips_on_more_than_half_of_the_edges_are_a_collapse_and_what_was_found_before_is_kept():
    collapse = watched([{}, {"skips": 0.5}, {"skips": 0.625}, {"skips": 1.0}, {}]).state["collapse"]
    assert (collapse["epoch"], collapse["before"]["scores"]) == (3, {"normal": [[1.0]]})
    assert "62%" in collapse["reason"]


def test_probability_that_gathers_on_operations_without_weights_is_a_collapse():
    assert watched([{"weightless": 0.7}]).state["collapse"] is None
    assert "without weights" in watched([{"weightless": 0.71}]).state["collapse"]["reason"]


def test_a_space_that_begins_beyond_a_limit_is_not_judged_by_it():
    assert watched([{"weightless": 0.9}], {"skips": 0.25, "weightless": 0.8}).state["collapse"] is None


def test_an_eigenvalue_that_grows_is_a_collapse_as_soon_as_the_averages_show_it():
    series = [1, 1, 1, 1, 1, 1, 1, 1, 1.5, 2, 2.5]
    # the last five average 1.1, 1.3 and 1.6 of the five that ended four measurements before
    assert watched([{"eigenvalue": value} for value in series[:10]]).state["collapse"] is None
    collapse = watched([{"eigenvalue": value} for value in series]).state["collapse"]
    assert collapse["epoch"] == 11
    assert "eigenvalue" in collapse["reason"]


@pytest.mark.parametrize(("eigenvalues", "expected"), [((1.0, 4.0, 0.5, 2.0), 4.0), ((-5.0, 3.0, 1.0), 3.0), ((0.0, 0.0), 0.0)])
def test_the_dominant_eigenvalue_of_a_quadratic_is_that_of_its_matrix(eigenvalues, expected):
    torch.manual_seed(0)
    size = len(eigenvalues)
    turn = torch.linalg.qr(torch.randn(size, size, dtype=torch.float64)).Q
    matrix = turn @ torch.diag(torch.tensor(eigenvalues, dtype=torch.float64)) @ turn.T
    leaf = torch.randn(size, dtype=torch.float64, requires_grad=True)
    before = leaf.detach().clone()
    found = dominant_eigenvalue(lambda: leaf @ matrix @ leaf / 2, [leaf])
    assert found == pytest.approx(expected, rel=0.01, abs=1e-9)
    assert torch.equal(leaf, before)
