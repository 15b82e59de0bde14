"""PARSEC: its estimator against enumeration, what a step touches, budgets, starting from another search, a planted cell."""

import copy
from itertools import product

import pytest
import torch

from moonas.data.dataset import Part
from moonas.errors import NonFiniteLossError, UsageError
from moonas.inner.distribution import CellDistribution
from moonas.inner.handlers.none import NoHandler
from moonas.inner.handlers.penalty import Penalty
from moonas.inner.methods.parsec import Parsec, posterior_weights
from moonas.inner.supernets.fused import FusedSupernet
from moonas.inner.supernets.supernet import Mixture, Path
from moonas.skeleton import Skeleton
from moonas.spaces.costs import cost_table
from moonas.spaces.decode import Decoder
from moonas.spaces.space import CellGroup, make_space
from moonas.study.handlers import NoneConfig, PenaltyConfig
from moonas.study.method_settings import ParsecConfig, WarmStart
from tests.inner.plain import PlainSupernet
from tests.memory import peak_held

DOUBLE = torch.float64


class OneChoice:
    """A space of one edge with three operations."""

    def __init__(self) -> None:
        self.name = "one"
        self.groups = {"cell": CellGroup(("a", "b", "c"), ((0, 1),), inputs=1, output=(1,), kept=None)}


def batch(seed: int, count: int = 16) -> Part:
    generator = torch.Generator().manual_seed(seed)
    return Part(torch.randn(count, 1, 8, 8, generator=generator), torch.randint(0, 10, (count,), generator=generator))


def make_parsec(space, skeleton, handler=None, seed=0, **settings) -> Parsec:
    torch.manual_seed(0)
    config = ParsecConfig(**{"warmup_epochs": 0, "samples": 4, "weight_samples": 3, **settings})
    return Parsec(FusedSupernet(space, skeleton), space, config, handler or NoHandler(NoneConfig(), space, None, None, "cpu"), seed)


def three(probabilities=(0.5, 0.3, 0.2)) -> CellDistribution:
    distribution = CellDistribution(OneChoice())
    distribution.logits = torch.tensor([probabilities], dtype=DOUBLE).log().requires_grad_()
    return distribution


LIKELIHOODS = torch.tensor([-1.0, -2.0, -0.5], dtype=DOUBLE)


def estimate(distribution: CellDistribution, drawn: tuple[int, ...]) -> torch.Tensor:
    omega, temperature = posterior_weights(LIKELIHOODS[list(drawn)], lowest=0)
    assert temperature == 1
    return distribution.gradient(torch.tensor(drawn)[:, None], omega)[0]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (1, (0, 0, 0)),
        (2, (0.0448257, -0.1074265, 0.0626008)),
        (4, (0.0473265, -0.1519699, 0.1046434)),
        (8, (0.0413897, -0.1689424, 0.1275527)),
    ],
)
def test_the_expected_step_of_the_logits_is_that_of_enumeration(cells, expected):
    distribution, total = three(), torch.zeros(3, dtype=DOUBLE)
    for drawn in product(range(3), repeat=cells):
        probability = distribution.probabilities()[0][list(drawn)].prod()
        total += probability * estimate(distribution, drawn)
    assert total.tolist() == pytest.approx(expected, abs=1e-6)


def test_many_cells_reach_the_exact_gradient_of_the_marginal_likelihood():
    distribution = three()
    drawn = distribution.draw(100_000, torch.Generator().manual_seed(0))
    omega, _ = posterior_weights(LIKELIHOODS[drawn[:, 0]], lowest=0)
    assert distribution.gradient(drawn, omega)[0].tolist() == pytest.approx((0.0318537, -0.1826052, 0.1507514), abs=0.005)


def test_draws_follow_the_probabilities():
    drawn = three().draw(100_000, torch.Generator().manual_seed(1))[:, 0]
    shares = torch.bincount(drawn) / 1e5
    assert shares.tolist() == pytest.approx((0.5, 0.3, 0.2), abs=4 * (0.25 / 1e5) ** 0.5)


