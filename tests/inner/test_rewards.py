"""Rewards and the policy gradient, by hand calculation and by enumeration of all draws."""

from itertools import product

import pytest
import torch

from moonas.errors import UsageError
from moonas.inner.handlers.none import NoHandler
from moonas.inner.handlers.reward import Reward
from moonas.inner.rewards import advantages, draw, exploration_ratios, policy_gradient, reward, strongest
from moonas.skeleton import Skeleton
from moonas.spaces.costs import cost, cost_table
from moonas.spaces.space import make_space
from moonas.study.handlers import NoneConfig, RewardConfig
from tests.spaces.genotypes import tnd_cell

PI = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
REWARDS = torch.tensor([0.9, 0.5, 0.7], dtype=torch.float64)
EXACT = torch.tensor([[0.08, -0.072, -0.008]], dtype=torch.float64)  # pi * (R - 0.74)


def mean_over_pairs(gains_of) -> torch.Tensor:
    """The expected gradient of one edge over all draws of two samples."""
    total = torch.zeros(1, 3, dtype=torch.float64)
    for first, second in product(range(3), repeat=2):
        columns = torch.tensor([[first], [second]])
        total += PI[first] * PI[second] * policy_gradient(PI[None], columns, gains_of(REWARDS[columns[:, 0]]))
    return total


def test_the_expected_gradient_is_exact_with_the_others_mean_and_half_of_it_with_the_mean_of_all() -> None:
    torch.testing.assert_close(mean_over_pairs(advantages), EXACT, rtol=0, atol=1e-15)
    torch.testing.assert_close(mean_over_pairs(lambda rewards: rewards - rewards.mean()), EXACT / 2, rtol=0, atol=1e-15)


def test_samples_drawn_uniformly_now_and_then_do_not_bias_the_gradient() -> None:
    explore, value = 0.4, {m: 0.1 * m[0] - 0.3 * m[1] + 0.2 * m[0] * m[1] for m in product(range(3), range(2))}
    edges = [PI, torch.tensor([0.9, 0.1], dtype=torch.float64)]
    pi = {m: float(edges[0][m[0]] * edges[1][m[1]]) for m in value}
    drawn = {m: (1 - explore) * pi[m] + explore / 6 for m in value}  # all edges at once are drawn uniformly
    mean = sum(pi[m] * value[m] for m in value)
    for edge, probabilities in enumerate(edges):
        exact = torch.zeros(1, len(probabilities), dtype=torch.float64)
        for m in value:
            exact[0, m[edge]] += pi[m] * (value[m] - mean)
        for corrected in (True, False):
            found = torch.zeros_like(exact)
            for pair in product(value, repeat=2):
                logs = torch.tensor([pi[m] for m in pair], dtype=torch.float64).log()
                ratios = exploration_ratios(logs, float(-torch.log(torch.tensor(6.0, dtype=torch.float64))), explore)
                gains = advantages(torch.tensor([value[m] for m in pair], dtype=torch.float64)) * (ratios if corrected else 1)
                columns = torch.tensor([[m[edge]] for m in pair])
                found += drawn[pair[0]] * drawn[pair[1]] * policy_gradient(probabilities[None], columns, gains)
            assert torch.allclose(found, exact, rtol=0, atol=1e-12) == corrected


def test_without_exploration_the_ratio_is_one_and_it_never_exceeds_its_limit() -> None:
    logs = torch.tensor([-1.0, -50.0, -2000.0], dtype=torch.float64)
    assert exploration_ratios(logs, -60.0, 0.0).tolist() == [1, 1, 1]
    assert exploration_ratios(logs, -60.0, 0.25).tolist() == pytest.approx([4 / 3, 4 / 3, 0], abs=1e-4)


@pytest.mark.parametrize(("params", "expected"), [(6.4, 0.8), (12.8, 0.5856343), (3.2, 1.0928322)])
def test_the_reward_multiplies_accuracy_by_a_power_of_the_relative_cost(params: float, expected: float) -> None:
    assert reward(0.8, {"params": params}, {"params": 6.4}, {"params": -0.45}, False) == pytest.approx(expected, abs=5e-8)
    assert reward(0.8, {"params": params}, {"params": 6.4}, {"params": 0.0}, False) == 0.8
    assert reward(0.8, {"params": params}, {"params": 6.4}, {"params": -0.45}, True) == pytest.approx(min(expected, 0.8), abs=5e-8)


