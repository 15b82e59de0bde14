"""PC-DARTS: logits of whole edges beside those of operations, frozen in warm-up, read together by the decoder."""

import copy
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from moonas.data.dataset import Part, load_data
from moonas.inner.handlers.none import NoHandler
from moonas.inner.methods.pc_darts import PCDarts
from moonas.inner.search import Search
from moonas.inner.supernets.fused import FusedSupernet
from moonas.skeleton import Skeleton
from moonas.spaces.costs import cost_table
from moonas.spaces.decode import Decoder
from moonas.spaces.space import CellGroup, Space
from moonas.specs import SearchSpec
from moonas.study.handlers import NoneConfig
from moonas.study.method_settings import PCDartsConfig
from moonas.study.methods import METHODS
from moonas.worker.checkpoint import pack, unpack

SKELETON = Skeleton(channels=8, cells=3, input_shape=(1, 8, 8), classes=10)


def make_method(space, net: nn.Module, seed: int = 0, **settings) -> PCDarts:
    return PCDarts(net, space, PCDartsConfig(**settings), NoHandler(NoneConfig(), space, None, None, "cpu"), seed)


def small_method(space: Space, **settings) -> PCDarts:
    torch.manual_seed(0)
    return make_method(space, FusedSupernet(space, SKELETON, PCDartsConfig(**settings)), **settings)


def batch(seed: int) -> Part:
    generator = torch.Generator().manual_seed(seed)
    return Part(torch.randn(16, 1, 8, 8, generator=generator), torch.randint(0, 10, (16,), generator=generator))


def flat(state) -> list[torch.Tensor]:
    if isinstance(state, dict):
        return [tensor for value in state.values() for tensor in flat(value)]
    return [state.clone()] if isinstance(state, torch.Tensor) else []


def same(one, other) -> bool:
    return len(flat(one)) == len(flat(other)) and all(map(torch.equal, flat(one), flat(other)))


def test_all_logits_and_their_optimizer_are_bit_identical_through_warm_up(tiny_space):
    method = small_method(tiny_space, warmup_epochs=2)
    for epoch, moves in ((1, False), (2, True), (3, True)):
        before = copy.deepcopy(method.state_dict())
        assert (method.step(batch(0), batch(1), epoch).valid is not None) == moves
        after = method.state_dict()
        for name in ("alpha", "beta"):
            assert all(torch.equal(old, new) != moves for old, new in zip(flat(before[name]), flat(after[name]), strict=True))
        assert same(before["alpha_optimizer"], after["alpha_optimizer"]) != moves
        assert not same(before["net"], after["net"])


def test_an_architecture_step_leaves_weights_and_statistics_bit_identical(tiny_space):
    method = small_method(tiny_space, warmup_epochs=0, sampling="random")
    method.step(batch(0), batch(1), epoch=0)
    before = copy.deepcopy(method.state_dict())
    method.step_alpha(batch(2))
    after = method.state_dict()
    assert same(before["net"], after["net"])
    assert same(before["weight_optimizer"], after["weight_optimizer"])


def test_first_steps_follow_the_published_optimizer(tiny_space):
    method = small_method(tiny_space, alpha_decay=0.0)
    before = [logits.clone() for logits in method.logits]
    assert [tuple(logits.shape) for logits in before] == [(5, 8), (5, 8), (5,), (5,)]
    assert 0.5e-3 < torch.cat([logits.flatten() for logits in before]).std() < 1.5e-3  # 1e-3 * N(0, 1)
    method.step_alpha(batch(0))
    for old, new in zip(before, method.logits, strict=True):
        assert (new - old).abs().median().item() == pytest.approx(6e-4, rel=0.01)  # Adam's first step is its learning rate