def test_weights_add_up_whatever_the_level_of_the_likelihoods():
    likelihoods = torch.tensor([-150.0, -151.0, -140.0, -160.0], dtype=DOUBLE)
    omega, _ = posterior_weights(likelihoods, 0)
    shifted, _ = posterior_weights(likelihoods - 1e4, 0)
    assert omega.sum().item() == pytest.approx(1)
    assert shifted.tolist() == pytest.approx(omega.tolist())


def test_the_temperature_is_as_low_as_the_effective_number_of_cells_allows():
    likelihoods = torch.tensor([-150.0, -151.0, -140.0, -160.0, -139.0, -200, -180, -170], dtype=DOUBLE)
    effective = []
    for lowest in (0, 2, 4, 7):
        omega, temperature = posterior_weights(likelihoods, lowest)
        effective.append(1 / omega.square().sum().item())
        assert (temperature == 1) == (lowest == 0)
    assert effective[1:] == pytest.approx([2, 4, 7], abs=1e-3)
    assert posterior_weights(torch.zeros(4, dtype=DOUBLE), 3)[1] == 1


def test_a_cell_whose_loss_is_not_finite_gets_no_weight_and_does_not_spoil_the_others():
    omega, _ = posterior_weights(torch.tensor([-1.0, float("nan"), -1.0], dtype=DOUBLE), 2)
    assert omega.tolist() == pytest.approx([0.5, 0, 0.5])
    with pytest.raises(NonFiniteLossError, match="every sampled cell"):
        posterior_weights(torch.full((3,), float("nan")), 2)


def test_the_full_space_has_168_logits_of_which_84_belong_to_each_kind_of_cell():
    distribution = CellDistribution(make_space({"name": "darts-cnn"}))
    assert int(distribution.open.sum()) == 168
    assert sum(len(branch.inputs) + len(branch.operations) for branch in distribution.branches) == 168


def random_distribution(space) -> CellDistribution:
    distribution = CellDistribution(space)
    with torch.no_grad():
        distribution.logits.copy_(torch.randn(distribution.logits.shape, generator=torch.Generator().manual_seed(3)))
    return distribution


def cells_of(distribution: CellDistribution):
    """Every cell with its probability, draw by draw."""
    widths = distribution.open.sum(1).tolist()
    probabilities = distribution.probabilities().double()
    for choice in product(*map(range, widths)):
        yield distribution.cell(choice), float(torch.stack([row[c] for row, c in zip(probabilities, choice, strict=True)]).prod())


def test_expected_costs_and_slot_scores_equal_those_of_all_cells_counted_one_by_one():
    space = make_space({"name": "darts-cnn", "nodes": 1, "operations": ["none", "skip_connect", "sep_conv_3x3"]})
    skeleton = Skeleton(channels=4, cells=3, input_shape=(1, 8, 8), classes=10)
    distribution, table = random_distribution(space), cost_table(space, skeleton)
    expected, mass, total = 0.0, {}, 0.0
    for cell, probability in cells_of(distribution):
        total += probability
        cost = float(table.fixed[0])
        for name, edges in cell.groups.items():
            cost += sum(float(table.edges[name][space.groups[name].place(edge)][0]) for edge in edges)
            key = (name, edges)
            mass[key] = mass.get(key, 0.0) + probability
        expected += probability * cost
    assert total == pytest.approx(1)
    drawn = distribution.expected_edges()
    found = table.fixed[0] + sum((drawn[name] * table.edges[name][..., 0]).sum() for name in space.groups)
    assert found == pytest.approx(expected)
    for slot, scores in zip(space.slots(), distribution.slot_scores(), strict=True):
        for option, score in zip(slot.options, scores, strict=True):
            assert score == pytest.approx(torch.tensor(mass[slot.group, tuple(sorted(option))]).log().item(), rel=1e-5)


