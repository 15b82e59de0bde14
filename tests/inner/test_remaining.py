"""Mixtures of the operations that remain: equal to the plain ones without the others, and no dearer than what remains."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from moonas.inner.supernets import fan
from moonas.inner.supernets.supernet import Mixture
from moonas.skeleton import Skeleton
from moonas.spaces.space import Space, make_space
from moonas.study.partial import Partial
from tests.inner import test_partial
from tests.inner.test_fused import CLOSE, DIGITS, assert_equal_runs, images, mixture, pair, run

SPACE = make_space({"name": "darts-cnn", "nodes": 3})
OPERATIONS = SPACE.groups["normal"].operations


def random_mask(space: Space, seed: int, share: float = 0.4) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.rand(group.shape, generator=generator) < share for name, group in space.groups.items()}


def only(space: Space, *names: str) -> dict[str, Tensor]:
    """A mask of whole columns."""
    return {
        name: torch.tensor([operation in names for operation in group.operations]).repeat(len(group.edges), 1)
        for name, group in space.groups.items()
    }


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    "skeleton",
    [
        replace(DIGITS, channels=6),
        replace(DIGITS, channels=16, input_shape=(1, 5, 6)),
        replace(DIGITS, channels=8, stem="imagenet"),
    ],
    ids=str,
)
def test_a_random_mask_equals_the_plain_mixture_of_what_remains(skeleton, seed):
    skeleton = replace(skeleton, input_shape=(1, 32, 32)) if skeleton.stem == "imagenet" else skeleton
    assert_equal_runs(SPACE, skeleton, replace(mixture(SPACE), remaining=random_mask(SPACE, seed)))


@pytest.mark.parametrize(
    "kept", [(), ("none",), ("skip_connect",), ("max_pool_3x3", "none"), ("dil_conv_5x5",), ("sep_conv_3x3",)], ids=str
)
def test_whole_columns_can_be_gone(kept):
    assert_equal_runs(SPACE, DIGITS, replace(mixture(SPACE), remaining=only(SPACE, *kept)))


def test_edges_with_one_operation_or_none_and_a_node_without_input_are_equal_too():
    remaining = random_mask(SPACE, 0, share=0.6)
    for number, row in enumerate(remaining["normal"]):
        row[:] = torch.arange(len(row)) == 3 + number % 5
    for row, (_, node) in zip(remaining["normal"], SPACE.groups["normal"].edges, strict=True):
        if node == 3:
            row[:] = False
    remaining["reduce"][0] = False
    remaining["reduce"][1] = torch.arange(len(OPERATIONS)) == OPERATIONS.index("none")
    assert_equal_runs(SPACE, DIGITS, replace(mixture(SPACE), remaining=remaining))


@pytest.mark.parametrize(("edges", "channels"), [(1, 8), (3, 8), (1, 16), (2, 16)])
def test_packs_of_any_number_of_edges_give_the_same(edges, channels, monkeypatch):
    skeleton = replace(DIGITS, channels=channels)
    monkeypatch.setattr(fan, "CACHED", edges * 3 * channels * 64)
    assert_equal_runs(SPACE, skeleton, replace(mixture(SPACE), remaining=random_mask(SPACE, 1, share=0.9)))


def test_packs_fill_blocks_and_leave_the_rest_to_the_last():
    assert fan.packs_of([0, 1, 2, 3, 4], per_pack=1, per_block=1) == [[0], [1], [2], [3], [4]]
    assert fan.packs_of([0, 1, 2, 3, 4], per_pack=3, per_block=2) == [[0, 1], [2, 3], [4]]
    assert fan.packs_of([0, 1, 2, 3, 4], per_pack=9, per_block=2) == [[0, 1, 2, 3], [4]]
    assert fan.packs_of([7, 8], per_pack=5, per_block=4) == [[7, 8]]


def test_in_evaluation_mode_a_mask_counts_as_well(tiny_space):
    plain, fused = (net.eval() for net in pair(tiny_space, DIGITS))
    choice, x = replace(mixture(tiny_space), remaining=random_mask(tiny_space, 2)), images(DIGITS)
    torch.testing.assert_close(run(fused, x, choice), run(plain, x, choice), **CLOSE)


@pytest.mark.parametrize("seed", range(3))
def test_partial_channels_leave_out_edges_of_which_nothing_remains(seed, tiny_space):
    settings = Partial(channel_divisor=2, side="conv1x1", downsample=True)
    choice = replace(test_partial.weighted(tiny_space), remaining=random_mask(tiny_space, seed, share=0.2))
    nets = test_partial.pair(tiny_space, test_partial.LARGE, settings)
    (out, gradients, state), found = (run(net, images(test_partial.LARGE), choice) for net in nets)
    torch.testing.assert_close(found, (out, gradients, state), **CLOSE)


def test_maps_whose_channels_come_first_in_memory_give_the_same(tiny_space):
    _, net = pair(tiny_space, DIGITS)
    x, choice = torch.randn(2, 12, 8, 8, dtype=torch.float64), mixture(tiny_space)
    results = []
    for layout in (torch.contiguous_format, torch.channels_last):
        out = net.cells[0]([x.contiguous(memory_format=layout)] * 2, choice)
        results.append((out, torch.autograd.grad(out.sin().sum(), [*net.cells[0].parameters(), choice.weights["normal"]])))
    torch.testing.assert_close(*results, **CLOSE)


def kept_bytes(net: nn.Module, x: Tensor, choice: Mixture) -> int:
    """What the forward pass keeps for the backward pass, beside the parameters."""
    own = {parameter.untyped_storage().data_ptr() for parameter in net.parameters()}
    kept = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        net(x, choice)
    return sum(storage.nbytes() for place, storage in kept.items() if place not in own)


def test_a_mask_keeps_no_more_for_the_backward_pass_than_what_remains():
    skeleton = Skeleton(channels=16, cells=3, input_shape=(1, 16, 16), classes=10)
    _, net = pair(SPACE, skeleton)
    x, choice = images(skeleton, count=8), mixture(SPACE)
    empty, *some, all_of_them = (
        kept_bytes(net, x, replace(choice, remaining=only(SPACE, *names)))
        for names in ((), ("skip_connect",), ("dil_conv_3x3", "dil_conv_5x5"), OPERATIONS)
    )
    assert kept_bytes(net, x, choice) == all_of_them
    skips, dilated = ((kept - empty) / (all_of_them - empty) for kept in some)
    assert skips < 0.15
    assert 0.2 < dilated < 0.4  # 2 of 6 maps behind depthwise convolutions, 2 of 8 with the inputs of second ones


class Convolutions(TorchDispatchMode):
    """How many channels are convolved inside, counted once for each depthwise convolution."""

    channels = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function is torch.ops.aten.convolution.default and args[8] > 1:
            self.channels += len(args[1])
        return function(*args, **(kwargs or {}))


def test_a_mask_convolves_only_what_remains():
    _, net = pair(SPACE, DIGITS)
    choice = replace(mixture(SPACE), remaining=random_mask(SPACE, 3))
    with Convolutions() as counted, torch.no_grad():
        net(images(DIGITS), choice)
    passes = {"sep": 2, "dil": 1}
    expected = 0
    for channels, group in ((4, "normal"), (8, "reduce"), (16, "reduce")):
        for row in choice.remaining[group].tolist():
            expected += sum(channels * passes.get(name[:3], 0) for name, left in zip(OPERATIONS, row, strict=True) if left)
    assert counted.channels == expected
