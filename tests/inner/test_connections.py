"""Connection cells in the search network: against the network without them, against derived networks, and in whole searches."""

from dataclasses import replace

import pytest
import torch

from moonas.data.dataset import load_data
from moonas.inner.search import Search
from moonas.inner.supernets.fused import FusedSupernet
from moonas.inner.supernets.supernet import Mixture, Path
from moonas.networks.connections import make_connection
from moonas.networks.network import build
from moonas.skeleton import Skeleton
from moonas.spaces.space import make_space
from moonas.specs import SearchSpec
from tests.inner.paths import with_weights_of
from tests.inner.test_fused import CLOSE, images, mixture, run

SKELETON = Skeleton(channels=8, cells=5, input_shape=(3, 9, 8), classes=10)
SETTINGS = {"name": "darts-cnn", "nodes": 2, "operations": ["none", "skip_connect", "sep_conv_3x3"]}
SPACE = make_space({**SETTINGS, "connections": True})


def searched(skeleton: Skeleton = SKELETON) -> FusedSupernet:
    torch.manual_seed(0)
    return FusedSupernet(SPACE, skeleton).double()


@pytest.mark.parametrize(
    "skeleton", [SKELETON, replace(SKELETON, stem="imagenet", input_shape=(3, 33, 40))], ids=["cifar", "imagenet"]
)
def test_certain_1x1_convolutions_give_the_network_without_connection_cells(skeleton):
    space = make_space(SETTINGS)
    net, usual = searched(skeleton), FusedSupernet(space, skeleton).double()
    for own, cell in zip(usual.cells, net.cells, strict=True):
        for module, connection in zip(own.preprocess, cell.connections, strict=True):
            module.load_state_dict(connection[0].state_dict())
        own.operations.load_state_dict(cell.operations.state_dict())
    for part in ("stem", "classifier"):
        getattr(usual, part).load_state_dict(getattr(net, part).state_dict())
    chosen = mixture(SPACE).weights
    certain = {name: matrix if name in space.groups else torch.eye(matrix.shape[1]).double()[:1] for name, matrix in chosen.items()}
    x = images(skeleton)
    out, expected = net(x, Mixture(certain)), usual(x, Mixture({name: chosen[name] for name in space.groups}))
    torch.testing.assert_close(out, expected, **CLOSE)


def test_a_mixture_of_connections_is_the_weighted_sum_of_its_candidates():
    net = searched()
    cell = net.cells[2]
    x = torch.randn(2, cell.connections[1][0][1].in_channels, 9, 8, dtype=torch.float64)
    weights = torch.tensor([[0.2, 0.5, 0.3]], dtype=torch.float64)
    expected = 0.2 * cell.connections[1][0](x) + 0.5 * cell.connections[1][1](x) + 0.3 * cell.connections[1][2](x)
    torch.testing.assert_close(cell.connections[1](x, Mixture({"normal.input1": weights})), expected, **CLOSE)


def test_gradients_reach_every_choice_of_a_connection():
    _, gradients, _ = run(searched(), images(SKELETON), mixture(SPACE))
    assert len(SPACE.groups) == 6
    assert all(gradient.abs().min() > 0 for gradient in gradients[-4:])


@pytest.mark.parametrize("seed", range(4))
def test_a_derived_network_equals_its_path_with_the_same_weights(seed):
    generator = torch.Generator().manual_seed(seed)
    options = [slot.options[int(torch.randint(len(slot.options), (), generator=generator))] for slot in SPACE.slots()]
    architecture, net = SPACE.architecture(options), searched()
    derived = with_weights_of(net, build(architecture, SKELETON), architecture)
    torch.testing.assert_close(derived(images(SKELETON)), net(images(SKELETON), Path(architecture)), **CLOSE)


def test_a_grouped_convolution_mixes_its_groups_over_two_cells():
    """One image channel alone, of the first group, reaches channels of every group."""
    plan = SPACE.cells(SKELETON)[1]
    module = make_connection("grouped_conv_1x1", plan, 1, affine=False)[1]
    x = torch.zeros(1, module.convolution.in_channels, 1, 1)
    x[0, 0] = 1
    reached = module(x).flatten().nonzero().flatten() // (plan.channels // 4)
    assert reached.unique().tolist() == list(range(4))


@pytest.mark.parametrize(
    ("method", "handler"),
    [
        ("darts", "none"),
        ("darts", "penalty"),
        ("rc-darts", "projection"),
        ("pc-darts", "none"),
        ("parsec", "none"),
        ("random-shared", "none"),
    ],
)
def test_whole_searches_choose_connections_within_the_budget(method, handler):
    final = Skeleton(channels=8, cells=3, input_shape=(1, 8, 8), classes=10)
    spec = SearchSpec(
        seed=0,
        replicate=0,
        data={"name": "digits", "images": 80},
        space={**SETTINGS, "connections": True},
        skeleton=replace(final, channels=4),
        final=final,
        budget={"params": {"upper": 8000}},
        method={"name": method, "epochs": 1, "batch": 24, **({"warmup_epochs": 0} if "darts" in method else {})},
        handler={"name": handler},
    )
    search = Search(spec, load_data(spec.data, spec.seed))
    health = search.run_epoch(0)
    assert set(search.scores()) == set(SPACE.groups)
    assert health["decoded_params"] <= 8000
    if handler == "projection":
        assert health["expected_params"] <= 8000 * (1 + 1e-5)