def test_the_decoded_cell_is_the_likeliest_of_those_with_two_different_inputs_per_node():
    space = make_space({"name": "darts-cnn", "nodes": 1, "operations": ["skip_connect", "sep_conv_3x3", "dil_conv_3x3"]})
    skeleton = Skeleton(channels=4, cells=3, input_shape=(1, 8, 8), classes=10)
    distribution = random_distribution(space)
    mass: dict = {}
    for cell, probability in cells_of(distribution):
        if all(len({predecessor for _, predecessor, _ in edges}) == 2 for edges in cell.groups.values()):
            mass[cell.key] = mass.get(cell.key, 0.0) + probability
    decoded = Decoder(space, cost_table(space, skeleton)).decode(distribution.slot_scores())
    assert decoded.architecture.key == max(mass, key=mass.get)


def test_a_weight_step_ascends_the_log_of_the_mean_likelihood(tiny_space, tiny_skeleton):
    method = make_parsec(tiny_space, tiny_skeleton, tempering="none", weight_samples=2)
    method.net.double()
    part = Part(batch(0, 4).images.double(), batch(0, 4).labels)
    choices, omega, _ = method._estimate(part, 2)
    assert omega.min() > 1e-3  # otherwise one of them is left out
    with method.net.frozen_statistics():
        log_likelihoods = torch.stack(
            [
                -torch.nn.functional.cross_entropy(
                    method.net(part.images, Path(method.distribution.cell(choice.tolist()))), part.labels, reduction="sum"
                )
                for choice in choices
            ]
        )
    expected = torch.autograd.grad(torch.logsumexp(log_likelihoods, 0), method.weights, allow_unused=True)
    method.config = copy.copy(method.config)
    object.__setattr__(method.config, "weight_clip", 1e9)
    method._train(part, choices, omega)
    for weight, gradient in zip(method.weights, expected, strict=True):
        assert (weight.grad is None) == (gradient is None)
        if gradient is not None:
            torch.testing.assert_close(-4 * weight.grad, gradient, rtol=1e-6, atol=1e-9)


def test_modules_of_no_drawn_cell_stay_bit_identical_with_their_momentum(tiny_space, tiny_skeleton):
    method = make_parsec(tiny_space, tiny_skeleton)
    for number in range(3):
        method.step(batch(number), batch(number + 10), epoch=0)
    before = {name: tensor.clone() for name, tensor in method.net.state_dict().items()}
    momenta = {w: state["momentum_buffer"].clone() for w, state in method.weight_optimizer.state.items()}
    choices, omega, _ = method._estimate(batch(5), 2)
    method._train(batch(5), choices, omega)
    used = set()
    for choice, weight in zip(choices, omega, strict=True):
        if weight >= 1e-3:
            for name, edges in method.distribution.cell(choice.tolist()).groups.items():
                used |= {(name, *tiny_space.groups[name].place(edge)) for edge in edges}
    names = {parameter: name for name, parameter in method.net.named_parameters()}
    idle = 0
    for weight in method.weights:
        name = names[weight].split(".")
        if "operations" in name:
            cell = method.net.cells[int(name[1])]
            if (cell.group, int(name[3]), int(name[4])) not in used:
                idle += 1
                assert torch.equal(weight, before[names[weight]])
                if weight in momenta:
                    assert torch.equal(method.weight_optimizer.state[weight]["momentum_buffer"], momenta[weight])
    assert idle > 10
    for name, buffer in method.net.named_buffers():
        assert torch.equal(buffer, before[name])  # batch norm's statistics rest


def test_logits_rest_in_warm_up_and_move_afterwards(tiny_space, tiny_skeleton):
    method = make_parsec(tiny_space, tiny_skeleton, warmup_epochs=1)
    assert method.step(batch(0), batch(1), epoch=0).valid is None
    assert not method.distribution.logits.any()
    assert not method.logit_optimizer.state
    assert method.step(batch(0), batch(1), epoch=1).valid is not None
    assert method.distribution.logits.any()


