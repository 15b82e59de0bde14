"""Partial channels: the fused supernet against the plain one in float64, and what the published description implies."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.functional import jacobian
from torch.utils.flop_counter import FlopCounterMode

from moonas.inner.supernets.fused import FusedSupernet
from moonas.inner.supernets.partial import PartialEdge, Shuffled
from moonas.inner.supernets.supernet import Choice, Mixture, Path
from moonas.inner.updates import resting
from moonas.seeds import stream
from moonas.skeleton import Skeleton
from moonas.spaces.space import Space, make_space
from moonas.study.partial import Partial
from tests.inner.plain import PlainSupernet
from tests.inner.plain_partial import PlainPartialSupernet
from tests.inner.test_fused import CLOSE, architecture_leaves, images, mixture, run

SMALL = Skeleton(channels=8, cells=3, input_shape=(1, 8, 8), classes=10)
LARGE = replace(SMALL, input_shape=(1, 18, 17))  # where operations may work at half the resolution
CIFAR = Skeleton(channels=16, cells=8, input_shape=(3, 32, 32), classes=10)
JOURNAL = {"side": "conv1x1", "downsample": True}


@pytest.fixture(scope="module")
def space() -> Space:
    return make_space({"name": "darts-cnn", "nodes": 2})


def weighted(space: Space, seed: int = 0) -> Mixture:
    """Weights of operations and factors of edges."""
    generator = torch.Generator().manual_seed(seed)
    factors = {name: torch.rand(len(g.edges), dtype=torch.float64, generator=generator) for name, g in space.groups.items()}
    return replace(mixture(space, seed), edges={name: factor.requires_grad_() for name, factor in factors.items()})


def pair(space: Space, skeleton: Skeleton, partial: Partial) -> tuple[PlainPartialSupernet, FusedSupernet]:
    """(plain, fused) with the same weights, in float64; scales of side operations are not 0."""
    torch.manual_seed(0)
    plain, fused = PlainPartialSupernet(space, skeleton, partial).double(), FusedSupernet(space, skeleton, partial).double()
    for name, parameter in plain.named_parameters():
        if name.endswith("scale"):
            nn.init.normal_(parameter)
    fused.load_state_dict(plain.state_dict(), strict=fused.draws is None)
    return plain, fused


def read_channels(fused: FusedSupernet):
    """What the plain network needs to read the same channels as the next pass of the fused one."""
    draw = copy.deepcopy(fused.draws).next()
    drawn = []
    for number, cell in enumerate(fused.cells):
        generator = torch.Generator().manual_seed(stream(draw, number))
        drawn.append([edge.draw(generator)[: edge.sizes[0]] for edge in cell.partial_edges])
    return lambda cell, edge: drawn[cell][edge]


def assert_equal_runs(space: Space, skeleton: Skeleton, partial: Partial, choice: Choice, train: bool = True) -> None:
    plain, fused = (net.train(train) for net in pair(space, skeleton, partial))
    plain.taken = None if fused.draws is None else read_channels(fused)
    (out, gradients, state), (found, found_gradients, found_state) = (run(net, images(skeleton), choice) for net in (plain, fused))
    torch.testing.assert_close(found, out, **CLOSE)
    for gradient, expected in zip(found_gradients, gradients, strict=True):
        torch.testing.assert_close(gradient, expected, **CLOSE)
    for name, expected in state.items():
        torch.testing.assert_close(found_state[name], expected, **CLOSE)


@pytest.mark.parametrize("divisor", [1, 2, 4, 8])
@pytest.mark.parametrize("settings", [{}, {"downsample": True}, {"side": "conv1x1"}, {**JOURNAL, "side_groups": 2}], ids=str)
def test_a_mixture_equals_the_plain_one_with_its_gradients_and_statistics(space, divisor, settings):
    if divisor == 1:
        settings = {name: value for name, value in settings.items() if "side" not in name}
    skeleton = replace(LARGE, channels=16 if "side_groups" in settings else 8)
    assert_equal_runs(space, skeleton, Partial(channel_divisor=divisor, **settings), weighted(space))


@pytest.mark.parametrize(
    "skeleton",
    [
        replace(SMALL, channels=64, input_shape=(2, 3, 5)),
        replace(SMALL, cells=5, input_shape=(1, 7, 9)),
        replace(SMALL, stem="imagenet", input_shape=(3, 31, 40)),
        replace(SMALL, stem="imagenet", input_shape=(3, 130, 136)),
    ],
    ids=str,
)
@pytest.mark.parametrize("settings", [{}, JOURNAL], ids=str)
def test_every_shape_is_equal_too(space, skeleton, settings):
    assert_equal_runs(space, skeleton, Partial(channel_divisor=4, **settings), weighted(space))


@pytest.mark.parametrize("divisor", [1, 2, 8])
@pytest.mark.parametrize("settings", [{}, JOURNAL], ids=str)
def test_random_channels_equal_the_plain_ones(space, divisor, settings):
    settings = settings if divisor > 1 else {}
    partial = Partial(channel_divisor=divisor, sampling="random", **settings)
    assert_equal_runs(space, LARGE, partial, weighted(space))


@pytest.mark.parametrize("sampling", ["shuffle", "random"])
def test_in_evaluation_mode_running_statistics_normalise(space, sampling):
    assert_equal_runs(space, LARGE, Partial(sampling=sampling, **JOURNAL), weighted(space), train=False)


@pytest.mark.parametrize("train", [True, False])
def test_a_path_adds_up_its_edges_with_their_bypasses(space, train):
    path = Path(space.architecture([slot.options[17] for slot in space.slots()]))
    assert_equal_runs(space, LARGE, Partial(**JOURNAL), path, train)


def test_a_mixture_without_factors_gives_every_edge_the_factor_one(space):
    _, fused = pair(space, SMALL, Partial())
    ones = {name: torch.ones(len(group.edges), dtype=torch.float64) for name, group in space.groups.items()}
    for net in (fused, FusedSupernet(space, SMALL).double()):
        torch.testing.assert_close(
            net(images(SMALL), mixture(space)), net(images(SMALL), replace(mixture(space), edges=ones)), **CLOSE
        )


def test_two_updates_and_a_frozen_pass_leave_the_statistics_of_the_plain_one(space):
    plain, fused = pair(space, LARGE, Partial(**JOURNAL))
    for net in (plain, fused):
        for seed in (0, 1):
            net(images(LARGE), weighted(space, seed))
        with net.frozen_statistics():
            net(images(LARGE), weighted(space, 5))
    torch.testing.assert_close(fused.state_dict(), plain.state_dict(), **CLOSE)


def test_architecture_gradients_do_not_need_those_of_the_weights(space):
    _, fused = pair(space, LARGE, Partial(**JOURNAL))
    choice, x = weighted(space), images(LARGE)
    whole = torch.autograd.grad(fused(x, choice).square().sum(), architecture_leaves(choice))
    with resting(fused.weights()):
        alone = torch.autograd.grad(fused(x, choice).square().sum(), architecture_leaves(choice))
    torch.testing.assert_close(alone, whole, **CLOSE)


def test_with_all_channels_and_even_edges_it_is_darts_with_every_edge_divided_by_their_number(space):
    torch.manual_seed(0)
    plain, fused = PlainSupernet(space, SMALL).double(), FusedSupernet(space, SMALL, Partial(channel_divisor=1)).double()
    fused.load_state_dict(plain.state_dict())
    share = torch.tensor([1 / 2, 1 / 2, 1 / 3, 1 / 3, 1 / 3], dtype=torch.float64)
    choice = mixture(space)
    darts = plain(images(SMALL), Mixture({name: matrix * share[:, None] for name, matrix in choice.weights.items()}))
    even = fused(images(SMALL), replace(choice, edges=dict.fromkeys(space.groups, share)))
    torch.testing.assert_close(even, darts, **CLOSE)


@pytest.mark.parametrize(
    ("divisor", "parameters", "macs"), [(2, 671_482, 115_272_192), (4, 299_578, 56_596_992), (8, 178_042, 35_713_536)]
)
def test_the_search_network_has_the_known_size(divisor, parameters, macs):
    darts = make_space({"name": "darts-cnn"})
    with torch.device("meta"):
        net = FusedSupernet(darts, CIFAR, Partial(channel_divisor=divisor)).eval()
        even = Mixture({name: torch.ones(group.shape) for name, group in darts.groups.items()})
        with FlopCounterMode(display=False) as counter:
            net(torch.empty(1, 3, 32, 32), even)
    assert sum(weight.numel() for weight in net.weights()) == parameters
    assert counter.get_total_flops() == 2 * macs


@pytest.mark.parametrize("groups", [1, 7])
def test_a_side_operation_adds_a_convolution_and_a_scale_per_edge(groups):
    darts = make_space({"name": "darts-cnn"})
    sizes = []
    for side in ("none", "conv1x1"):
        with torch.device("meta"):
            net = FusedSupernet(darts, CIFAR, Partial(channel_divisor=8, side=side, side_groups=groups))
        sizes.append(sum(weight.numel() for weight in net.weights()))
    # two cells of 16, three of 32, three of 64 channels, 14 edges each; 7/8 of the channels bypass the operations
    assert sizes[1] - sizes[0] == 14 * sum(count * ((7 * c // 8) ** 2 // groups + 1) for count, c in ((2, 16), (3, 32), (3, 64)))


def test_the_shuffle_deals_the_channels_of_the_parts_in_turn():
    x = torch.arange(8.0).view(1, 8, 1, 1)
    assert Shuffled.apply(x[:, :2], x[:, 2:], 4).flatten().tolist() == [0, 2, 4, 6, 1, 3, 5, 7]
    edge = PartialEdge(Partial(channel_divisor=4), channels=8, stride=1)
    assert edge(x, lambda taken: taken).flatten().tolist() == [0, 2, 4, 6, 1, 3, 5, 7]
    assert Shuffled.apply(*Shuffled.apply(x[:, :2], x[:, 2:], 4).split([4, 4], dim=1), 2).flatten().tolist() == list(range(8))


@pytest.mark.parametrize("order", [None, torch.tensor([2, 5, 0, 1, 3, 4, 6, 7])])
def test_bypassing_channels_pass_unchanged_and_apart(order):
    edge = PartialEdge(Partial(channel_divisor=4), channels=8, stride=1).double()
    x = torch.randn(1, 8, 2, 2, dtype=torch.float64)
    matrix = jacobian(lambda x: edge(x, torch.zeros_like, order), x).reshape(32, 32)
    read = [0, 1] if order is None else [2, 5]
    columns = matrix.sum(0).view(8, 4)
    assert ((matrix == 0) | (matrix == 1)).all()
    assert matrix.sum(1).max() == 1
    assert matrix.sum() == 6 * 4
    assert [channel for channel in range(8) if columns[channel].sum() == 0] == read


def test_at_stride_two_the_largest_of_four_pixels_bypasses():
    edge = PartialEdge(Partial(channel_divisor=2), channels=2, stride=2)
    x = torch.tensor([[0.0, 0, 0], [0, 0, 0], [0, 0, 0]]), torch.tensor([[1.0, 2, 5], [4, 3, 6], [9, 8, 7]])
    value = edge(torch.stack(x)[None], lambda taken: taken[..., ::2, ::2])
    assert value[0, 1].tolist() == [[4, 6], [9, 7]]
    assert edge(torch.ones(1, 2, 1, 1), lambda taken: taken).shape == (1, 2, 1, 1)


def test_a_side_operation_starts_at_nothing(space):
    torch.manual_seed(0)
    journal = FusedSupernet(space, LARGE, Partial(side="conv1x1")).double()
    conference = FusedSupernet(space, LARGE, Partial()).double()
    conference.load_state_dict({name: value for name, value in journal.state_dict().items() if ".side." not in name})
    choice = weighted(space)
    torch.testing.assert_close(journal(images(LARGE), choice), conference(images(LARGE), choice), **CLOSE)


def kept_bytes(partial: Partial) -> int:
    """Bytes that a pass with all gradients keeps for the backward pass, beside the parameters."""
    space, skeleton = make_space({"name": "darts-cnn"}), replace(CIFAR, cells=3)
    net = FusedSupernet(space, skeleton, partial)
    own = {parameter.untyped_storage().data_ptr() for parameter in net.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    choice = Mixture({name: torch.full(group.shape, 1 / 8, requires_grad=True) for name, group in space.groups.items()})
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        out = net(torch.zeros(2, 3, 32, 32), choice)
    assert out.requires_grad
    return sum(size for pointer, size in kept.items() if pointer not in own)


def test_fewer_channels_need_less_memory():
    sizes = [kept_bytes(Partial(channel_divisor=divisor)) for divisor in (1, 2, 4, 8)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[2] / sizes[0] < 0.5
    assert kept_bytes(Partial(channel_divisor=8, downsample=True)) < sizes[3]


def test_each_pass_draws_channels_of_its_own_and_a_resumed_network_the_same_ones(space):
    _, fused = pair(space, SMALL, Partial(sampling="random"))
    x, choice = images(SMALL), weighted(space)
    fused(x, choice)
    resumed = copy.deepcopy(fused)
    first, second = fused(x, choice), fused(x, choice)
    assert not torch.equal(first, second)
    other = FusedSupernet(space, SMALL, Partial(sampling="random")).double()
    other.load_state_dict(resumed.state_dict())
    assert torch.equal(other(x, choice), first)
    assert torch.equal(other(x, choice), second)


def test_every_channel_is_drawn_equally_often():
    edge, generator = PartialEdge(Partial(sampling="random"), channels=8, stride=1), torch.Generator().manual_seed(0)
    orders = torch.stack([edge.draw(generator) for _ in range(2000)])
    assert (orders.sort(dim=1).values == torch.arange(8)).all()
    counts = orders[:, :2].flatten().bincount(minlength=8)  # 500 each, binomial: a standard deviation of 19
    assert 420 < counts.min() <= counts.max() < 580


@pytest.mark.parametrize(
    ("settings", "channels", "wrong"),
    [
        ({"channel_divisor": 4}, 16, []),
        ({"channel_divisor": 1}, 5, []),
        ({"channel_divisor": 4}, 6, ["channel_divisor"]),
        ({"channel_divisor": 1, "side": "conv1x1"}, 8, ["side"]),
        ({"channel_divisor": 4, "side": "conv1x1", "side_groups": 4}, 16, []),  # 12 bypassing channels in 4 groups
        ({"channel_divisor": 8, "side": "conv1x1", "side_groups": 8}, 16, ["side_groups"]),  # 14 channels
        ({"channel_divisor": 8, "side_groups": 8}, 16, []),
    ],
)
def test_settings_that_no_cell_can_have_are_named(settings, channels, wrong):
    assert [setting for setting, _ in Partial(**settings).misfits(channels)] == wrong