def test_gradients_of_the_logits_are_clipped_together_where_asked_for(tiny_space):
    slopes = []
    for clip in (None, 1e-3, 1e3):
        method = small_method(tiny_space, alpha_clip=clip)
        method.step_alpha(batch(0))
        slopes.append(torch.cat([logits.grad.flatten() for logits in method.logits]))
    assert torch.equal(slopes[0], slopes[2])
    assert slopes[0].norm() > 1e-3
    torch.testing.assert_close(slopes[1], slopes[0] * 1e-3 / slopes[0].norm(), rtol=1e-3, atol=0)


def test_the_learning_rate_of_the_weights_rises_to_its_cosine(tiny_space):
    method = small_method(tiny_space, weight_lr=0.5, weight_ramp_epochs=5, epochs=50)
    assert method.weight_lr(0) == pytest.approx(0.5 / 5)
    assert method.weight_lr(1) == pytest.approx(0.5 * 2 / 5, rel=2e-3)  # the cosine has fallen by 0.1 %
    assert method.weight_lr(25) == pytest.approx(0.25)
    assert small_method(tiny_space).weight_lr(0) == 0.1


def test_only_differences_between_the_edges_of_one_node_matter(tiny_space):
    method = small_method(tiny_space)
    scores = method.scores()["normal"]
    with torch.no_grad():
        method.beta["normal"][:2] += 1  # both edges into node 2
    torch.testing.assert_close(method.scores()["normal"], scores, rtol=0, atol=1e-6)
    with torch.no_grad():
        method.beta["normal"][3] += 1  # one of the three into node 3
    raised = method.scores()["normal"] - scores
    assert (raised[3] > 0.5).all()
    assert (raised[[2, 4]] < -0.4).all()
    torch.testing.assert_close(raised[:2], torch.zeros(2, 8), rtol=0, atol=1e-6)


def test_scores_are_logarithms_of_shares_of_edges_and_operations(tiny_space):
    scores = small_method(tiny_space).scores()["reduce"]
    by_node = scores.exp().sum(dim=1)
    assert torch.allclose(by_node[:2].sum(), torch.ones(()))
    assert torch.allclose(by_node[2:].sum(), torch.ones(()))


def test_an_edge_with_the_surest_operation_but_a_tiny_share_is_not_kept(tiny_space):
    method = small_method(tiny_space)
    with torch.no_grad():
        for logits in method.logits:
            logits.zero_()
        method.alpha["normal"][2, 4] = 3.0  # p of sep_conv_3x3 from 0 to 3: e^3 / (e^3 + 7) = 0.74, elsewhere 1/8
        method.beta["normal"][2] = -4.0  # its q: e^-4 / (2 + e^-4) = 0.009, those of the other two 0.495
        method.alpha["normal"][3, 6] = 0.1
        method.alpha["normal"][4, 1] = 0.1
    decoder = Decoder(tiny_space, cost_table(tiny_space, SKELETON))
    cell = decoder.decode({group: matrix.numpy() for group, matrix in method.scores().items()}).architecture.groups["normal"]
    assert [edge for edge in cell if edge[0] == 3] == [(3, 1, "dil_conv_3x3"), (3, 2, "max_pool_3x3")]


def make_search(method: dict, **fields) -> Search:
    spec = SearchSpec(
        seed=0,
        replicate=0,
        data={"name": "digits", "images": 160},
        space={"name": "darts-cnn", "nodes": 2},
        skeleton=SKELETON,
        method={"epochs": 2, "warmup_epochs": 0, "batch": 32, "weight_lr": 0.05, **method},
        **{"handler": {"name": "none"}, **fields},
    )
    return Search(spec, load_data(spec.data, spec.seed))


@pytest.mark.parametrize("method", [{"name": "pc-darts", "sampling": "random"}, {"name": "pc-darts-journal"}], ids=str)
def test_a_resumed_search_repeats_the_uninterrupted_one_bit_for_bit(method):
    whole = make_search(method)
    whole.run_epoch(0)
    saved = pack(whole.state_dict())
    torch.manual_seed(99)  # nothing may depend on torch's global generator
    expected = whole.run_epoch(1)
    resumed = make_search(method)
    resumed.load_state_dict(unpack(saved))
    assert resumed.run_epoch(1) == expected
    assert resumed.result() == whole.result()
    assert same(resumed.state_dict(), whole.state_dict())