def test_a_single_level_step_learns_both_from_one_batch(tiny_space, tiny_skeleton):
    method = make_parsec(tiny_space, tiny_skeleton, single_level=True)
    before = method.weights[-1].clone()
    assert method.step(batch(0), batch(1), epoch=0).valid is None
    assert method.distribution.logits.any()
    assert not torch.equal(method.weights[-1], before)


def test_the_state_between_two_steps_is_all_there_is(tiny_space, tiny_skeleton):
    straight, broken = (make_parsec(tiny_space, tiny_skeleton) for _ in range(2))
    for number in range(4):
        straight.step(batch(number), batch(number + 10), epoch=0)
    for number in range(2):
        broken.step(batch(number), batch(number + 10), epoch=0)
    resumed = make_parsec(tiny_space, tiny_skeleton, seed=7)
    resumed.load_state_dict(copy.deepcopy(broken.state_dict()))
    for number in (2, 3):
        resumed.step(batch(number), batch(number + 10), epoch=0)
    assert torch.equal(straight.distribution.logits, resumed.distribution.logits)
    for one, other in zip(straight.weights, resumed.weights, strict=True):
        assert torch.equal(one, other)


def test_an_adaptive_number_of_cells_falls_with_the_entropy(tiny_space, tiny_skeleton):
    method = make_parsec(tiny_space, tiny_skeleton, adaptive=True, samples=16)
    assert method._count(16) == 16
    with torch.no_grad():
        method.distribution.logits[:, 0] = 2.0
    entropy = float(method.distribution.entropies().sum()) / method.start_entropy
    assert method._count(16) == round(16 * entropy) < 16
    with torch.no_grad():
        method.distribution.logits[:, 0] = 50.0
    assert method._count(16) == 2


def test_the_excess_of_cells_moves_the_logits_away_from_what_costs_too_much():
    distribution = three()
    drawn = distribution.draw(100_000, torch.Generator().manual_seed(0))
    excess = (drawn[:, 0] == 0).double()
    step = distribution.gradient(drawn, -excess / excess.sum())[0]
    assert step[0] < -0.4  # onehot - pi, negated: -(1 - 0.5)
    assert step[1:].tolist() == pytest.approx([0.3, 0.2], abs=0.01)
    even = distribution.gradient(drawn, torch.full((100_000,), -1e-5, dtype=DOUBLE))[0]
    assert even.abs().max() < 0.01


def test_a_tight_budget_makes_the_search_expect_less_cost(tiny_space, tiny_skeleton):
    table = cost_table(tiny_space, tiny_skeleton)
    bounds = {"params": {"upper": int(table.fixed[0]) + 300}}
    tight = Penalty(PenaltyConfig(strength=1.0), tiny_space, table, bounds, "cpu")

    def expected(handler) -> float:
        """Of the parameters that the budget is about, after steps in which the likelihoods say nothing."""
        method = make_parsec(tiny_space, tiny_skeleton, handler, logit_lr=0.1)
        for _ in range(25):
            method._move(method.distribution.draw(8, method.generator), torch.full((8,), 1 / 8, dtype=DOUBLE))
        drawn = method.distribution.expected_edges()
        return sum((drawn[name] * table.edges[name][..., 0]).sum() for name in tiny_space.groups)

    assert expected(tight) < 0.6 * expected(None)