def test_several_costs_multiply() -> None:
    both = reward(0.8, {"a": 4.0, "b": 2.0, "c": 7.0}, {"a": 2.0, "b": 8.0}, {"a": -1.0, "b": -0.5}, False)
    assert both == pytest.approx(0.8 * 0.5 * 2)


def test_operations_are_drawn_as_often_as_they_are_probable_and_those_without_probability_never() -> None:
    probabilities = torch.tensor([[0.5, 0.0, 0.3, 0.2], [0.0, 1.0, 0.0, 0.0]], dtype=torch.float64)
    for uniformly, expected in ((False, [0.5, 0, 0.3, 0.2]), (True, [1 / 3, 0, 1 / 3, 1 / 3])):
        generator = torch.Generator().manual_seed(0)
        drawn = torch.stack([draw(probabilities, generator, uniformly) for _ in range(3000)])
        shares = torch.bincount(drawn[:, 0], minlength=4) / 3000
        assert shares.tolist() == pytest.approx(expected, abs=0.03)  # three standard errors
        assert drawn[:, 1].unique().tolist() == [1]


def test_the_strongest_remaining_operations_stay_and_ties_take_the_first() -> None:
    probabilities = torch.tensor([[0.1, 0.4, 0.2, 0.3], [0.25, 0.25, 0.25, 0.25], [0.7, 0.0, 0.3, 0.0]])
    remaining = torch.tensor([[True, False, True, True], [True, True, True, True], [True, False, True, False]])
    kept = strongest(probabilities, remaining, 2)
    assert kept.tolist() == [[False, False, True, True], [True, True, False, False], [True, False, True, False]]
    assert torch.equal(strongest(probabilities, remaining, 4), remaining)


SPACE = make_space({"name": "tnd-cnn"})
FINAL = Skeleton(space="tnd-cnn", channels=16, cells=20, input_shape=(3, 32, 32), classes=10)


def make_reward(budget, providers=None, **settings) -> Reward:
    return Reward(RewardConfig(**settings), SPACE, cost_table(SPACE, FINAL), budget, "cpu", providers)


def test_the_budget_is_the_reference_and_stages_change_it_by_factors() -> None:
    budget = {"params": {"upper": 1_099_034}, "macs": {"lower": 5}}
    assert make_reward(budget).of(0.8, tnd_cell(), -0.45, 1.0) == 0.8  # the published cell has just these parameters
    assert make_reward(budget).of(0.8, tnd_cell(), -0.45, 0.5) == pytest.approx(0.5856343, abs=5e-8)
    assert make_reward(budget, exponents={"params": 2}).of(0.8, tnd_cell(), -0.225, 2) == pytest.approx(1.0928322, abs=5e-8)
    assert make_reward(budget, one_sided=True).of(0.8, tnd_cell(), -0.45, 2) == 0.8
    assert make_reward({}).of(0.8, tnd_cell(), -0.45, 0.5) == 0.8
    assert NoHandler(NoneConfig(), SPACE, None, None, "cpu").of(0.8, tnd_cell(), -0.45, 0.5) == 0.8


def test_references_of_the_settings_come_besides_or_instead_of_the_budget() -> None:
    costs = cost(tnd_cell(), FINAL)
    budget = {"params": {"upper": 5_000_000}}
    both = make_reward(budget, references={"params": costs.params / 2, "macs": costs.macs / 4})
    assert both.of(0.8, tnd_cell(), -1, 1) == pytest.approx(0.1)


def test_any_function_that_returns_a_positive_number_can_be_rewarded() -> None:
    slow = make_reward({}, {"delay": lambda architecture: 3.0}, references={"delay": 1.5})
    assert slow.of(0.8, tnd_cell(), -1, 1) == pytest.approx(0.4)
    with pytest.raises(UsageError, match="delay must be positive"):
        make_reward({}, {"delay": lambda architecture: 0.0}, references={"delay": 1}).of(0.8, tnd_cell(), -1, 1)
    with pytest.raises(UsageError, match="nothing tells delay of a sampled network; known: macs, params"):
        make_reward({}, references={"delay": 1})


def test_a_reward_reads_the_final_skeleton() -> None:
    small, large = (Skeleton(**{**FINAL.to_json(), "channels": channels}) for channels in (16, 32))
    budget = {"params": {"upper": cost(tnd_cell(), small).params}}
    rewards = [
        Reward(RewardConfig(), SPACE, cost_table(SPACE, final), budget, "cpu").of(1.0, tnd_cell(), -1, 1)
        for final in (small, large)
    ]
    assert rewards[0] == 1
    assert rewards[1] == pytest.approx(cost(tnd_cell(), small).params / cost(tnd_cell(), large).params)
