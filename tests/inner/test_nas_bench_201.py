"""The search network of NAS-Bench-201: published size, against the plain formula, and against the derived network."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from moonas.architecture import Architecture
from moonas.data.dataset import load_data
from moonas.inner.search import Search
from moonas.inner.supernets.fused import FusedSupernet
from moonas.inner.supernets.supernet import Mixture, Path
from moonas.networks.network import build
from moonas.skeleton import Skeleton
from moonas.spaces.costs import cost, cost_table
from moonas.spaces.decode import Decoder
from moonas.spaces.nas_bench_201 import EDGES
from moonas.spaces.space import live_edges, make_space
from moonas.specs import SearchSpec
from moonas.study.handlers import HANDLERS
from moonas.study.methods import METHODS
from moonas.study.validation import plain
from tests.inner.paths import with_weights_of
from tests.inner.test_fused import CLOSE, images, mixture, run

SPACE = make_space({"name": "nas-bench-201"})
SMALL = Skeleton(space="nas-bench-201", channels=4, cells=6, input_shape=(1, 8, 12), classes=5)
CELLS = [
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|",
    "|nor_conv_1x1~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|avg_pool_3x3~2|",
    "|none~0|+|none~0|nor_conv_3x3~1|+|nor_conv_1x1~0|none~1|none~2|",
    "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|none~2|",
]


class Plain(nn.Module):
    """The published search network, written out: five operations on every edge, weighted and summed."""

    def __init__(self, skeleton: Skeleton) -> None:
        super().__init__()
        channels, per_stage = skeleton.channels, skeleton.cells // 3
        self.stem = nn.Sequential(nn.Conv2d(skeleton.input_shape[0], channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))
        self.cells, self.blocks = nn.ModuleList(), nn.ModuleDict()
        for stage in range(3):
            if stage:
                self.blocks[str(len(self.cells))] = Block(channels)
                channels *= 2
            for _ in range(per_stage):
                self.cells.append(nn.ModuleList(nn.ModuleList([searched(channels, 1), searched(channels, 3)]) for _ in EDGES))
        self.head = nn.BatchNorm2d(channels)
        self.classifier = nn.Linear(channels, skeleton.classes)

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        x = self.stem(x)
        for index, cell in enumerate(self.cells):
            if str(index) in self.blocks:
                x = self.blocks[str(index)](x)
            states = [x, 0, 0, 0]
            for (source, target), edge, row in zip(EDGES, cell, weights, strict=True):
                state = states[source]
                pooled = functional.avg_pool2d(state, 3, 1, 1, count_include_pad=False)
                states[target] = (
                    states[target] + row[1] * state + row[2] * edge[0](state) + row[3] * edge[1](state) + row[4] * pooled
                )
            x = states[3]
        return self.classifier(self.head(x).relu().mean((2, 3)))


class Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        wide = 2 * channels
        self.first, self.second = nn.Conv2d(channels, wide, 3, 2, 1, bias=False), nn.Conv2d(wide, wide, 3, 1, 1, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(wide), nn.BatchNorm2d(wide)])
        self.shortcut = nn.Conv2d(channels, wide, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        way = self.norms[1](self.second(self.norms[0](self.first(x.relu())).relu()))
        return way + self.shortcut(functional.avg_pool2d(x, 2))


def searched(channels: int, kernel: int) -> nn.Module:
    return nn.Sequential(
        nn.ReLU(), nn.Conv2d(channels, channels, kernel, padding=kernel // 2), nn.BatchNorm2d(channels, affine=False)
    )


def pair() -> tuple[Plain, FusedSupernet]:
    """In float64 with equal weights; the plain one has no modules for what has no weights."""
    torch.manual_seed(0)
    plain, fused = Plain(SMALL).double(), FusedSupernet(SPACE, SMALL).double()
    assert list(fused.before) == list(plain.blocks)
    for index, block in plain.blocks.items():
        own = fused.before[index]
        for (_, conv, norm), weights, scales in (
            (own.widen, block.first, block.norms[0]),
            (own.refine, block.second, block.norms[1]),
        ):
            conv.load_state_dict(weights.state_dict())
            norm.load_state_dict(scales.state_dict())
        own.shortcut[1].load_state_dict(block.shortcut.state_dict())
    for own, cell in zip(fused.cells, plain.cells, strict=True):
        for row, edge in zip(own.operations, cell, strict=True):
            row[2].load_state_dict(edge[0].state_dict())
            row[3].load_state_dict(edge[1].state_dict())
    fused.stem.load_state_dict(plain.stem.state_dict())
    fused.head[0].load_state_dict(plain.head.state_dict())
    fused.classifier.load_state_dict(plain.classifier.state_dict())
    return plain, fused


def test_the_search_network_has_the_published_size() -> None:
    with torch.device("meta"):
        net = FusedSupernet(SPACE, Skeleton(space="nas-bench-201", channels=16, cells=15, input_shape=(3, 32, 32), classes=10))
    biases = sum(value.numel() for name, value in net.named_parameters() if ".operations." in name and name.endswith("bias"))
    assert sum(weight.numel() for weight in net.weights()) == 1_692_826
    assert 1_692_826 - biases == 1_686_106
    assert sum(group.shape[0] * group.shape[1] for group in SPACE.groups.values()) == 30


def test_a_mixture_equals_the_plain_formula_with_its_gradients() -> None:
    plain, fused = pair()
    x, choice = images(SMALL), mixture(SPACE)
    weights = choice.weights["cell"]
    expected, found = plain(x, weights), fused(x, choice)
    torch.testing.assert_close(found, expected, **CLOSE)
    (alpha,), (own,) = (torch.autograd.grad(out.square().sum(), [weights], retain_graph=True) for out in (expected, found))
    torch.testing.assert_close(own, alpha, **CLOSE)
    for layer in ("stem.0", "classifier"):
        gradients = [
            torch.autograd.grad(out.square().sum(), net.get_submodule(layer).weight, retain_graph=True)[0]
            for net, out in ((plain, expected), (fused, found))
        ]
        torch.testing.assert_close(*gradients, **CLOSE)


@pytest.mark.parametrize("text", CELLS)
def test_one_hot_weights_a_path_and_the_derived_network_agree(text: str) -> None:
    architecture = Architecture.from_genotype(text)
    torch.manual_seed(0)
    searched = FusedSupernet(SPACE, SMALL).double()
    derived = with_weights_of(searched, build(architecture, SMALL), architecture)
    weights = torch.zeros(SPACE.groups["cell"].shape, dtype=torch.float64)
    for edge in architecture.groups["cell"]:
        weights[SPACE.groups["cell"].place(edge)] = 1
    x = images(SMALL)
    torch.testing.assert_close(searched(x, Path(architecture)), derived(x), **CLOSE)
    torch.testing.assert_close(searched(x, Mixture({"cell": weights})), derived(x), **CLOSE)


def test_pools_have_no_batch_norm_in_this_search_network_and_have_one_in_that_of_darts() -> None:
    x = 5 + torch.randn(8, 4, 8, 6)
    own = FusedSupernet(SPACE, SMALL).cells[0].operations[0][4](x)
    darts = make_space({"name": "darts-cnn", "nodes": 1, "operations": ["avg_pool_3x3"]})
    other = FusedSupernet(darts, Skeleton(channels=4, cells=3, input_shape=(1, 8, 6), classes=5)).cells[0].operations[0][0](x)
    assert own.mean().item() == pytest.approx(5, abs=0.2)
    assert other.mean().item() == pytest.approx(0, abs=1e-5)


def test_gradients_of_a_path_reach_its_own_weights_only() -> None:
    net = FusedSupernet(SPACE, SMALL).double()
    _, gradients, _ = run(net, images(SMALL), Path(Architecture.from_genotype(CELLS[2])))
    names = [name for name, _ in net.named_parameters() if name.startswith("cells.0.")]
    used = {name for name, gradient in zip(dict(net.named_parameters()), gradients, strict=True) if gradient.abs().sum() > 0}
    assert {name for name in names if name in used and name.endswith("weight")} == {"cells.0.operations.3.2.1.weight"}


SEARCHING = [name for name, entry in METHODS.items() if entry.searches and "nas-bench-201" in entry.spaces]
SHORT = {"epochs": 1, "warmup_epochs": 0, "batch": 64, "samples": 2, "weight_samples": 2, "deepen": 3, "channel_divisor": 2}


@pytest.mark.parametrize("name", SEARCHING)
def test_methods_that_name_this_space_search_it_resume_and_decode_to_connected_cells_within_budgets(name: str) -> None:
    skeleton = Skeleton(space="nas-bench-201", channels=4, cells=3, input_shape=(1, 8, 8), classes=10)
    decoder = Decoder(SPACE, cost_table(SPACE, skeleton))
    low, high = decoder.reachable()["params"]
    handler = METHODS[name].handlers[0]
    config = plain(METHODS[name].config())
    method = {"name": name, **config, **{key: value for key, value in SHORT.items() if key in config}}
    spec = SearchSpec(
        seed=0,
        replicate=0,
        data={"name": "digits", "images": 200},
        space={"name": "nas-bench-201"},
        skeleton=skeleton,
        method=method,
        handler={"name": handler, **plain(HANDLERS[handler].config())},
        final=skeleton,
        budget={"params": {"upper": (low + high) // 2}},
    )
    data = load_data(spec.data, spec.seed)
    whole, parted, resumed = (Search(spec, data) for _ in range(3))
    epochs = max(2, whole.epochs)  # methods of several stages have an epoch in each
    expected = [whole.run_epoch(epoch) for epoch in range(epochs)][-1]
    for epoch in range(epochs - 1):
        parted.run_epoch(epoch)
    resumed.load_state_dict(parted.state_dict())
    assert resumed.run_epoch(epochs - 1) == expected
    for bound in (low, (low + high) // 2, high):
        found = decoder.decode(
            {group: matrix.cpu().numpy() for group, matrix in whole.method.scores().items()}, {"params": {"upper": bound}}
        )
        assert live_edges(found.architecture.groups["cell"], 1, (3,))
        assert cost(found.architecture, skeleton).params <= bound
