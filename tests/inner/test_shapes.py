"""Cells of another shape than DARTS's: any number of inputs, preprocessed or not, some of the nodes as output, empty nodes."""

import pytest
import torch

from moonas.inner.supernets.fused import FusedSupernet
from moonas.inner.supernets.supernet import Path
from moonas.networks.network import Network
from moonas.skeleton import Skeleton
from moonas.study.spaces import SPACES
from tests.inner.paths import with_weights_of
from tests.inner.plain import PlainSupernet
from tests.inner.shapes import ENTRY, ThreeConvolutions, ThreeInputs
from tests.inner.test_fused import CLOSE, images, mixture, run

SKELETON = Skeleton(space="three-inputs", channels=4, cells=3, input_shape=(1, 8, 6), classes=5)
SEPARABLE, POOL, SKIP = "sep_conv_3x3", "max_pool_3x3", "skip_connect"
FULL = (SEPARABLE, POOL, SKIP, SEPARABLE, SKIP, SEPARABLE, POOL, SEPARABLE)
EMPTY_MIDDLE = ("none", "none", SKIP, SEPARABLE, SEPARABLE, SKIP, POOL, SKIP)  # nothing leads to node 3
EMPTY_OUTPUT = (SEPARABLE, POOL, SKIP, SEPARABLE, SKIP, SEPARABLE, "none", "none")  # nothing leads to node 6


@pytest.fixture(params=[(6,), (4, 6)], ids=["not preprocessed", "preprocessed"])
def space(request, monkeypatch):
    monkeypatch.setitem(SPACES._entries, "three-inputs", ENTRY)
    return ThreeInputs(request.param)


def pair(space):
    """(plain, fused) with the same weights, in float64."""
    torch.manual_seed(0)
    plain = PlainSupernet(space, SKELETON, ThreeConvolutions(SKELETON)).double()
    fused = FusedSupernet(space, SKELETON).double()
    fused.load_state_dict(plain.state_dict())
    return plain, fused


@pytest.mark.parametrize("operations", [None, FULL, EMPTY_MIDDLE, EMPTY_OUTPUT])
def test_the_search_network_equals_the_plain_one_with_gradients_and_statistics(space, operations):
    choice = Path(space.architecture(operations)) if operations else mixture(space)
    expected, found = (run(net, images(SKELETON), choice) for net in pair(space))
    torch.testing.assert_close(found, expected, **CLOSE)


@pytest.mark.parametrize("operations", [FULL, EMPTY_MIDDLE, EMPTY_OUTPUT])
def test_the_derived_network_equals_the_path_with_the_same_weights(space, operations):
    """Pools have no batch norm in derived networks, so that they stand in for skips here."""
    architecture = space.architecture([SKIP if name == POOL else name for name in operations])
    _, searched = pair(space)
    derived = with_weights_of(searched, Network(architecture, SKELETON, space.cells(SKELETON)), architecture)
    x = images(SKELETON)
    torch.testing.assert_close(derived(x), searched(x, Path(architecture)), **CLOSE)


def test_none_costs_nothing_in_a_derived_network(space):
    derived = Network(space.architecture(["none"] * 7 + [SKIP]), SKELETON, space.cells(SKELETON))
    assert [len(cell.operations) for cell in derived.cells] == [1, 1, 1]
    assert derived(torch.randn(2, 1, 8, 6)).shape == (2, 5)
