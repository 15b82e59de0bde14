"""Cells computed again in the backward pass: everything as without, bit for bit, and less memory held."""

from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor, nn

from moonas.networks.network import build
from moonas.networks.recompute import leading_cells, recompute
from moonas.skeleton import Skeleton
from moonas.spaces.layout import plan_darts_cells
from moonas.study.sections import Performance
from tests.memory import peak_held

LARGE = Skeleton(channels=16, cells=8, input_shape=(3, 32, 32), classes=10)


@dataclass(frozen=True)
class Weighted:
    weights: dict[str, Tensor]
    names: tuple[str, ...] = ("a", "b")


class Drawing(nn.Module):
    """Normalises, draws from torch's generator and from its own, and has weights of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)
        self.generator = torch.Generator().manual_seed(5)
        self.calls = 0

    def forward(self, inputs: list[Tensor], choice: Weighted) -> Tensor:
        self.calls += 1
        first, second = inputs
        mask = torch.empty_like(first).bernoulli_(0.5, generator=self.generator) + torch.rand_like(first)
        return self.norm(self.linear(first * mask)).sin() * choice.weights["a"] + second.exp()


def run(again: bool, still: tuple[str, ...] = ()) -> tuple[Tensor, list[Tensor | None], nn.Module, Tensor]:
    torch.manual_seed(0)
    cell = Drawing().double()
    for name in still:
        cell.get_parameter(name).requires_grad_(False)
    x, weight = (torch.randn(2, 3, 4, 4, dtype=torch.float64, requires_grad=True) for _ in range(2))
    inputs, choice = [x, x], Weighted({"a": weight})
    out = recompute(cell, inputs, choice) if again else cell(inputs, choice)
    drawn = torch.rand(3)
    for name in still:  # awake again, as after a loss that left the weights at rest
        cell.get_parameter(name).requires_grad_()
    out.square().sum().backward()
    return out, [x.grad, weight.grad, *(p.grad for p in cell.parameters())], cell, torch.cat([drawn, torch.rand(3)])


@pytest.mark.parametrize("still", [(), ("linear.weight",), ("linear.weight", "linear.bias", "norm.weight", "norm.bias")])
def test_a_recomputed_cell_is_the_plain_one_with_its_gradients_statistics_and_draws(still):
    out, gradients, cell, drawn = run(False, still)
    found, found_gradients, found_cell, found_drawn = run(True, still)
    assert (cell.calls, found_cell.calls) == (1, 2)
    assert torch.equal(found, out)
    assert torch.equal(found_drawn, drawn)
    assert [g is None for g in found_gradients] == [g is None for g in gradients]
    assert all(torch.equal(f, g) for f, g in zip(found_gradients, gradients, strict=True) if g is not None)
    assert all(map(torch.equal, found_cell.buffers(), cell.buffers()))
    assert found_cell.norm.track_running_stats
    assert torch.equal(found_cell.generator.get_state(), cell.generator.get_state())


def test_nothing_is_computed_again_without_gradients():
    cell, x = Drawing().double(), torch.randn(2, 3, 4, 4, dtype=torch.float64)
    with torch.no_grad():
        recompute(cell, [x, x], Weighted({"a": x}))
    assert cell.calls == 1


def test_only_cells_that_would_raise_the_peak_are_computed_again():
    # outputs of LARGE, in units of the first: 1 1 1/2 1/2 1/2 1/4 1/4 1/4; the last three take 3/4, one more would make 5/4
    assert leading_cells(plan_darts_cells(LARGE, 4)) == 5
    # 1 1/2 1/2 1/4 1/4: the last three take exactly 1
    assert leading_cells(plan_darts_cells(replace(LARGE, cells=5), 4)) == 2


def test_a_derived_network_trains_alike_and_holds_less(tiny_space):
    architecture = tiny_space.architecture([slot.options[-1] for slot in tiny_space.slots()])
    skeleton = Skeleton(channels=8, cells=8, input_shape=(1, 16, 16), classes=10)
    images = torch.randn(4, 1, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    results, peaks = [], []
    for memory in ("normal", "low"):
        torch.manual_seed(0)
        network = build(architecture, skeleton).double()
        network.set_performance(Performance(memory=memory))
        network.drop_path.probability = 0.4
        network.drop_path.generator = torch.Generator().manual_seed(3)
        outs = []

        def step(network=network, outs=outs):
            outs.append(network(images))
            outs[-1].square().sum().backward()

        peaks.append(peak_held(step, network.parameters()))
        results.append([*outs, *(p.grad for p in network.parameters()), *network.buffers()])
    assert all(map(torch.equal, *results))
    # by the sizes of outputs, the largest cell of 4 1/2 such cells; the outputs themselves and the stem come on top
    assert peaks[1] < peaks[0] / 2.5