def test_the_architecture_loss_draws_the_same_channels_at_every_call_and_none_of_a_step(tiny_space):
    method = small_method(tiny_space, sampling="random", warmup_epochs=0)
    loss, leaves = method.architecture_loss(batch(0))
    assert torch.equal(loss(), loss())
    assert len(leaves) == 4
    method.step(batch(1), batch(2), epoch=0)
    again = small_method(tiny_space, sampling="random", warmup_epochs=0)
    again.step(batch(1), batch(2), epoch=0)
    assert same(method.state_dict(), again.state_dict())


def test_a_search_trains_the_network_that_its_settings_describe():
    sizes = [sum(w.numel() for w in make_search({"name": "pc-darts", "channel_divisor": k}).net.weights()) for k in (1, 2, 8)]
    assert sizes == sorted(sizes, reverse=True)
    journal = make_search({"name": "pc-darts-journal"}).net
    scales = [name for name, _ in journal.named_parameters() if name.endswith("side.scale")]
    assert len(scales) == 3 * 5  # cells and edges
    assert METHODS["pc-darts-journal"].config.channel_divisor == 8


def test_a_projection_holds_the_expected_cost_within_the_budget():
    known = {"final": replace(SKELETON, channels=4), "budget": {"params": {"upper": 4200}}}
    handler = {"name": "projection"}
    search = make_search({"name": "pc-darts", "channel_divisor": 2}, handler=handler, **known)
    search.run_epoch(0)
    assert search.run_epoch(1)["expected_params"] <= 4200 * (1 + 1e-4)
    assert make_search({"name": "pc-darts"}, final=known["final"]).run_epoch(0)["expected_params"] > 4300


class Planted(nn.Module):
    """Two edges with three candidates each: only the 5x5 convolution of the second edge can tell the labels."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 4, 5, bias=False)
        self.classifier = nn.Linear(4, 2)

    def forward(self, images, choice):
        factor = choice.edges["normal"][1] * choice.weights["normal"][1, 1]
        return self.classifier(factor * self.convolution(images).relu().mean((2, 3)))

    def weights(self):
        return self.parameters()

    def frozen_statistics(self):
        return nullcontext()


def planted_search(seed: int, shuffled: bool) -> bool:
    """Whether edge and operation win within 150 steps on noisy images whose 5x5 blur has the sign of the label."""
    torch.manual_seed(seed)
    group = CellGroup(("none", "sep_conv_5x5", "skip_connect"), ((0, 2), (1, 2)), 2, (2,), kept=1)
    space = SimpleNamespace(groups={"normal": group})
    method = make_method(space, Planted(), seed, alpha_lr=0.01, weight_lr=0.2, alpha_decay=0.0, warmup_epochs=0)

    def draw(count: int) -> Part:
        labels = torch.randint(0, 2, (count,))
        blurred = nn.functional.interpolate(torch.randn(count, 1, 3, 3), size=7, mode="bilinear")
        images = (2 * labels - 1).view(-1, 1, 1, 1) * blurred.abs() + 0.5 * torch.randn(count, 1, 7, 7)
        return Part(images, labels[torch.randperm(count)] if shuffled else labels)

    train, valid = draw(64), draw(64)
    for _ in range(150):
        method.step(train, valid, epoch=0)
    return method.scores()["normal"].argmax().item() == 4  # row 1, column 1


def test_the_one_edge_and_operation_that_help_win_on_nine_of_ten_seeds():
    assert sum(planted_search(seed, shuffled=False) for seed in range(10)) >= 9


def test_with_shuffled_labels_they_do_not_win():
    assert sum(planted_search(seed, shuffled=True) for seed in range(10)) <= 3