def test_a_planted_cell_is_found_on_ten_of_ten_seeds_and_not_where_all_are_alike():
    space = make_space({"name": "darts-cnn", "nodes": 2, "operations": ["skip_connect", "sep_conv_3x3"]})
    planted = {(2, 0, "skip_connect"), (2, 1, "sep_conv_3x3"), (3, 1, "skip_connect"), (3, 2, "sep_conv_3x3")}

    def search(seed: int, strength: float, lr: float = 0.05) -> CellDistribution:
        distribution, generator = CellDistribution(space), torch.Generator().manual_seed(seed)
        optimizer = torch.optim.Adam([distribution.logits], lr=lr, betas=(0.5, 0.999))
        for _ in range(500):
            drawn = distribution.draw(4, generator)
            likelihoods = [strength * len(planted & set(distribution.cell(row.tolist()).groups["normal"])) for row in drawn]
            omega, _ = posterior_weights(torch.tensor(likelihoods, dtype=DOUBLE), 0)
            distribution.logits.grad = -distribution.gradient(drawn, omega)
            optimizer.step()
        return distribution

    table = cost_table(space, Skeleton(channels=4, cells=3, input_shape=(1, 8, 8), classes=10))
    for seed in range(10):
        found = Decoder(space, table).decode(search(seed, 2.0).slot_scores()).architecture
        assert set(found.groups["normal"]) == planted
    indifferent = search(0, 0.0, lr=1e-3)  # where all are alike, the logits only tremble
    assert (indifferent.probabilities() - indifferent.open / indifferent.open.sum(1, keepdim=True)).abs().max() < 0.1


def test_a_distribution_survives_being_written_and_read_and_draws_the_same_cells(tiny_space):
    first = random_distribution(tiny_space)
    second = CellDistribution(tiny_space)
    second.start_from(first.to_json())
    draws = [d.draw(5, torch.Generator().manual_seed(4)) for d in (first, second)]
    assert torch.equal(*draws)
    assert second.to_json() == first.to_json()
    mixed = CellDistribution(tiny_space)
    mixed.start_from(first.to_json(), uniform=0.1)
    even = mixed.open / mixed.open.sum(1, keepdim=True)
    torch.testing.assert_close(mixed.probabilities(), 0.9 * first.probabilities() + 0.1 * even)
    with pytest.raises(UsageError, match="other cells"):
        CellDistribution(make_space({"name": "darts-cnn", "nodes": 1})).start_from(first.to_json())


def test_a_search_starts_from_the_distribution_it_is_given_at_another_depth_and_width(tiny_space, tiny_skeleton):
    first = random_distribution(tiny_space)
    deeper = Skeleton(channels=8, cells=5, input_shape=(1, 8, 8), classes=10)
    start = WarmStart(study="small", distribution=first.to_json())
    method = make_parsec(tiny_space, deeper, warm_start=start)
    assert torch.equal(method.distribution.logits * method.distribution.open, first.logits.detach() * first.open)


def test_memory_is_that_of_one_architecture_beside_the_shared_weights_and_a_third_of_the_published_mixtures():
    """What is held for the backward pass, and weights, gradients and momentum; our own mixture is thriftier than the published."""
    space, skeleton = make_space({"name": "darts-cnn"}), Skeleton(channels=8, cells=5, input_shape=(1, 16, 16), classes=10)
    part = Part(torch.randn(8, 1, 16, 16), torch.randint(0, 10, (8,)))
    method = make_parsec(space, skeleton)
    shared = 3 * sum(weight.nbytes for weight in method.weights)

    def held(net, step) -> int:
        return shared + peak_held(step, [*net.parameters(), *net.buffers()])

    def held_by(net, choice) -> int:
        return held(net, lambda: torch.nn.functional.cross_entropy(net(part.images, choice), part.labels).backward())

    choices = method.distribution.draw(6, method.generator)
    largest = max(held_by(method.net, Path(method.distribution.cell(choice.tolist()))) for choice in choices)
    omega = torch.full((6,), 1 / 6, dtype=DOUBLE)  # all of them are trained
    together = held(method.net, lambda: method._train(part, choices, omega))
    assert together <= 1.1 * largest
    even = Mixture({name: torch.full(group.shape, 1 / group.shape[1]) for name, group in space.groups.items()})
    assert held_by(PlainSupernet(space, skeleton), even) >= 3 * together
    assert held_by(method.net, even) >= 2 * together
